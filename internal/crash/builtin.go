package crash

import (
	"context"
	"strconv"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// ReadCore is wrapp's own Builtin.
func ReadCore(ctx context.Context, core, executable string) (string, []signature.Frame, error) {
	deadline, _ := ctx.Deadline()
	c, err := corefile.Open(core, corefile.Options{Executable: executable, Deadline: deadline})
	if err != nil {
		return "", nil, err
	}
	text := c.Report()
	var frames []signature.Frame
	for _, f := range c.Backtrace(&c.Threads[0], mostFrames) {
		frame := signature.Frame{Function: f.Function, Module: f.Module, Offset: f.Offset, Signal: f.Signal}
		if f.File != "" {
			frame.Place = f.File + ":" + strconv.Itoa(f.Line)
		}
		frames = append(frames, frame)
	}
	c.Close()
	return text, frames, nil
}

// mostFrames bounds the frames that are searched for the app's own; a runtime may put many
// on top.
const mostFrames = 64
