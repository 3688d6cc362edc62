package run

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/lines"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
)

// A reader takes one pipe of the app's to the outbox, line by line.
type reader struct {
	pipe  *os.File
	flags entry.Flags
	split *lines.Splitter
	out   *outbox.Outbox
	tee   *tee // nil: not copied
}

func newReader(pipe *os.File, flags entry.Flags, maxLine int, out *outbox.Outbox) *reader {
	return &reader{pipe: pipe, flags: flags, split: lines.NewSplitter(maxLine), out: out}
}

// copyTo has all that is read copied to f as well.
func (r *reader) copyTo(f *os.File, log *slog.Logger) { r.tee = newTee(f, log) }

// run reads until the pipe has no writer any more, or until finish.
func (r *reader) run() {
	left := -1 // bytes to read yet; -1 is all
	for left != 0 {
		space := r.split.Space()
		if left > 0 {
			space = space[:min(left, len(space))]
		}
		n, err := r.pipe.Read(space)
		if n > 0 {
			if r.tee != nil {
				r.tee.write(space[:n])
			}
			r.split.Filled(n)
			r.give(r.split.Next)
		}
		if left > 0 {
			left -= n
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && left < 0 {
			// The tree is gone. If the pipe is still open, someone who is not of
			// it has it; what the app wrote is what is in the pipe now.
			left = buffered(r.pipe)
			if r.pipe.SetReadDeadline(time.Time{}) != nil {
				break
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			r.out.Say(entry.Error, "read the app's output: "+err.Error())
		}
		if err != nil {
			break
		}
	}
	r.give(r.split.Last)
	if r.tee != nil {
		r.tee.close()
	}
}

// finish makes run return once it has read what is in the pipe now. It is
// called when nothing of the app is left to write more.
func (r *reader) finish() { r.pipe.SetReadDeadline(time.Unix(1, 0)) }

// give adds the lines that next has to the outbox. A line of nothing is no
// entry.
func (r *reader) give(next func() (lines.Line, bool)) {
	line, ok := next()
	if !ok {
		return
	}
	batch := r.out.Begin(time.Now())
	for ; ok; line, ok = next() {
		if len(line.Text) == 0 {
			continue
		}
		flags := r.flags
		if line.Partial {
			flags |= entry.Partial
		}
		batch.Add(entry.Info, flags, line.Text)
	}
	batch.End()
}

// buffered is the number of bytes in a pipe.
func buffered(pipe *os.File) (n int) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	if raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) != nil || err != nil {
		return 0
	}
	return n
}

// growPipe asks the kernel for room in a pipe; it may refuse.
func growPipe(pipe *os.File, size int) {
	if raw, err := pipe.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size) })
	}
}

// IsTerminal says whether f is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
