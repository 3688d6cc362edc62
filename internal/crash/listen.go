package crash

import (
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
)

// Line passes a line, or a piece of one, of the app's standard output (0) or standard error
// (1) to the recogniser of tracebacks. bar: the line overwrites text, as a progress bar does.
// Only the goroutine that reads the output may call Line, Idle and Ended.
func (w *Watch) Line(pipe int, text []byte, bar bool, now time.Time) {
	if bar {
		text = traceback.BehindBar(text)
	}
	w.listeners[pipe].Line(text, now)
}

// Idle tells the recognisers the time while no line comes. If again, a traceback is open, and
// Idle must be called again in about a second.
func (w *Watch) Idle(now time.Time) (again bool) {
	for _, l := range w.listeners {
		l.Idle(now)
		again = again || l.Open()
	}
	return again
}

// Ended marks the end of a pipe's output.
func (w *Watch) Ended(pipe int) { w.listeners[pipe].Close() }
