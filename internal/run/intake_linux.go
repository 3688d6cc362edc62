package run

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/lines"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/markers"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/sysio"
	"github.com/lpportorino/jettison-base-images/internal/values"
)

// textKept is how much room for a JSON object is held on to, in bytes: one huge block
// shall not cost memory for ever.
const textKept = 1 << 20

// An intake takes the app's two pipes to the outbox, line by line, and the markers
// in them to the values and the health pools. One goroutine reads both pipes, in the order in
// which they became readable. An app's standard output and error stay in the order in
// which it wrote them, within what two pipes can tell.
type intake struct {
	poll     *poller
	bell     int                // an eventfd: a caller asks, or the end has come
	asks     chan chan struct{} // to be closed when what is in the pipes now was read
	to       sinks
	json     *entry.JSON   // nil: entries are text
	seq      uint64        // of the last JSON object
	text     []byte        // of it
	at       time.Time     // when what is being given was read
	reads    atomic.Int64  // that have ended
	batch    outbox.Batch  // of what is being given
	wrong    []string      // what a pool was told in vain since then
	patience time.Duration // with a block that is open; 0: for ever
	cut      bool          // a block was delivered before its end, which was told
	pipes    [2]*inlet
	pause    func(now time.Time) time.Duration // see switching
	rested   []int
	ended    chan struct{} // closed by finish
	done     chan struct{} // closed when run has returned
}

// sinks are where an intake takes what it reads.
type sinks struct {
	out     *outbox.Outbox
	values  *values.Values
	pools   *health.Keeper
	crashes *crash.Watch
	record  *record
}

// An inlet is one pipe.
type inlet struct {
	fd    int  // -1 once it has ended
	tty   bool // a pseudo-terminal
	flags entry.Flags
	split *lines.Splitter
	read  *markers.Reader
	tee   *tee           // nil: not copied
	begun bool           // the text goes on of which pieces were added
	level loglevel.Level // of that text
	when  time.Time      // something was read last
	quick int            // how many reads were so soon after the one before
	rest  time.Duration  // see paced
}

// number is 0 for standard output and 1 for standard error.
func (p *inlet) number() int { return int(p.flags & entry.Stderr / entry.Stderr) }

// intakeOptions say what an intake's pipes are to be.
type intakeOptions struct {
	maxLine int
	tty     string        // as app.tty
	user    *process.User // whom the app runs as; nil: as we do
}

// newIntake makes the pipes. stdout and stderr are the app's ends, which the
// caller closes once the app has them.
func newIntake(opts intakeOptions, to sinks) (in *intake, stdout, stderr *os.File, err error) {
	in = &intake{
		bell:  -1,
		asks:  make(chan chan struct{}, 1),
		to:    to,
		pause: new(switching).pause,
		ended: make(chan struct{}),
		done:  make(chan struct{}),
	}
	defer func() {
		if err != nil {
			in.close()
			stdout.Close()
			stderr.Close()
		}
	}()
	if in.poll, err = newPoller(); err != nil {
		return in, nil, nil, err
	}
	if in.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return in, nil, nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if err = in.poll.add(in.bell); err != nil {
		return in, nil, nil, err
	}
	if stdout, err = in.pipe(0, 0, opts, opts.tty == "stdout" || opts.tty == "both"); err != nil {
		return in, nil, nil, err
	}
	stderr, err = in.pipe(1, entry.Stderr, opts, opts.tty == "both")
	return in, stdout, stderr, err
}

