package entry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// FuzzJSON checks that the message for any line is one JSON object that keeps the
// line's content.
func FuzzJSON(f *testing.F) {
	for _, line := range []string{"", "all is well", "<3>x", "\x1b[31mERROR\x1b[0m", `{"app.app.seq":1,"seq":2}`, `{"time":1e400}`} {
		f.Add([]byte(line), int64(1795464901), false)
	}
	f.Fuzz(func(t *testing.T, line []byte, seconds int64, partial bool) {
		fm := messages()
		// RFC 3339 has no later years.
		received := time.Unix(seconds%200_000_000_000, seconds&0x1fffffff)
		if received.Year() < 1 || received.Year() > 9990 {
			return
		}
		m := Meta{Received: received, Stderr: seconds&1 != 0, Partial: partial}
		first, level := fm.Append(nil, line, m)
		e := checkMessage(t, line, first)
		if of := LevelOf(line); of != level && !partial && !hasEscape(line) && utf8.Valid(line) {
			t.Fatalf("%q: level %v in JSON, %v in text", line, level, of)
		}
		want := level.String()
		if level == loglevel.None {
			want = "INFO"
		}
		if e["level"] != want {
			t.Fatalf("%q: level %v, and %v is written", line, level, e["level"])
		}
		if back, ok := ReadJSON(first); !ok || string(back.Text) != e["msg"] || e["source"] != map[bool]string{true: "stderr", false: "stdout"}[m.Stderr] {
			t.Fatalf("%q: %q is read back as %+v, %v", line, first, back, ok)
		}
		if !utf8.Valid(first) {
			t.Fatalf("%q becomes %q", line, first)
		}
		second, _ := fm.Append(nil, line, m)
		checkMessage(t, nil, second)
	})
}

// FuzzLevel compares the early exits of LevelOf with the whole search.
func FuzzLevel(f *testing.F) {
	for _, bb := range benchLines {
		f.Add([]byte(bb.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		level := LevelOf(line)
		head := line[:min(len(line), levelReach)]
		if got := wordLevel(head); got != loglevel.None && level == loglevel.None && len(line) < levelReach {
			if _, isObject := objectLevel(line); !isObject && !hasEscape(head) {
				t.Fatalf("%q: LevelOf misses %v", line, got)
			}
		}
	})
}

func hasEscape(b []byte) bool {
	for _, c := range b {
		if c == 0x1b {
			return true
		}
	}
	return false
}

// FuzzObject compares the scanner with encoding/json.
func FuzzObject(f *testing.F) {
	for _, line := range []string{`{}`, `{"a":[1,{"b":null}],"c":-0.1e+5}`, `{"\ud800":"\n"}`, `{"a":01}`, `[]`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		members, ok := object(nil, line)
		var want map[string]json.RawMessage
		valid := json.Unmarshal(line, &want) == nil && want != nil
		if ok && !valid || !ok && valid && len(line) < jsontext.MaxDepth {
			t.Fatalf("%q: the scanner says %v, encoding/json %v", line, ok, valid)
		}
		if !ok {
			return
		}
		for i := range members {
			m := &members[i]
			value, there := want[string(unquoted(t, line[m.keyStart-1:m.keyEnd+1]))]
			if !there || !json.Valid(m.value(line)) || len(members) == len(want) && string(value) != string(m.value(line)) {
				t.Fatalf("%q: member %q is %q", line, m.key(line), m.value(line))
			}
		}
	})
}

func unquoted(t *testing.T, b []byte) (s string) {
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatalf("key %q: %v", b, err)
	}
	return s
}

// TestSeeds fails if the seeds are gone.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for target, n := range map[string]int{"FuzzJSON": 30, "FuzzLevel": 20, "FuzzObject": 10} {
		if files, err := os.ReadDir(filepath.Join("testdata/fuzz", target)); err != nil || len(files) < n {
			t.Errorf("%s has %d seeds, %v", target, len(files), err)
		}
	}
}
