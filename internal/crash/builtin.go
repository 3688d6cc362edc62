package crash

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// ReadCore is wrapp's own Builtin.
func ReadCore(ctx context.Context, core, executable string) (string, []signature.Frame, error) {
	opts := corefile.Options{Executable: executable}
	if until, ok := ctx.Deadline(); ok {
		opts.Timeout = max(time.Until(until), time.Millisecond)
	}
	c, err := corefile.OpenWith(core, opts)
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
	// The report already has the contents of the first paragraph.
	_, rest, _ := strings.Cut(text, "\n\n")
	return rest, frames, nil
}

// mostFrames bounds the frames that are searched for the app's own; a runtime may put many
// on top.
const mostFrames = 64