// pipe makes one pipe, or a pseudo-terminal in its place, and returns its writing end.
func (in *intake) pipe(i int, flags entry.Flags, opts intakeOptions, tty bool) (w *os.File, err error) {
	make := makePipe
	if tty {
		make = makeTTY
	}
	fd, w, err := make()
	if err != nil {
		return nil, err
	}
	in.pipes[i] = &inlet{
		fd:    fd,
		tty:   tty,
		flags: flags,
		split: lines.NewSplitter(opts.maxLine, markers.Unfinished),
	}
	in.pipes[i].read = markers.NewReader(in.mark, func(text []byte, partial bool) { in.add(in.pipes[i], text, partial) })
	// An app that opens its output anew, as /dev/stdout, needs the right to: as the user
	// that it starts as, and as any that it becomes.
	if opts.user != nil {
		unix.Fchown(int(w.Fd()), int(opts.user.UID), int(opts.user.GID))
	}
	unix.Fchmod(int(w.Fd()), 0o666)
	return w, in.poll.add(fd)
}

// copyTo has what comes from the app's standard output or error copied as well.
func (in *intake) copyTo(to copies) {
	for i, p := range in.pipes {
		p.tee = to[i]
	}
}

// configure sets whether markers and blocks count, and how long a block may stay open.
func (in *intake) configure(logs *config.Logs) {
	in.patience = time.Duration(logs.BlockTimeout)
	for _, p := range in.pipes {
		p.read.NoMarkers, p.read.NoBlocks = !logs.Markers, !logs.Blocks
	}
}

// run reads until both pipes have no writer any more, or until finish.
func (in *intake) run() {
	defer close(in.done)
	for open := len(in.pipes); open > 0; {
		limit := in.closeBlocks()
		if in.to.crashes.Idle(time.Now()) && (limit == 0 || limit > time.Second) {
			limit = time.Second // a traceback ends when no more of it comes
		}
		ready, err := in.wait(limit)
		if err != nil {
			in.to.out.Say(logstream.Error, "wait for the app's output: "+err.Error())
			break
		}
		for _, fd := range ready {
			if fd == in.bell {
				if in.answer() {
					return
				}
				continue
			}
			for _, p := range in.pipes {
				if p.fd == fd && in.read(p, math.MaxInt) == 0 {
					in.end(p)
					open--
				}
			}
		}
	}
}

// closeBlocks delivers, as they stand, the blocks that have been open for too long, and
// returns how long the next of those that are open may stay so; 0 if none is open.
func (in *intake) closeBlocks() (next time.Duration) {
	for _, p := range in.pipes {
		since := p.read.OpenSince()
		if since.IsZero() || in.patience == 0 {
			continue
		}
		now := time.Now()
		if left := in.patience - now.Sub(since); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		in.at = now
		in.batch = in.to.out.Begin(now)
		p.read.End()
		in.batch.End()
		if !in.cut {
			in.cut = true
			in.to.out.Say(logstream.Status, fmt.Sprintf("a block that >>| opened had no |<< within %v: it is delivered as it stands, as further ones will be (logs.block_timeout; logs.blocks = false leaves >>| as text)", in.patience))
		}
	}
	return next
}

