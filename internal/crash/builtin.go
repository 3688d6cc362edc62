package crash

import (
	"context"
	"strconv"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// readCore takes the backtrace of a core without gdb: the crashing thread first, then the
// others. frames are from the crashing thread.
func readCore(ctx context.Context, core, executable string) (text string, frames []signature.Frame, err error) {
	deadline, _ := ctx.Deadline()
	c, err := corefile.Open(core, corefile.Options{Executable: executable, Deadline: deadline})
	if err != nil {
		return "", nil, err
	}
	text = c.Report()
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

// checkCore returns the build ID of the program that died, and the name of an executable or
// library that is not on disk as it ran; see corefile.Core.Unmatched.
func checkCore(ctx context.Context, core, executable string) (build, unmatched string, err error) {
	deadline, _ := ctx.Deadline()
	c, err := corefile.Open(core, corefile.Options{Executable: executable, Deadline: deadline})
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	return formatID(c.BuildID()), c.Unmatched(), nil
}

// mostFrames bounds the frames that are searched for the app's own; a runtime may put many
// on top.
const mostFrames = 64
