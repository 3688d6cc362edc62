package entry

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// generated is about when testdata/loggers was generated.
var generated = time.Date(2026, 11, 25, 23, 25, 0, 0, time.UTC)

var spoken = map[string]loglevel.Level{
	"trace": loglevel.Debug, "debug": loglevel.Debug, "info": loglevel.Info, "notice": loglevel.Info, "warn": loglevel.Warn,
	"error": loglevel.Error, "fatal": loglevel.Error, "panic": loglevel.Error, "critical": loglevel.Error, "none": loglevel.None,
}

// TestLoggers reads what real loggers printed; see testdata/loggers/generate.
func TestLoggers(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/loggers/*.log")
	if len(files) < 35 {
		t.Fatalf("only %d files of loggers", len(files))
	}
	speaks := regexp.MustCompile(`speaks at (\w+), (?:\\"|")quoted`)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".log")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			received := generated.Add(24 * time.Hour)
			f := NewJSON(Context{Service: "camera", Run: "r", PID: 7, Zone: time.UTC})
			n := 0
			for line := range bytes.Lines(text) {
				line = bytes.TrimSuffix(line, []byte("\n"))
				n++
				m := speaks.FindSubmatch(line)
				if m == nil {
					t.Fatalf("no level is spoken in %q", line)
				}
				want, ok := spoken[string(m[1])]
				if !ok {
					t.Fatalf("%q", m[1])
				}
				if got := LevelOf(line); got != want {
					t.Errorf("%q: level %v, want %v", line, got, want)
				}
				message, level := f.Append(nil, line, Meta{Received: received})
				if level != want {
					t.Errorf("%q: level %v in JSON, want %v", line, level, want)
				}
				e := checkMessage(t, line, message)
				at, err := time.Parse(time.RFC3339Nano, e["time"].(string))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(name, "timeless") {
					if !at.Equal(received) {
						t.Errorf("%q: time %v, but it has none", line, at)
					}
				} else if d := at.Sub(generated).Abs(); d > 30*time.Minute {
					t.Errorf("%q: time %v, want about %v", line, at, generated)
				}
				if line[0] == '{' {
					if want := `speaks at ` + string(m[1]) + `, "quoted" and café`; e["msg"] != want {
						t.Errorf("%q: msg %q", line, e["msg"])
					}
				} else if msg := e["msg"].(string); !strings.Contains(msg, `speaks at `+string(m[1])) || strings.ContainsRune(msg, 0x1b) {
					t.Errorf("%q: msg %q", line, msg)
				}
			}
			if n < 3 {
				t.Errorf("only %d lines", n)
			}
		})
	}
}

// checkMessage fails unless a message is one JSON object with slog's and the run's keys, and
// with every field of an app's object, under its name or with "app." before it; fields that
// time, level and msg repeat may be missing.
func checkMessage(t *testing.T, line, message []byte) map[string]any {
	t.Helper()
	decode := func(b []byte) (e map[string]any, err error) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		err = d.Decode(&e)
		return e, err
	}
	if !json.Valid(message) {
		t.Fatalf("%.300q becomes no JSON: %.300q", line, message)
	}
	if bytes.IndexByte(message, 0x1b) >= 0 {
		t.Fatalf("%.300q: an escape in %.300q", line, message)
	}
	e, err := decode(message)
	if err != nil || e == nil {
		t.Fatalf("%.300q becomes no object: %v: %.300q", line, err, message)
	}
	for _, key := range []string{"time", "level", "msg", "service", "source", "run"} {
		if _, ok := e[key].(string); !ok {
			t.Fatalf("%.300q: %s is %v in %.300q", line, key, e[key], message)
		}
	}
	for _, key := range []string{"pid", "seq"} {
		if _, ok := e[key].(json.Number); !ok {
			t.Fatalf("%.300q: %s is %v in %.300q", line, key, e[key], message)
		}
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000000Z07:00", e["time"].(string)); err != nil {
		t.Fatalf("%.300q: %v", line, err)
	}
	if _, err := loglevel.Parse(e["level"].(string)); err != nil {
		t.Fatalf("%.300q: %v", line, err)
	}
	if !json.Valid(line) {
		return e
	}
	own, err := decode(line)
	if err != nil || own == nil {
		return e
	}
	if e["msg"] == string([]rune(string(line))) {
		return e // it is text
	}
	gone := map[role]int{}
	for key, value := range own {
		kept := false
		name := key
		for range maxPrefixes + 1 {
			if got, ok := e[name]; ok && same(got, value) {
				kept = true
			}
			name = "app." + name
		}
		if !kept {
			r, _ := recognise([]byte(key), []byte("0"))
			if gone[r]++; r == noRole || gone[r] > 1 {
				t.Fatalf("%.300q: %.300q is lost in %.300q", line, key, message)
			}
		}
	}
	return e
}

func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
