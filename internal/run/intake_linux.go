package run

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/lines"
	"github.com/lpportorino/jettison-base-images/internal/markers"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
)

// pipeSize is what an app can write ahead of us, in bytes, before it waits. The
// kernel refuses it to a user who has many pipes already; then it is less.
const pipeSize = 1 << 20

// An intake takes the app's two pipes to the outbox, line by line, and the markers
// in them to the health pools. One goroutine reads both pipes, in the order in
// which they became readable, so that an app's standard output and error stay in
// the order in which it wrote them as far as two pipes can tell.
type intake struct {
	epoll int
	bell  int                // an eventfd: somebody asks, or the end has come
	asks  chan chan struct{} // to be closed when what is in the pipes now was read
	out   *outbox.Outbox
	pools *health.Keeper
	act   func(markers.Marker) // in.mark
	at    time.Time            // when what is being given was read
	wrong []string             // what a pool was told in vain since then
	pipes [2]*inlet
	ended chan struct{} // closed by finish
	done  chan struct{} // closed when run has returned
}

// An inlet is one pipe.
type inlet struct {
	fd    int // -1 once it has ended
	flags entry.Flags
	split *lines.Splitter
	tee   *tee // nil: not copied
	begun bool // pieces of the line that is being read were added
}

// newIntake makes the pipes. stdout and stderr are the app's ends, which the
// caller closes once the app has them.
func newIntake(maxLine int, out *outbox.Outbox, pools *health.Keeper) (in *intake, stdout, stderr *os.File, err error) {
	in = &intake{
		epoll: -1,
		bell:  -1,
		asks:  make(chan chan struct{}, 1),
		out:   out,
		pools: pools,
		ended: make(chan struct{}),
		done:  make(chan struct{}),
	}
	in.act = in.mark
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
	if in.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return in, nil, nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if err = in.watch(in.bell); err != nil {
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
			if int(event.Fd) == in.bell {
				if in.answer() {
					return
				}
				continue
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

// answer reads what is in the pipes now, for whoever has rung the bell, and says
// whether the end has come.
func (in *intake) answer() (last bool) {
	var count [8]byte
	unix.Read(in.bell, count[:])
	select {
	case <-in.ended:
		for _, p := range in.pipes {
			if p.fd >= 0 {
				in.drain(p)
				in.end(p)
			}
		}
		return true
	case ask := <-in.asks:
		for _, p := range in.pipes {
			if p.fd >= 0 {
				in.drain(p)
			}
		}
		close(ask)
	default:
	}
	return false
}

// catchUp has what is in the pipes now read, and waits for that, but no longer
// than limit. Only one goroutine may call it.
func (in *intake) catchUp(limit time.Duration) {
	ask := make(chan struct{})
	select {
	case in.asks <- ask:
	default:
		return // the last one is still unanswered
	}
	in.ring()
	select {
	case <-ask:
	case <-in.done:
	case <-time.After(limit):
	}
}

func (in *intake) ring() { unix.Write(in.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// read reads once, up to limit bytes, and returns how many came: 0 at the end of
// the pipe, less than 0 if there is nothing now.
func (in *intake) read(p *inlet, limit int) int {
	space := p.split.Space()
	space = space[:min(limit, len(space))]
	n, err := unix.Read(p.fd, space)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(p.fd, space)
	}
	if errors.Is(err, unix.EAGAIN) {
		return -1
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

// drain reads what is in a pipe now.
func (in *intake) drain(p *inlet) {
	left, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
	for err == nil && left > 0 {
		n := in.read(p, left)
		if n <= 0 {
			break
		}
		left -= n
	}
}

// end gives out what is left of a pipe, and closes it. Whoever still holds the
// other end does not belong to the app.
func (in *intake) end(p *inlet) {
	in.give(p, p.split.Last)
	unix.Close(p.fd)
	p.fd = -1
	if p.tee != nil {
		p.tee.close()
	}
}

// give adds the lines that next has to the outbox, without their markers. A line
// of nothing is no entry; nor is one of blanks, where markers have made it one.
func (in *intake) give(p *inlet, next func() (lines.Line, bool)) {
	line, ok := next()
	if !ok {
		return
	}
	in.at = time.Now()
	batch := in.out.Begin(in.at)
	ended := 0
	for ; ok; line, ok = next() {
		text, marked := markers.Take(line.Text, in.act)
		if marked && len(bytes.TrimSpace(text)) == 0 {
			text = text[:0]
		}
		flags := p.flags
		if line.Partial {
			flags |= entry.Partial
		} else {
			ended++
		}
		// The pieces of a line end with one that is not partial, even if
		// nothing is left for it.
		if len(text) > 0 || p.begun && !line.Partial {
			batch.Add(entry.Info, flags, text)
			p.begun = line.Partial
		}
	}
	batch.End()
	in.pools.Output(ended, in.at)
	for _, wrong := range in.wrong {
		in.out.Say(entry.Error, wrong)
	}
	in.wrong = in.wrong[:0]
}

// mark acts on one marker.
func (in *intake) mark(m markers.Marker) {
	category, property, ok := m.Pool()
	switch {
	case !ok:
	case m.Value != nil && string(property) != "beats":
		if err := in.pools.Set(category, property, m.Value, in.at); err != nil {
			in.wrong = append(in.wrong, err.Error())
		}
	case m.Value == nil && string(property) == "beats":
		in.pools.Beat(category, in.at)
	}
}

// finish makes run return once it has read what is in the pipes now, and waits
// for it. It is called when nothing of the app is left to write more.
func (in *intake) finish() {
	close(in.ended)
	in.ring()
	<-in.done
}

// close gives the descriptors back.
func (in *intake) close() {
	fds := []int{in.epoll, in.bell}
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
