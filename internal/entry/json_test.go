package entry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// received is when the lines of the tests were read: on another day than the one
// they state.
var received = time.Date(2026, 11, 25, 12, 0, 0, 5, time.UTC)

// object makes an object of a line, and reads it.
func object(t testing.TB, line string, stderr bool) map[string]any {
	t.Helper()
	text, _ := NewJSON("cam", "2026-11-25_12-00-00", 7).Append(nil, []byte(line), received, stderr, 42)
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil || d.More() {
		t.Fatalf("%q: %s: %v", line, text, err)
	}
	return o
}

// TestLoggers reads the lines that loggers really print.
func TestLoggers(t *testing.T) {
	t.Parallel()
	levels := map[string]string{
		"t": "DEBUG", "d": "DEBUG", "started": "INFO", "between": "INFO", "warm": "WARN", "gone": "ERROR", "bad": "ERROR",
	}
	timeless := []string{"logrus-terminal", "python-basic", "winston-simple", "journald", "gstreamer", "gcc", "java-util-logging", "redis"}
	levelless := []string{"log"}
	files, _ := filepath.Glob("testdata/loggers/*.txt")
	if len(files) != 4 {
		t.Fatalf("%q", files)
	}
	n := 0
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			logger, line, ok := strings.Cut(lines.Text(), "\t")
			if !ok {
				t.Errorf("%s: %q", name, lines.Text())
			}
			n++
			o := object(t, line, false)
			message := o["msg"].(string)
			// What the line is about is its last word, or the one before fields.
			word := message
			if line[0] != '{' {
				fields := strings.FieldsFunc(message, func(r rune) bool { return strings.ContainsRune(" \t'\"=:", r) })
				i := slices.IndexFunc(fields, func(f string) bool {
					return levels[f] != "" && (f != "t" && f != "d" || f == fields[len(fields)-1] || logger == "winston-simple")
				})
				if i < 0 {
					t.Errorf("%s: no message in %q", logger, message)
					continue
				}
				word = fields[i]
			}
			word, _, _ = strings.Cut(word, " {")
			if want := levels[word]; o["level"] != want && !slices.Contains(levelless, logger) {
				t.Errorf("%s: %q: level %v, want %v", logger, line, o["level"], want)
			}
			stamp, err := time.Parse(time.RFC3339Nano, o["time"].(string))
			if err != nil {
				t.Errorf("%s: %v", logger, err)
			}
			if stated := stamp.UTC().Format("2006-01-02") == "2026-11-23"; stated == slices.Contains(timeless, logger) {
				t.Errorf("%s: %q: time %v", logger, line, stamp)
			}
			if strings.ContainsAny(message, "\x1b") || strings.HasPrefix(message, "<") {
				t.Errorf("%s: message %q", logger, message)
			}
		}
	}
	if n < 150 {
		t.Errorf("%d lines", n)
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	// What stands in front of the members of the app.
	const front = `{"time":"2026-11-25T12:00:00.000000005Z","level":"INFO","msg":"M","service":"cam","source":"stdout","run":"2026-11-25_12-00-00","pid":7,"seq":42`
	for _, test := range []struct{ line, msg, level, members string }{
		{`plain`, `plain`, "", ``},
		{`  indented `, `  indented `, "", ``},
		{`{"msg":"a"}`, `a`, "", ``},
		{` { "msg" : "a" , "x" : [ 1, {"y":2} ] } `, `a`, "", `,"x":[ 1, {"y":2} ]`},
		{`{}`, ``, "", ``},
		{`{"n":1.10,"big":12345678901234567890,"e":1e400}`, ``, "", `,"n":1.10,"big":12345678901234567890,"e":1e400`},
		{`{"msg":"a","service":"b","pid":1,"seq":null,"source":[],"run":"r"}`, `a`, "", `,"app.service":"b","app.pid":1,"app.seq":null,"app.source":[],"app.run":"r"`},
		{`{"service":"b","app.service":"c","app.app.service":"d","app.run":"e"}`, ``, "", `,"app.service":"b","app.app.service":"c","app.app.app.service":"d","app.run":"e"`},
		{`{"level":"error","severity":"x","msg":"a"}`, `a`, "ERROR", `,"severity":"x"`},
		{`{"level":"fatal","msg":"a"}`, `a`, "ERROR", `,"app.level":"fatal"`},
		{`{"level":60,"msg":"a"}`, `a`, "ERROR", `,"app.level":60`},
		{`{"level":30,"msg":"a"}`, `a`, "INFO", ``},
		{`{"level":"loud","msg":"a"}`, `a`, "", `,"app.level":"loud"`},
		{`{"level":{},"severity":"WARNING","msg":"a"}`, `a`, "WARN", `,"app.level":{}`},
		{`{"msg":5,"message":"b"}`, `b`, "", `,"app.msg":5`},
		{`{"msg":"a","message":"b"}`, `a`, "", `,"message":"b"`},
		{`{"time":"noon","msg":"a"}`, `a`, "", `,"app.time":"noon"`},
		{`{"a\"b":1,"\u006dsg":"esc\u0061ped"}`, `escaped`, "", `,"a\"b":1`},
		{`{"msg":"\u001b[31mred\u001b[0m"}`, `red`, "", ``},
		{`{"a":1,"a":2}`, ``, "", `,"a":1,"a":2`},
		// Not one object.
		{`{"msg":"a"} {"msg":"b"}`, `{"msg":"a"} {"msg":"b"}`, "", ``},
		{`{"msg":"a"`, `{"msg":"a"`, "", ``},
		{`{msg:"a"}`, `{msg:"a"}`, "", ``},
		{`["a"]`, `["a"]`, "", ``},
		{`{"msg":"a",}`, `{"msg":"a",}`, "", ``},
		// Bytes that are no JSON.
		{"a\xffb\x00\x01\x7f\t", "a\uFFFDb\u0000\u0001\u007f\t", "", ``},
		{"{\"msg\":\"\xff\"}", "{\"msg\":\"\uFFFD\"}", "", ``},
		{"\x1b[1;31mERROR\x1b[0m gone\x1b]0;title\x07!\x1b(B", "ERROR gone!", "ERROR", ``},
		{"\x1b", "\x1b", "", ``},
		{"a\x1b[", "a", "", ``},
		{"quote \" backslash \\", `quote " backslash \`, "", ``},
		{"<4>a", "a", "WARN", ``},
		{"<4 a", "<4 a", "", ``},
	} {
		text, level := NewJSON("cam", "2026-11-25_12-00-00", 7).Append([]byte("x"), []byte(test.line), received, false, 42)
		quoted, _ := json.Marshal(test.msg)
		shown := test.level
		if shown == "" {
			shown = "INFO"
		}
		want := strings.Replace(front, `"INFO"`, `"`+shown+`"`, 1)
		want = "x" + strings.Replace(want, `"M"`, string(quoted), 1) + test.members + "}"
		if !sameJSON(string(text[1:]), want[1:]) || level.String() != test.level {
			t.Errorf("%q:\n got %s, %v\nwant %s, %s", test.line, text, level, want, test.level)
		}
	}
	if o := object(t, "x", true); o["source"] != "stderr" {
		t.Errorf("%v", o)
	}
}

// sameJSON says whether two texts are the same but for how characters are escaped.
func sameJSON(a, b string) bool {
	parts := func(s string) (tokens []json.Token) {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		for {
			token, err := d.Token()
			if err != nil {
				return append(tokens, err.Error())
			}
			tokens = append(tokens, token)
		}
	}
	return reflect.DeepEqual(parts(a), parts(b))
}

func TestTimes(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", -3*3600)
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, zone)
	for _, test := range []struct{ line, want string }{
		{"2026-01-01T20:15:01Z x", "2026-01-01T20:15:01Z"},
		{"2026-01-01 20:15:01 x", "2026-01-01T20:15:01-03:00"},
		{"2026-01-01 20:15:01,5 x", "2026-01-01T20:15:01.5-03:00"},
		{"2026-01-01T20:15:01.123456789+01:30", "2026-01-01T20:15:01.123456789+01:30"},
		{"2026-01-01T20:15:01.1234567899-0200", "2026-01-01T20:15:01.123456789-02:00"},
		{"2026/01/01 20:15:01 x", "2026-01-01T20:15:01-03:00"},
		{"[2026-01-01 20:15:01] x", "2026-01-01T20:15:01-03:00"},
		{"Jan  2 11:15:01 host x", "2026-01-02T11:15:01-03:00"},
		{"Dec 31 23:59:59 host x", "2025-12-31T23:59:59-03:00"},
		{"I1231 23:59:59.000001       1 x.go:1] y", "2025-12-31T23:59:59.000001-03:00"},
		{"[1700000000.5000] x", "2023-11-14T22:13:20.5Z"},
		{"[INFO] [1700000000.500000000] [n]: x", "2023-11-14T22:13:20.5Z"},
		{"2026-02-30 20:15:01", ""},
		{"2026-13-01 20:15:01", ""},
		{"2026-01-01 24:15:01", ""},
		{"2026-01-01 20:15", ""},
		{"2026-01-01", ""},
		{"20:15:01", ""},
		{"x 2026-01-01 20:15:01", ""},
		{"2026-01-01 20:15:01 + more", "2026-01-01T20:15:01-03:00"},
		{"2026-01-01 20:15:01 -x", "2026-01-01T20:15:01-03:00"},
		{"", ""},
	} {
		got := ""
		if at, ok := stampOf([]byte(test.line), now); ok {
			got = at.Format(time.RFC3339Nano)
			if at.Location() == time.Local { // since 1970, so in no zone
				got = at.UTC().Format(time.RFC3339Nano)
			}
		}
		if got != test.want {
			t.Errorf("%q: %s, want %s", test.line, got, test.want)
		}
	}
	for _, test := range []struct{ value, want string }{
		{"1700000000", "2023-11-14T22:13:20Z"},
		{"1700000000.25", "2023-11-14T22:13:20.25Z"},
		{"1700000000123", "2023-11-14T22:13:20.123Z"},
		{"1700000000123.5", "2023-11-14T22:13:20.1235Z"},
		{"1700000000123456", "2023-11-14T22:13:20.123456Z"},
		{"1700000000123456789", "2023-11-14T22:13:20.123456789Z"},
		{`"1700000000123456789"`, "2023-11-14T22:13:20.123456789Z"},
		{"1.7e9", "2023-11-14T22:13:20Z"},
		{`{"seconds":1700000000,"nanos":5}`, "2023-11-14T22:13:20.000000005Z"},
		{`{"seconds":"1700000000"}`, "2023-11-14T22:13:20Z"},
		{"0", ""},
		{"-1700000000", ""},
		{"1", ""},
		{"99999999999999999999", ""},
		{"null", ""},
		{"true", ""},
		{"{}", ""},
		{"[]", ""},
		{`""`, ""},
	} {
		got := ""
		if at, ok := timeValue([]byte(test.value), now); ok {
			got = at.UTC().Format(time.RFC3339Nano)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.value, got, test.want)
		}
	}
}

// FuzzJSON wants one object of every line, which has all that the app's had.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		"plain", `{"msg":"a","time":1700000000,"level":30}`, `{"service":{"a":[1,2]},"app.service":1}`, "\x1b[31mE\xff",
		`{"@t":"2026-11-23T23:40:15Z","@l":"Error","@mt":"x"}`, "<3>Jan  2 11:15:01 x", "2026-01-01 20:15:01,5 -0200 ERROR x",
		`{"a":"\u001b[1m\ud800"}`, "[INFO] [1700000000.5] x", "I1231 23:59:59.000001 1 x", `{"severity":{"level":"x"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		o := object(t, line, false)
		if _, err := time.Parse(time.RFC3339Nano, o["time"].(string)); err != nil {
			if y := o["time"].(string)[:4]; y != "0000" {
				t.Fatal(err)
			}
		}
		if !slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, o["level"].(string)) {
			t.Fatalf("level %v", o["level"])
		}
		if o["service"] != "cam" || o["seq"] != json.Number("42") || o["pid"] != json.Number("7") {
			t.Fatalf("%v", o)
		}
		var app map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if !json.Valid([]byte(line)) || d.Decode(&app) != nil || app == nil || strings.Contains(line, "\x1b") {
			return
		}
		if list, _ := members(nil, []byte(line)); len(list) != len(app) {
			return // a name twice
		}
		lost := 0
		for name, value := range app {
			kept := false
			for key := name; !kept && len(key) < len(name)+40; key = "app." + key {
				v, there := o[key]
				kept = there && reflect.DeepEqual(v, value)
			}
			if kept {
				continue
			}
			if lost++; rank(timeKeys, []byte(name)) < 0 && rank(levelKeys, []byte(name)) < 0 && rank(messageKeys, []byte(name)) < 0 {
				t.Fatalf("%s: %s is lost: %v", line, name, o)
			}
		}
		if lost > 3 {
			t.Fatalf("%s: %d members are lost: %v", line, lost, o)
		}
	})
}

func BenchmarkLevelOf(b *testing.B) {
	for name, line := range map[string]string{
		"plain": strings.Repeat("a line of ninety-two bytes ", 4)[:92],
		"info":  "2026-11-23 20:15:01,123 INFO camera frame 1234567 of sensor 0 took 33.3 ms and is good enough",
		"json":  `{"level":"info","ts":1795477151.8550549,"logger":"cam","msg":"started","fps":30,"sensor":"0"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			text := []byte(line)
			for b.Loop() {
				LevelOf(text)
			}
		})
	}
}

func BenchmarkJSON(b *testing.B) {
	for name, line := range map[string]string{
		"plain": strings.Repeat("a line of ninety-two bytes ", 4)[:92],
		"info":  "2026-11-23 20:15:01,123 INFO camera frame 1234567 of sensor 0 took 33.3 ms and is good enough",
		"json":  `{"level":"info","ts":1795477151.8550549,"logger":"cam","msg":"started","fps":30,"sensor":"0"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			j := NewJSON("cam", "2026-11-25_12-00-00", 7)
			text := []byte(line)
			var dst []byte
			at := time.Now()
			for b.Loop() {
				dst, _ = j.Append(dst[:0], text, at, false, 1)
			}
		})
	}
}
