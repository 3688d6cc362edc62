package crash

import (
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// A death is the evidence that decides whether the end of an app is a crash.
type death struct {
	at         time.Time
	status     process.Status
	stopped    bool           // wrapp has stopped the app
	stopSignal syscall.Signal // the first signal of a stop
	oom        string         // evidence of an out-of-memory kill; empty: none
	block      *heard         // the last traceback before its end
}

// kind returns the kind of report that the death gets, or false if it is no crash.
func (d *death) kind() (Kind, bool) {
	sig := d.status.Signal()
	switch {
	case sig == syscall.SIGKILL:
		// After a stop the SIGKILL may be wrapp's own.
		return Signal, d.oom != "" && !d.stopped
	case sig != 0 && d.stopped && sig == d.stopSignal:
		return "", false
	case signalWords[sig] != "":
		return Signal, true
	case sig == 0:
		return Traceback, d.fatal()
	}
	return "", false
}

// fatal says whether the last traceback is why the app exited. A traceback that an
// interrupted or stopped app wrote on its way out is not the reason.
func (d *death) fatal() bool {
	return d.block != nil && d.status.ExitCode() != 0 && !d.stopped && !d.block.interrupted()
}

// interrupted says whether a traceback only means that the app was interrupted, as
// Python's KeyboardInterrupt for SIGINT does.
func (b *heard) interrupted() bool {
	text := strings.TrimSpace(b.Text)
	return strings.HasPrefix(text[strings.LastIndexByte(text, '\n')+1:], "KeyboardInterrupt")
}
