package journal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestEntryName begins anew behind each entry of two apps, several of which have the same ID:
// each entry comes exactly once.
func TestEntryName(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	w := s.Dial(1)
	var all []string
	for _, id := range []string{"1000-0", "1000-1", "2000-0"} {
		for _, app := range []string{"a", "a-b", "b"} {
			for _, stream := range []logstream.Stream{logstream.Info, logstream.Status} {
				if _, err := w.Do("XADD", logstream.Keys(app)[stream], id, "message", "m"); err != nil {
					t.Fatal(err)
				}
				all = append(all, id+"/"+app+"/"+stream.String())
			}
		}
	}
	conn, err := redisconn.Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	names, err := Names(t.Context(), conn)
	if err != nil || !slices.Equal(names, []string{"a", "a-b", "b"}) {
		t.Fatalf("%q, %v", names, err)
	}
	after := func(cursor string, until time.Time) (got []string) {
		t.Helper()
		r := NewReader(names...)
		r.Until = until
		if cursor != "" {
			var err error
			if r.After, err = ParseEntryName(cursor); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := r.Last(t.Context(), conn, -1, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, EntryName{e.ID, e.App, e.Stream}.String())
		}
		return got
	}
	if got := after("", time.Time{}); !slices.Equal(got, all) {
		t.Fatalf("%q", got)
	}
	for i, cursor := range all {
		if got := after(cursor, time.Time{}); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after %s: %q, want %q", cursor, got, all[i+1:])
		}
	}
	if got := after("1000-0", time.UnixMilli(1999)); !slices.Equal(got, all[6:12]) {
		t.Errorf("from 1000-0 to 1999: %q", got)
	}

	// The same from the end: Last stops where the first of Before and Until is.
	for i, cursor := range all {
		for _, until := range []time.Time{{}, time.UnixMilli(999), time.UnixMilli(1000), time.UnixMilli(1999), time.UnixMilli(2000)} {
			r := NewReader(names...)
			r.Until = until
			if r.Before, err = ParseEntryName(cursor); err != nil {
				t.Fatal(err)
			}
			entries, err := r.Last(t.Context(), conn, -1, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			want := i
			switch {
			case until.IsZero() || until.UnixMilli() >= 2000:
			case until.UnixMilli() >= 1000:
				want = min(i, 12)
			default:
				want = 0
			}
			var got []string
			for _, e := range entries {
				got = append(got, EntryName{e.ID, e.App, e.Stream}.String())
			}
			if !slices.Equal(got, all[:want]) {
				t.Errorf("before %s and until %v: %q, want %q", cursor, until, got, all[:want])
			}
		}
	}
	for _, text := range []string{"", "x", "1", "1-0/", "1-0/a", "1-0/a/", "1-0/a/out", "1-0//info", "-1-0"} {
		if c, err := ParseEntryName(text); err == nil {
			t.Errorf("%q is %v", text, c)
		}
	}
}

// TestRun picks a run of each app: the first one of c has lost the beginning of its output, and
// the app of b prints markers.
func TestRun(t *testing.T) {
	t.Parallel()
	var entries []Entry
	add := func(app string, ms uint64, stream logstream.Stream, text string) {
		e := Entry{App: app, Stream: stream, Message: []byte(text)}
		e.ID.Ms = ms
		entries = append(entries, e)
	}
	const first, second = "{{__NEW_RUN_2026-11-23_20-15-01}}", "{{__NEW_RUN_2026-11-23_20-15-03}}"
	add("a", 1, logstream.Info, "cut off")
	add("a", 2, logstream.Info, first)
	add("b", 2, logstream.Info, first)
	add("a", 3, logstream.Status, first)
	add("b", 3, logstream.Status, first)
	add("c", 3, logstream.Status, first)
	add("a", 4, logstream.Crash, "first of a")
	add("b", 4, logstream.Info, "first of b")
	add("b", 5, logstream.Info, second)
	add("c", 5, logstream.Info, "first of c")
	add("a", 6, logstream.Info, "{{__END_RUN_2026-11-23_20-15-02_exit_0}}")
	add("a", 6, logstream.Status, "after the end")
	add("a", 7, logstream.Info, second)
	add("a", 7, logstream.Status, second)
	add("a", 8, logstream.Info, "second of a")
	for run, want := range map[string]string{
		LastRun: "b " + first + ";b " + first + ";c " + first + ";b first of b;b " + second + ";c first of c;" +
			"a " + second + ";a " + second + ";a second of a",
		"2026-11-23_20-15-03": "a " + second + ";a " + second + ";a second of a",
		"2026-11-23_20-15-01": "a " + first + ";b " + first + ";a " + first + ";b " + first + ";c " + first + ";a first of a;b first of b;" +
			"b " + second + ";c first of c;a {{__END_RUN_2026-11-23_20-15-02_exit_0}};a after the end",
		"2026": "",
	} {
		var got []string
		for _, e := range Run(slices.Clone(entries), run) {
			got = append(got, e.App+" "+string(e.Message))
		}
		if strings.Join(got, ";") != want {
			t.Errorf("%s: %q, want %q", run, got, want)
		}
	}
}
