package crash

import (
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// A Block is a traceback that was found in the app's output.
type Block struct {
	Title    string // what it is about, in a line: "Go: panic: runtime error: …"
	Text     string
	Begun    time.Time // when its first line came
	Language string    // as the recogniser says it
}

// A death is all that decides whether the end of an app is a crash.
type death struct {
	at         time.Time
	status     process.Status
	stopped    bool           // wrapp has stopped it,
	stopSignal syscall.Signal // at first with this signal
	oom        string         // evidence of an out-of-memory kill
	block      *Block         // the last traceback before its end
}

// kind is what the death is to be reported as; false if it is no crash.
func (d *death) kind() (Kind, bool) {
	sig := d.status.Signal()
	switch {
	case sig == syscall.SIGKILL:
		// After a stop it may have been us.
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

// fatal says whether the last traceback is why the app exited. One that an
// interrupted or stopped app wrote on its way out is not.
func (d *death) fatal() bool {
	return d.block != nil && d.status.ExitCode() != 0 && !d.stopped && !d.block.interrupted()
}

// interrupted says whether a traceback only tells that the app was interrupted, as
// Python's does for SIGINT.
func (b *Block) interrupted() bool {
	text := strings.TrimSpace(b.Text)
	return strings.HasPrefix(text[strings.LastIndexByte(text, '\n')+1:], "KeyboardInterrupt")
}
