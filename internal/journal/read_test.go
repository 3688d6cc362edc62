package journal

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// write fills the streams of camera with both formats, an entry a second from
// 20:15:00 on.
func write(t *testing.T, conn redis.Conn) (start time.Time) {
	t.Helper()
	start = time.Date(2026, 11, 23, 20, 15, 0, 0, time.Local)
	f := entry.NewJSON(entry.Context{Service: "camera", Run: "r", PID: 7})
	keys := logstream.Keys("camera")
	for i, e := range []struct {
		stream logstream.Stream
		json   bool
		line   string
		m      entry.Meta
		fields []any
	}{
		{stream: logstream.Info, line: "plain text"},
		{stream: logstream.Info, line: "ERROR in text", fields: []any{"source", "stderr"}},
		{stream: logstream.Info, line: "bad, says the field", fields: []any{"level", "ERROR"}},
		{stream: logstream.Info, json: true, line: `{"level":"warn","msg":"two words","a":1,"b":"x","c":"y z","d":{"e": [1]},"service":"own"}`},
		{stream: logstream.Info, json: true, line: "2026-11-23T10:00:00Z DEBUG in JSON", m: entry.Meta{Stderr: true}, fields: []any{"source", "stderr"}},
		{stream: logstream.Info, json: true, line: "WARN cut ", m: entry.Meta{Partial: true}, fields: []any{"partial", "1"}},
		{stream: logstream.Status, line: "started"},
		{stream: logstream.Info, json: true, line: "in two"},
		{stream: logstream.Crash, line: "crash\nreport\n"},
		{stream: logstream.Info, line: `{"time":"2026-11-23T10:00:00Z","level":"error","msg":"the app's own"}`},
	} {
		at := start.Add(time.Duration(i) * time.Second)
		message := []byte(e.line)
		if e.json {
			e.m.Received, e.m.Seq = at, uint64(i)
			message, _ = f.Append(nil, message, e.m)
		}
		args := append([]any{keys[e.stream], fmt.Sprintf("%d-0", at.UnixMilli()), "message", message}, e.fields...)
		if _, err := conn.Do("XADD", args...); err != nil {
			t.Fatal(err)
		}
	}
	return start
}