// answer reads what is in the pipes now, for the callers who rang the bell, and says
// whether the end has come.
func (in *intake) answer() (last bool) {
	var count [8]byte
	sysio.Read(in.bell, count[:])
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
// than limit. It returns false if no read has ended meanwhile: we are waiting for room in
// the outbox, or for who reads the copy, and the app for us. Only one goroutine may
// call it.
func (in *intake) catchUp(limit time.Duration) (going bool) {
	before := in.reads.Load()
	ask := make(chan struct{})
	select {
	case in.asks <- ask:
		in.ring()
	default: // the last one is still unanswered
	}
	select {
	case <-ask:
		return true
	case <-in.done:
		return true
	case <-time.After(limit):
		return in.reads.Load() != before
	}
}

func (in *intake) ring() { sysio.Write(in.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// read reads once, up to limit bytes, and returns how many came: 0 at the end of
// the pipe, less than 0 if there is nothing now.
func (in *intake) read(p *inlet, limit int) int {
	space := p.split.Space()
	space = space[:min(limit, len(space))]
	n, err := sysio.Read(p.fd, space)
	if errors.Is(err, unix.EAGAIN) {
		return -1
	}
	if p.tty && errors.Is(err, unix.EIO) {
		return 0 // the other side is closed, and all was read
	}
	if err != nil {
		in.to.out.Say(logstream.Error, "read the app's output: "+err.Error())
		return 0
	}
	in.paced(p, n)
	if n > 0 {
		if p.tee != nil {
			p.tee.write(space[:n])
		}
		in.to.crashes.Output(p.number(), space[:n])
		p.split.Filled(n)
		if in.deliverLines(p, p.split.Next) == 0 {
			// A progress bar or a row of dots is output, too, long before its line ends.
			in.to.pools.Heard(beat.Output, 1, time.Now())
		}
	}
	in.reads.Add(1)
	return n
}

// drain reads what is in a pipe now.
func (in *intake) drain(p *inlet) {
	left, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
	if p.tty {
		left = pipeSize // the kernel does not count all that it has
	}
	for err == nil && left > 0 {
		n := in.read(p, left)
		if n <= 0 {
			break
		}
		left -= n
	}
}

// end gives out what is left of a pipe, and closes it. A process that still holds the
// other end does not belong to the app.
func (in *intake) end(p *inlet) {
	in.deliverLines(p, p.split.Last)
	in.to.crashes.Ended(p.number())
	in.batch = in.to.out.Begin(time.Now())
	p.read.End()
	in.batch.End()
	unix.Close(p.fd)
	p.fd = -1
}

// deliverLines adds the lines that next has to the outbox, but for their markers. An empty
// line is no entry. It returns how many lines have ended.
func (in *intake) deliverLines(p *inlet, next func() (lines.Line, bool)) (ended int) {
	line, ok := next()
	if !ok {
		return 0
	}
	in.at = time.Now()
	p.read.Now = in.at
	in.batch = in.to.out.Begin(in.at)
	for ; ok; line, ok = next() {
		if line.Overwritten {
			p.read.Overwritten(line.Text)
			continue
		}
		in.to.crashes.Line(p.number(), line.Text, in.at)
		p.read.Line(line.Text, line.Partial)
		if !line.Partial {
			ended++
		}
	}
	in.batch.End()
	in.to.pools.Heard(beat.Output, ended, in.at)
	for _, wrong := range in.wrong {
		in.to.out.Say(logstream.Error, wrong)
	}
	in.wrong = in.wrong[:0]
	return ended
}

// add adds one text, or a piece of one, to the outbox.
func (in *intake) add(p *inlet, text []byte, partial bool) {
	flags := p.flags
	if partial {
		flags |= entry.Partial
	}
	if in.json != nil {
		in.seq++
		in.text, p.level = in.json.Append(in.text[:0], text, entry.Meta{
			Received: in.at, Seq: in.seq, Stderr: flags&entry.Stderr != 0, Partial: partial,
		})
		text = in.text
	} else if !p.begun { // a level stands where a line begins
		p.level = entry.LevelOf(text)
	}
	if p.level == loglevel.Error {
		flags |= entry.Alarm
		if !p.begun {
			in.to.record.errors.Add(1)
		}
	}
	p.begun = partial
	in.batch.Add(logstream.Info, flags, text)
	if cap(in.text) > textKept {
		in.text = nil
	}
}

// mark acts on one marker.
func (in *intake) mark(m markers.Marker) {
	if m.Value == nil {
		in.to.values.Count(m.Key)
	} else {
		in.to.values.Set(m.Key, m.Value)
	}
	category, property, ok := m.Pool()
	switch {
	case !ok:
	case m.Value != nil && string(property) != "beats":
		if err := in.to.pools.Set(category, property, m.Value, in.at); err != nil {
			in.wrong = append(in.wrong, err.Error())
		}
	case m.Value == nil && string(property) == "beats":
		if err := in.to.pools.Beat(category, in.at); err != nil {
			in.wrong = append(in.wrong, err.Error())
		}
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
	in.poll.close()
	fds := []int{in.bell}
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
