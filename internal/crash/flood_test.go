package crash

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// TestFlood has tracebacks come faster than they can be reported: the newest ones wait within
// maxHeld, the others are counted.
func TestFlood(t *testing.T) {
	t.Parallel()
	var got []*Report
	w := New(Options{Run: "today", MostTracebacks: 100, Secrets: func() []string { return nil }, Deliver: func(r *Report) { got = append(got, r) }})
	w.app, w.life = new(process.Process), new(life)
	const came = 100
	text := strings.Repeat("x", 64<<10)
	for i := range came {
		w.Traceback(traceback.Report{Language: "Go", Title: fmt.Sprint("number ", i+1), Text: text, Begin: time.Now()})
	}
	if held := len(w.blocks) * len(text); held > maxHeld || held < maxHeld/2 || held != w.held {
		t.Fatalf("%d bytes are held, and %d counted", held, w.held)
	}
	select {
	case <-w.crowd:
	default:
		t.Error("crowd is empty although many tracebacks wait")
	}
	lost := w.blocks[0].lost
	if lost+len(w.blocks) != came || w.blocks[len(w.blocks)-1].Title != fmt.Sprint("number ", came) {
		t.Errorf("%d are held and %d lost, up to %s", len(w.blocks), lost, w.blocks[len(w.blocks)-1].Title)
	}
	r := w.tracebackReport(&w.blocks[0])
	if want := fmt.Sprintf("besides     %d more tracebacks", lost); !strings.Contains(r.Message, want) {
		t.Errorf("%q is not in\n%s", want, r.Message[:500])
	}
	w.outlived()
	if len(w.blocks) != 1 || w.held != len(text) {
		t.Errorf("%d are left, of %d bytes", len(w.blocks), w.held)
	}
	w.survived(time.Now())
	w.outlived() // no traceback waits
	w.deliverSums(true)
	// All tracebacks are alike but for a number.
	if len(got) != 2 || w.held != 0 {
		t.Fatalf("%d reports, %d bytes held", len(got), w.held)
	}
	if told := 1 + lost + got[1].Count; told != came {
		t.Errorf("%d of %d are reported or counted", told, came)
	}
}

// TestRepeats checks which survived tracebacks are reported and which are only counted.
func TestRepeats(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	trace := func(reason, frame string, seconds int) *heard {
		return &heard{Report: traceback.Report{Language: "Go", Title: "panic: " + reason, Text: "panic: " + reason + "\n\ngoroutine 7 [running]:\n" + frame}, at: at(seconds)}
	}
	r := repeats{room: 100}
	r.seed = maphash.MakeSeed()
	for i, tt := range []struct {
		b    *heard
		want bool
	}{
		{trace("no user 1", "main.f(0xc000012345)\n\tx.go:3", 0), true},
		{trace("no user 22", "main.f(0xc00006789a)\n\tx.go:3", 1), false}, // other numbers
		{trace("no user 1", "main.f(0xc000012345)\n\tx.go:4", 2), true},   // another line
		{trace("no room", "main.f(0xc000012345)\n\tx.go:3", 3), true},     // another reason
		{trace("no room", "main.f(0xc000012345)\n\tx.go:3", 59), false},
	} {
		if got := r.wants(tt.b, tt.b.at); got != tt.want {
			t.Errorf("%d: reported: %v", i, got)
		}
	}
	for i := range 20 {
		b := trace("other "+strings.Repeat("x", i), "", 59)
		if got := r.wants(b, b.at); got != (i < differentEach-3) {
			t.Errorf("different one %d: reported: %v", i+3, got)
		}
	}
	if due := r.sums(at(59), false); len(due) > 0 {
		t.Errorf("too early: %v", due)
	}
	due := r.sums(at(60), false)
	if len(due) != 1 || due[0].more != 1 || due[0].title != "Go: panic: no user 1" {
		t.Errorf("after a minute: %+v", due)
	}
	if again := trace("no user 3", "main.f(0xc0)\n\tx.go:3", 61); !r.wants(again, again.at) {
		t.Error("not reported in the next minute")
	}
	if due := r.sums(at(200), true); len(due) != 2 {
		t.Errorf("at the end: %+v", due)
	}

	// However long it goes on, most of the stream stays free.
	r = repeats{room: 25, seed: maphash.MakeSeed()}
	entries, told := 0, 0
	const came = 5_000
	for i := range came {
		b := trace("reason "+strings.Repeat("x", i%37), "", i)
		if r.wants(b, b.at) {
			entries, told = entries+1, told+1
		}
		for _, s := range r.sums(b.at, i == came-1) {
			entries, told = entries+1, told+s.more
		}
	}
	if entries > 30 || told != came {
		t.Errorf("%d entries stand for %d tracebacks", entries, told)
	}
	if got := thousands(1299) + " " + thousands(12) + " " + thousands(1234567); got != "1,299 12 1,234,567" {
		t.Error(got)
	}
}