func grep(t *testing.T, s string) *regexp.Regexp {
	t.Helper()
	p, err := regexp.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRead reads and prints lines from a real Redis.
func TestRead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	start := write(t, c)
	conn, err := redisconn.Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	debug := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Local().Format("15:04:05.000")
	all := []string{
		"20:15:00.000 out    plain text",
		"20:15:01.000 err    ERROR in text",
		"20:15:02.000 out    bad, says the field",
		`20:15:03.000 out    WARN  two words a=1 b=x c="y z" d={"e": [1]} app.service=own`,
		debug + " err    DEBUG 2026-11-23T10:00:00Z DEBUG in JSON",
		"20:15:06.000 status started",
		"20:15:05.000 out    WARN  WARN cut in two",
		"20:15:08.000 crash  crash\nreport",
		`20:15:09.000 out    {"time":"2026-11-23T10:00:00Z","level":"error","msg":"the app's own"}`,
	}
	for _, tt := range []struct {
		name   string
		since  time.Duration // after start; 0: not set
		filter Filter
		want   []int // indexes of all
	}{
		{"all", 0, Filter{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"debug", 0, Filter{Level: loglevel.Debug}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"info", 0, Filter{Level: loglevel.Info}, []int{0, 1, 2, 3, 5, 6, 7, 8}},
		{"warn", 0, Filter{Level: loglevel.Warn}, []int{1, 2, 3, 6, 7, 8}},
		{"error", 0, Filter{Level: loglevel.Error}, []int{1, 2, 7, 8}},
		{"since", 7 * time.Second, Filter{Level: loglevel.Error}, []int{7, 8}},
		{"far since", time.Hour, Filter{}, nil},
		{"text", 0, Filter{Grep: grep(t, "^ERROR|report$")}, []int{1, 7}},
		{"joined", 0, Filter{Grep: grep(t, "cut in two$")}, []int{6}},
		{"field", 0, Filter{Grep: grep(t, `WARN .* c="y z"`)}, []int{3}},
		{"both", 0, Filter{Level: loglevel.Error, Grep: grep(t, "text")}, []int{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var since time.Time
			if tt.since > 0 {
				since = start.Add(tt.since)
			}
			entries, err := NewReader("camera").Last(t.Context(), conn, -1, since)
			if err != nil {
				t.Fatal(err)
			}
			var j Joiner
			var wanted []Line
			for _, l := range append(j.Add(entries), j.Rest()...) {
				if tt.filter.Wants(&l) {
					wanted = append(wanted, l)
				}
			}
			var text, want strings.Builder
			if err := NewPrinter(&text, Style{}).Print(wanted); err != nil {
				t.Fatal(err)
			}
			for _, i := range tt.want {
				want.WriteString("2026-11-23 " + all[i] + "\n")
			}
			if text.String() != want.String() {
				t.Errorf("\n%swant\n%s", &text, &want)
			}
		})
	}

	t.Run("raw", func(t *testing.T) {
		entries, err := NewReader("camera").Last(t.Context(), conn, 3, start.Add(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		j := Joiner{Pieces: true}
		var text strings.Builder
		if err := NewPrinter(&text, Style{Output: Raw}).Print(j.Add(entries)); err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`^{"time":"[^"]*","level":"WARN","msg":"in two",.*,"seq":7}\ncrash\nreport\n{"time":"2026-11-23T10:00:00Z","level":"error","msg":"the app's own"}\n$`)
		if !want.MatchString(text.String()) {
			t.Errorf("%s", &text)
		}
	})

	t.Run("next", func(t *testing.T) {
		r := NewReader("camera")
		// There are no entries since then, and older ones do not come.
		if entries, err := r.Last(t.Context(), conn, -1, start.Add(20*time.Second)); err != nil || len(entries) > 0 {
			t.Fatal(entries, err)
		}
		id := fmt.Sprintf("%d-0", start.Add(30*time.Second).UnixMilli())
		if _, err := c.Do("XADD", logstream.Keys("camera")[logstream.Info], id, "message", "new"); err != nil {
			t.Fatal(err)
		}
		entries, err := r.Next(context.Background(), conn)
		if err != nil || len(entries) != 1 || string(entries[0].Message) != "new" {
			t.Errorf("%v, %v", entries, err)
		}
	})
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	message, _ := entry.NewJSON(entry.Context{}).Append(nil, []byte(`{"level":"error","msg":"x\u0007","k":"v\u001b[2J"}`), entry.Meta{Received: time.Unix(0, 0)})
	var j Joiner
	var text strings.Builder
	if err := NewPrinter(&text, Style{Colour: true, Harmless: true}).Print(j.Add([]Entry{{Message: message}})); err != nil {
		t.Fatal(err)
	}
	if want := red + "out    ERROR x^G " + plain + dim + "k=" + plain + `"v\u001b[2J"` + plain + "\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("%q, want ... %q", &text, want)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 20, 15, 1, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"10m":                  "2026-11-23T20:05:01+01:00",
		"1h30m":                "2026-11-23T18:45:01+01:00",
		"2d":                   "2026-11-21T20:15:01+01:00",
		"08:30":                "2026-11-23T08:30:00+01:00",
		"08:30:05":             "2026-11-23T08:30:05+01:00",
		"2026-11-22":           "2026-11-22T00:00:00+01:00",
		"2026-11-22 10:11":     "2026-11-22T10:11:00+01:00",
		"2026-11-22 10:11:12":  "2026-11-22T10:11:12+01:00",
		"2026-11-22T10:11:12":  "2026-11-22T10:11:12+01:00",
		"2026-11-22T10:11:12Z": "2026-11-22T10:11:12Z",
	} {
		if got, err := ParseTime(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-10m", "10", "d", "yesterday", "25:00", "-1d"} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// TestLastOfMany needs several commands. IDs of one millisecond stand on both sides of their
// boundaries.
func TestLastOfMany(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	w := s.Dial(1)
	const many = 2*atOnce + 500
	var ids []entry.ID
	for i := range many {
		ids = append(ids, entry.ID{Ms: 1 + uint64(i)/atOnce, Seq: uint64(i) % (atOnce / 2)})
		if i%atOnce >= atOnce/2 {
			ids[i].Seq += atOnce
		}
		if err := w.Send("XADD", logstream.Keys("many")[logstream.Info], ids[i].String(), "message", "m"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Do(""); err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, n := range []int{-1, 0, 1, atOnce - 1, atOnce, atOnce + 1, 2 * atOnce, many, many + 1} {
		r := NewReader("many")
		entries, err := r.Last(t.Context(), conn, n, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		want := ids
		if n >= 0 {
			want = ids[many-min(n, many):]
		}
		got := make([]entry.ID, 0, len(entries))
		for i := range entries {
			got = append(got, entries[i].ID)
		}
		if !slices.Equal(got, want) || r.sources[logstream.Info].seen != ids[many-1] {
			t.Errorf("last %d: %d entries, seen %v", n, len(got), r.sources[logstream.Info].seen)
		}
	}
}

// TestForeignKey has a string where a stream of an app should be: everything else is read.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	w := s.Dial(1)
	do := func(command string, args ...any) {
		t.Helper()
		if _, err := w.Do(command, args...); err != nil {
			t.Fatal(err)
		}
	}
	do("SET", "logs:app:bad:info", "x")
	do("SET", "logs:app:bad:crash", "x")
	do("XADD", "logs:app:bad:status", "1-0", "message", "m")
	do("XADD", "logs:app:good:info", "2-0", "message", "m")
	conn, err := redisconn.Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	names, err := Names(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(names...)
	check := func(what string, entries []Entry, err error, want ...string) {
		t.Helper()
		var got []string
		for _, e := range entries {
			got = append(got, e.ID.String()+" "+e.App)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", what, got, err, want)
		}
	}
	entries, err := r.First(t.Context(), conn, 9)
	check("first", entries, err, "1-0 bad", "2-0 good")
	entries, err = r.Last(t.Context(), conn, 9, time.Time{})
	check("last", entries, err, "1-0 bad", "2-0 good")
	if id, err := r.Newest(t.Context(), conn); err != nil || id.Ms != 2 {
		t.Errorf("newest: %v, %v", id, err)
	}
	do("XADD", "logs:app:bad:error", "3-0", "message", "m")
	entries, err = r.Next(t.Context(), conn)
	check("next", entries, err, "3-0 bad")
	if _, err := r.Number(t.Context(), conn, entries); err != nil {
		t.Error(err)
	}
	if crashes, err := GroupCrashes(t.Context(), conn, "bad"); err != nil || len(crashes) != 0 {
		t.Errorf("%v, %v", crashes, err)
	}
	if lags, err := new(Places).Lag(t.Context(), conn, names...); err != nil || lags["good"] != 1 {
		t.Errorf("%v, %v", lags, err)
	}
}
