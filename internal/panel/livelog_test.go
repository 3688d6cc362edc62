package panel

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestUnfinishedLine: the end of a run shows a line of stdout that lacks its last piece, although
// a later line of stderr was shown before. A line that comes twice is shown once.
func TestUnfinishedLine(t *testing.T) {
	t.Parallel()
	q, err := parseLogQuery(url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	entries := []journal.Entry{
		{App: "a", ID: entry.ID{Ms: 1}, Message: []byte("unfinished"), Partial: true},
		{App: "a", ID: entry.ID{Ms: 2}, Message: []byte("of stderr"), Stderr: true},
		{App: "a", ID: entry.ID{Ms: 3}, Message: []byte("{{__END_RUN_2026-11-29_12-00-00_exit_0}}")},
	}
	l := &liveLog{q: q}
	for range 2 {
		var joiner journal.Joiner
		for i := range entries {
			l.add(joiner.Add(entries[i : i+1]))
		}
	}
	var got []string
	for _, line := range l.waiting {
		got = append(got, line.Text)
	}
	if want := "of stderr, unfinished, {{__END_RUN_2026-11-29_12-00-00_exit_0}}"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %s", got, want)
	}
}

// TestMissedLinesAreCounted: a browser that comes back gets the newest of the lines that it has
// missed, and the number of the others.
func TestMissedLinesAreCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs := s.Dial(1)
	const lines = 100
	for i := range lines {
		if _, err := logs.Do("XADD", "logs:app:a:info", fmt.Sprintf("%d-0", i+1), "message", fmt.Sprint("line ", i)); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, nil, s)
	eventually(t, "the app is known", func() bool { return p.apps()["a"] != nil })
	answer, err := http.Get(p.url + "app/a/live?log=1&after=1-0/a/info")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	scan, event := bufio.NewScanner(answer.Body), ""
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		if name, ok := strings.CutPrefix(scan.Text(), "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(scan.Text(), "data: ")
		if !ok || event != "lines" {
			continue
		}
		var got struct {
			Lines   []LineView
			Skipped int
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Lines) != linesAtOnce || got.Lines[linesAtOnce-1].Text != "line 99" || got.Skipped != lines-1-linesAtOnce {
			t.Errorf("%d lines and %d skipped ones: %+v", len(got.Lines), got.Skipped, got.Lines)
		}
		return
	}
	t.Errorf("no lines came: %v", scan.Err())
}

// TestPiecesOutliveConnection: the first piece of a line that a lost connection has brought is
// part of the line that the next connection completes.
func TestPiecesOutliveConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs := s.Dial(1)
	do := func(args ...any) {
		t.Helper()
		if _, err := logs.Do(args[0].(string), args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	tail := newTail(&s.Config().Redis)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { tail.run(ctx) })
	defer running.Wait()
	defer cancel()
	v := tail.add("a", entry.ID{})
	defer tail.drop(v)
	next := func() string {
		select {
		case lines := <-v.lines:
			return string(lines[0].Text)
		case <-time.After(time.Minute):
			t.Fatal("no line came")
			return ""
		}
	}
	do("XADD", "logs:app:a:info", "1-0", "message", "begun ", "partial", "1")
	do("XADD", "logs:app:a:status", "2-0", "message", "behind it")
	if got := next(); got != "behind it" {
		t.Fatalf("%q came first", got)
	}
	do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	do("XADD", "logs:app:a:info", "3-0", "message", "and ended")
	if got := next(); got != "begun and ended" {
		t.Errorf("%q came", got)
	}
}
