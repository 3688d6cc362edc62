package crash

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// TestFlood has tracebacks come faster than they can be reported: no more of them
// are held than there is room for, the last is, and the others are counted.
func TestFlood(t *testing.T) {
	t.Parallel()
	var got []*Report
	w := New(Options{Run: "today", Deliver: func(r *Report) { got = append(got, r) }})
	w.app = new(process.Process)
	const came = 1000
	text := strings.Repeat("x", 64<<10)
	for i := range came {
		w.Traceback(Block{Title: fmt.Sprint("number ", i+1), Text: text, Begun: time.Now()})
	}
	if held := len(w.blocks) * len(text); held > maxHeld || held < maxHeld/2 || held != w.held {
		t.Fatalf("%d bytes are held, and %d counted", held, w.held)
	}
	select {
	case <-w.crowd:
	default:
		t.Error("nobody is told that many tracebacks wait")
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
	w.outlived() // there is none
	if len(got)+lost != came || w.held != 0 {
		t.Errorf("%d reports, %d lost, %d bytes held", len(got), lost, w.held)
	}
}
