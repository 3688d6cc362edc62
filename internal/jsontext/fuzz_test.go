package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzScan compares the scanner with encoding/json: what is valid, and where and
// why something is not.
func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) { compareScan(t, text) })
}

func compareScan(t *testing.T, text []byte) {
	t.Helper()
	s := Scanner{Text: text}
	ok := s.Value() && s.End()
	walker := Scanner{Text: text}
	walked := walk(&walker, 0) && walker.End()
	if walked != ok || walker.At != s.At || !ok && walker.Problem() != s.Problem() {
		t.Fatalf("%q: Value says %v at %d, what reads piece by piece %v at %d", text, ok, s.At, walked, walker.At)
	}
	var whole json.RawMessage
	err := json.Unmarshal(text, &whole)
	switch {
	case ok && err == nil:
	case ok:
		t.Fatalf("%q is valid for us, but %v", text, err)
	case s.Problem() == tooDeep:
		if before := text[:s.At+1]; bytes.Count(before, []byte("["))+bytes.Count(before, []byte("{")) <= MaxDepth {
			t.Fatalf("%q: is too deep at %d", text, s.At)
		}
	case err == nil:
		t.Fatalf("%q: %s at %d, but it is valid", text, s.Problem(), s.At)
	default:
		syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
		if !isSyntax {
			t.Fatalf("%q: %v", text, err)
		}
		want, at := syntax.Error(), int(syntax.Offset)-1
		// At the end it may complain of a blank that is not there.
		char, isChar := strings.CutPrefix(want, "invalid character '")
		if isChar {
			_, what, _ := strings.Cut(char[1:], "' ")
			want = "invalid character " + what
		}
		if !isChar || at == len(text)-1 && s.At == len(text) && char[0] == ' ' {
			want, at = "unexpected end of JSON input", len(text)
		}
		if s.Problem() != want || s.At != at {
			t.Fatalf("%q: %s at %d, want %s at %d", text, s.Problem(), s.At, want, at)
		}
	}
}

// walk reads a value by Next, Name and Scalar, as who wants what is in it does.
func walk(s *Scanner, depth int) bool {
	s.Space()
	isObject := s.Take('{')
	if !isObject && !s.Take('[') {
		return s.Scalar()
	}
	if depth == MaxDepth {
		s.At--
		return s.fail(tooDeep)
	}
	end := byte(']')
	if isObject {
		end = '}'
	}
	for first := true; ; first = false {
		more, ok := s.Next(first, end)
		if !more {
			return ok
		}
		if isObject {
			if _, ok := s.Name(); !ok {
				return false
			}
		}
		if !walk(s, depth+1) {
			return false
		}
	}
}

// FuzzString compares strings, as they are read and written, with encoding/json.
func FuzzString(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) { compareString(t, text) })
}

func compareString(t *testing.T, text []byte) {
	t.Helper()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(text)); err != nil {
		t.Fatal(err)
	}
	if got := AppendString([]byte("x"), text, false); string(got)+"\n" != "x"+want.String() {
		t.Fatalf("%q is written %s, want x%s", text, got, &want)
	}
	shown := AppendString(nil, text, true)
	if i := bytes.IndexFunc(shown, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
		t.Fatalf("%q is written %q for a terminal", text, shown)
	}
	for _, quoted := range [][]byte{want.Bytes()[:want.Len()-1], shown, append(append([]byte{'"'}, text...), '"')} {
		s := Scanner{Text: quoted}
		escaped, ok := s.Quoted()
		ok = ok && s.At == len(quoted)
		var want string
		if err := json.Unmarshal(quoted, &want); (err == nil) != ok {
			t.Fatalf("%q is a string: %v, but %v", quoted, ok, err)
		}
		if !ok {
			continue
		}
		if escaped != bytes.ContainsRune(quoted, '\\') {
			t.Fatalf("%q has a backslash: %v", quoted, escaped)
		}
		got := Unquote(quoted)
		if !escaped {
			got = []byte(string([]rune(string(got)))) // it is as it stands
		}
		if string(got) != want {
			t.Fatalf("%q is read as %q, want %q", quoted, got, want)
		}
	}
}

// TestSeeds fails if the seeds are gone.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for target, n := range map[string]int{"FuzzScan": 12, "FuzzString": 8} {
		if files, err := os.ReadDir(filepath.Join("testdata/fuzz", target)); err != nil || len(files) < n {
			t.Errorf("%s has %d seeds, %v", target, len(files), err)
		}
	}
}
