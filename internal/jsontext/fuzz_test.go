package jsontext

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzScan compares the validity of texts with encoding/json.
func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) { compareScan(t, text) })
}

func compareScan(t *testing.T, text []byte) {
	t.Helper()
	s := Scanner{Text: text}
	ok := s.Value() && s.End()
	valid := json.Valid(text)
	if valid && bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > MaxDepth {
		valid = depth(text) <= MaxDepth
	}
	if ok != valid {
		t.Fatalf("%q is valid: %v", text, ok)
	}
}

// depth returns how deep a valid text nests.
func depth(text []byte) (deepest int) {
	d := json.NewDecoder(bytes.NewReader(text))
	for now := 0; ; {
		switch token, err := d.Token(); {
		case err != nil:
			return deepest
		case token == json.Delim('{') || token == json.Delim('['):
			now++
			deepest = max(deepest, now)
		case token == json.Delim('}') || token == json.Delim(']'):
			now--
		}
	}
}

// FuzzString compares reading and writing strings with encoding/json.
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
	shown := AppendString(nil, text)
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
			got = []byte(string([]rune(string(got)))) // Unquote kept bad bytes
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
