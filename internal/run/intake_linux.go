package run

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/lines"
	"github.com/lpportorino/jettison-base-images/internal/markers"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
)

// pipeSize is what an app can write ahead of us, in bytes, before it waits. The
// kernel refuses it to a user who has many pipes already; then it is less.
const pipeSize = 1 << 20

// An intake takes the app's two pipes to the outbox, line by line. One goroutine
// reads both, in the order in which they became readable, so that an app's
// standard output and error stay in the order in which it wrote them as far as
// two pipes can tell.
type intake struct {
	epoll int
	quit  int // an eventfd: read what is in the pipes now, and no more
	out   *outbox.Outbox
	pipes [2]*inlet
	done  chan struct{} // closed when run has returned
}

// An inlet is one pipe.
type inlet struct {
	fd    int // -1 once it has ended
	flags entry.Flags
	split *lines.Splitter
	tee   *tee // nil: not copied
}

// newIntake makes the pipes. stdout and stderr are the app's ends, which the
// caller closes once the app has them.
func newIntake(maxLine int, out *outbox.Outbox) (in *intake, stdout, stderr *os.File, err error) {
	in = &intake{epoll: -1, quit: -1, out: out, done: make(chan struct{})}
	defer func() {
		if err != nil {
			in.close()
			stdout.Close()
			stderr.Close()
		}
	}()
	if in.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return in, nil, nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	if in.quit, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return in, nil, nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if err = in.watch(in.quit); err != nil {
		return in, nil, nil, err
	}
	if stdout, err = in.pipe(0, 0, maxLine); err != nil {
		return in, nil, nil, err
	}
	stderr, err = in.pipe(1, entry.Stderr, maxLine)
	return in, stdout, stderr, err
}

// pipe makes one pipe and returns its writing end.
func (in *intake) pipe(i int, flags entry.Flags, maxLine int) (*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	in.pipes[i] = &inlet{fd: fds[0], flags: flags, split: lines.NewSplitter(maxLine, markers.Unfinished)}
	w := os.NewFile(uintptr(fds[1]), "|")
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize)
	if err := unix.SetNonblock(fds[0], true); err != nil {
		w.Close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	return w, in.watch(fds[0])
}

func (in *intake) watch(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(in.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch a pipe: %w", err)
	}
	return nil
}

// copyTo has what comes from the app's standard output or error copied as well,
// as logs.passthrough says.
func (in *intake) copyTo(stdout, stderr *os.File, passthrough string, log *slog.Logger) {
	for i, f := range []*os.File{stdout, stderr} {
		if passes(passthrough, f) {
			in.pipes[i].tee = newTee(f, log)
		}
	}
}

// run reads until both pipes have no writer any more, or until finish.
func (in *intake) run() {
	defer close(in.done)
	var events [3]unix.EpollEvent
	for open := len(in.pipes); open > 0; {
		n, err := unix.EpollWait(in.epoll, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			in.out.Say(entry.Error, "wait for the app's output: "+err.Error())
			break
		}
		for _, event := range events[:max(n, 0)] {
			if int(event.Fd) == in.quit {
				for _, p := range in.pipes {
					in.drain(p)
				}
				return
			}
			for _, p := range in.pipes {
				if p.fd == int(event.Fd) && in.read(p, math.MaxInt) == 0 {
					in.end(p)
					open--
				}
			}
		}
	}
}

// read reads once, up to limit bytes, and returns how many came: 0 at the end of
// the pipe. A pipe is read when it has something, so it does not wait.
func (in *intake) read(p *inlet, limit int) int {
	space := p.split.Space()
	space = space[:min(limit, len(space))]
	n, err := unix.Read(p.fd, space)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(p.fd, space)
	}
	if err != nil {
		in.out.Say(entry.Error, "read the app's output: "+err.Error())
		return 0
	}
	if n > 0 {
		if p.tee != nil {
			p.tee.write(space[:n])
		}
		p.split.Filled(n)
		in.give(p, p.split.Next)
	}
	return n
}

// drain reads what is in a pipe now. Whoever still holds the other end does not
// belong to the app, whose tree is gone: what the app wrote is there.
func (in *intake) drain(p *inlet) {
	if p.fd < 0 {
		return
	}
	left, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
	for err == nil && left > 0 {
		n := in.read(p, left)
		if n <= 0 {
			break
		}
		left -= n
	}
	in.end(p)
}

// end gives out what is left of a pipe, and closes it.
func (in *intake) end(p *inlet) {
	in.give(p, p.split.Last)
	unix.Close(p.fd)
	p.fd = -1
	if p.tee != nil {
		p.tee.close()
	}
}

// give adds the lines that next has to the outbox. A line of nothing is no
// entry.
func (in *intake) give(p *inlet, next func() (lines.Line, bool)) {
	line, ok := next()
	if !ok {
		return
	}
	batch := in.out.Begin(time.Now())
	for ; ok; line, ok = next() {
		if len(line.Text) == 0 {
			continue
		}
		flags := p.flags
		if line.Partial {
			flags |= entry.Partial
		}
		batch.Add(entry.Info, flags, line.Text)
	}
	batch.End()
}

// finish makes run return once it has read what is in the pipes now, and waits
// for it. It is called when nothing of the app is left to write more.
func (in *intake) finish() {
	unix.Write(in.quit, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-in.done
}

// close gives the descriptors back.
func (in *intake) close() {
	fds := []int{in.epoll, in.quit}
	for _, p := range in.pipes {
		if p != nil {
			fds = append(fds, p.fd)
		}
	}
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// IsTerminal says whether f is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
