package crash

import (
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
)

// Line shows a line of the app's standard output (0) or standard error (1), or a
// piece of one, to what recognises tracebacks. Line, Idle and Ended are called by
// the one goroutine that reads the output.
func (w *Watch) Line(pipe int, text []byte, now time.Time) { w.listeners[pipe].Line(text, now) }

// Idle lets time pass where no line comes, and says whether it is to be called
// again about a second later, because a traceback has begun.
func (w *Watch) Idle(now time.Time) (again bool) {
	for _, l := range w.listeners {
		l.Idle(now)
		again = again || l.Open()
	}
	return again
}

// Ended says that nothing more comes from a pipe.
func (w *Watch) Ended(pipe int) { w.listeners[pipe].Close() }

// listen makes the recognisers, one for each pipe.
func (w *Watch) listen() {
	for i := range w.listeners {
		w.listeners[i] = traceback.New(func(r traceback.Report) {
			w.Traceback(Block{Title: r.Language + ": " + r.Title, Text: string(r.Text), Begun: r.Begin, Language: r.Language})
		})
	}
}
