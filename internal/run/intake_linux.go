package run

import (
	"cmp"
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

// textKept is the largest buffer for a JSON object that is kept, in bytes, so that one huge
// block does not cost memory for ever.
const textKept = 1 << 20

// An intake reads the app's two pipes. It adds their lines to the outbox, and passes their
// markers to the values and the health pools. One goroutine reads both pipes, in the order in
// which they became readable, so that lines of standard output and error keep their order as
// well as two pipes allow.
type intake struct {
	poll     *poller
	bell     int                // an eventfd that wakes run: a caller asks, or finish was called
	asks     chan chan struct{} // run closes the inner channel once it has read the pipes
	to       sinks
	json     *entry.JSON   // nil: entries are text
	seq      uint64        // number of the last JSON object
	text     []byte        // scratch buffer for that object
	at       time.Time     // when the lines being delivered were read
	reads    atomic.Int64  // finished reads
	wrong    []string      // errors of markers in these lines, to be reported
	patience time.Duration // how long a block may stay open
	clock    time.Time     // for blocks and tracebacks; stands still while wrapp does not read, see pass
	passed   time.Time     // of the last call of pass
	toldCut  bool          // the user was told that blocks are delivered before their end
	pipes    [2]*inlet
	pause    func(now time.Time) time.Duration // how long an inlet rests; see switching
	rested   []int                             // result of rest
	ended    chan struct{}                     // closed by finish
	done     chan struct{}                     // closed when run has returned
}

// sinks are the receivers of an intake's lines and markers.
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
	begun bool           // the next text continues one whose pieces were added
	bar   bool           // the present line overwrites text
	level loglevel.Level // of that text
	when  time.Time      // of the last read with data
	quick int            // small reads in a row; see paced
	rest  time.Duration  // pause before the next read; see paced
}

// number returns 0 for standard output and 1 for standard error.
func (p *inlet) number() int { return int(p.flags & entry.Stderr / entry.Stderr) }

// intakeOptions describe an intake's pipes.
type intakeOptions struct {
	logs   *config.Logs
	tty    string        // as app.tty
	user   *process.User // that the app runs as; nil: our own
	copies copies
}

// newIntake makes the pipes. stdout and stderr are the app's ends, which the
// caller closes once the app has them.
func newIntake(opts intakeOptions, to sinks) (in *intake, stdout, stderr *os.File, err error) {
	in = &intake{
		bell:     -1,
		asks:     make(chan chan struct{}, 1),
		to:       to,
		patience: time.Duration(opts.logs.BlockTimeout),
		clock:    time.Now(),
		passed:   time.Now(),
		pause:    new(switching).pause,
		ended:    make(chan struct{}),
		done:     make(chan struct{}),
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
	p := &inlet{
		fd:    fd,
		tty:   tty,
		flags: flags,
		split: lines.NewSplitter(int(opts.logs.MaxLine), markers.Unfinished),
		tee:   opts.copies[i],
	}
	p.read = markers.NewReader(in.mark, func(text []byte, partial bool) { in.add(p, text, partial) })
	p.read.NoMarkers, p.read.NoBlocks = !opts.logs.Markers, !opts.logs.Blocks
	in.pipes[i] = p
	// The app's user owns its output, since a program may look at the owner of its terminal, or
	// change the mode. The mode lets every other user that the app becomes open /dev/stdout anew.
	if opts.user != nil {
		unix.Fchown(int(w.Fd()), int(opts.user.UID), int(opts.user.GID))
	}
	unix.Fchmod(int(w.Fd()), 0o666)
	return w, in.poll.add(fd)
}

// run reads until both pipes have no writer any more, or until finish.
func (in *intake) run() {
	defer close(in.done)
	for open := len(in.pipes); open > 0; {
		in.pass(longestRead)
		limit := in.closeBlocks()
		if in.to.crashes.Idle(in.clock) && (limit == 0 || limit > time.Second) {
			limit = time.Second // a traceback is open; it ends when no further line comes
		}
		ready, err := in.wait(limit)
		in.pass(cmp.Or(limit, math.MaxInt64))
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

// longestRead is how long the delivery of what was read takes at most, unless the outbox or the machine
// holds it up.
const longestRead = 100 * time.Millisecond

// pass lets the clock go on by the time since the last call, but by most at most: the end of a block or
// traceback may wait in a pipe while wrapp is stopped, or waits for room in the outbox.
func (in *intake) pass(most time.Duration) {
	now := time.Now()
	in.clock, in.passed = in.clock.Add(min(now.Sub(in.passed), most)), now
}

// closeBlocks delivers the blocks that have been open for too long. It returns the time until
// the next open one is due, 0 if none is open.
func (in *intake) closeBlocks() (next time.Duration) {
	for _, p := range in.pipes {
		since := p.read.OpenSince()
		if since.IsZero() {
			continue
		}
		if left := in.patience - in.clock.Sub(since); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		in.at = time.Now()
		p.read.End()
		in.to.out.Send()
		if !in.toldCut {
			in.toldCut = true
			in.to.out.Say(logstream.Status, fmt.Sprintf("a block that >>| opened had no |<< within %v: it is delivered as it stands, as further ones will be (logs.block_timeout; logs.blocks = false leaves >>| as text)", in.patience))
		}
	}
	return next
}

// answer reads the present content of the pipes for callers that rang the bell. last: finish
// was called, and both pipes are closed.
func (in *intake) answer() (last bool) {
	var count [8]byte
	sysio.Read(in.bell, count[:])
	// One read of the bell may take the rings of both.
	select {
	case ask := <-in.asks:
		for _, p := range in.pipes {
			if p.fd >= 0 {
				in.drain(p)
			}
		}
		close(ask)
	default:
	}
	select {
	case <-in.ended:
		for _, p := range in.pipes {
			if p.fd >= 0 {
				in.drain(p)
				in.end(p)
			}
		}
		return true
	default:
		return false
	}
}

// catchUp waits until run has read the present content of the pipes, but no longer than limit,
// nor than the app lives: exited is closed at its end. It returns false if no read has ended
// meanwhile: run is blocked, by a full outbox or the reader of a copy, and may block the app. Only
// one goroutine may call it.
func (in *intake) catchUp(limit time.Duration, exited <-chan struct{}) (going bool) {
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
	case <-exited:
	case <-time.After(limit):
	}
	return in.reads.Load() != before
}

func (in *intake) ring() { sysio.Write(in.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// read reads once, up to limit bytes. It returns the number of bytes, 0 at the end of the pipe
// or after an error, or less than 0 if the pipe is empty.
func (in *intake) read(p *inlet, limit int) int {
	space := p.split.Space()
	space = space[:min(limit, len(space))]
	n, err := sysio.Read(p.fd, space)
	in.paced(p, n)
	if errors.Is(err, unix.EAGAIN) {
		return -1
	}
	if p.tty && errors.Is(err, unix.EIO) {
		return 0 // the app's side is closed, and everything was read
	}
	if err != nil {
		in.to.out.Say(logstream.Error, "read the app's output: "+err.Error())
		return 0
	}
	if n > 0 {
		if p.tee != nil {
			p.tee.write(space[:n])
		}
		in.to.crashes.Output(p.number(), space[:n])
		p.split.Filled(n)
		if in.deliverLines(p, p.split.Next) == 0 {
			// A progress bar or a row of dots is a beat, too, long before its line ends.
			in.to.pools.Heard(beat.Output, 1, time.Now())
		}
	}
	in.reads.Add(1)
	return n
}

// drain reads the present content of a pipe.
func (in *intake) drain(p *inlet) {
	left, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
	if p.tty {
		left = pipeSize // the kernel counts only part of a terminal's content
	}
	for err == nil && left > 0 {
		n := in.read(p, left)
		if n <= 0 {
			break
		}
		left -= n
	}
}

// end delivers the rest of a pipe, and closes it. A process that still has the other end open
// does not belong to the app.
func (in *intake) end(p *inlet) {
	in.deliverLines(p, p.split.Last)
	in.to.crashes.Ended(p.number())
	in.at = time.Now()
	p.read.End()
	in.to.out.Send()
	unix.Close(p.fd)
	p.fd = -1
}

// deliverLines adds the lines that next returns, without their markers, to the outbox. An
// empty line is no entry. It returns how many lines have ended.
func (in *intake) deliverLines(p *inlet, next func() (lines.Line, bool)) (ended int) {
	line, ok := next()
	if !ok {
		return 0
	}
	in.at = time.Now()
	p.read.Now = in.clock
	for ; ok; line, ok = next() {
		if line.Overwritten {
			p.read.Overwritten(line.Text)
			p.bar = true
			continue
		}
		in.to.crashes.Line(p.number(), line.Text, p.bar, in.clock)
		p.bar = p.bar && line.Partial
		p.read.Line(line.Text, line.Partial)
		if !line.Partial {
			ended++
		}
	}
	in.to.out.Send()
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
	} else if !p.begun { // the first piece of a line has its level
		p.level = entry.LevelOf(text)
	}
	if p.level == loglevel.Error {
		flags |= entry.Alarm
		if !p.begun {
			in.to.record.errors.Add(1)
		}
	}
	p.begun = partial
	in.to.out.Add(in.at, logstream.Info, flags, text)
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
		if err := in.to.pools.HeardMarker(category, in.at); err != nil {
			in.wrong = append(in.wrong, err.Error())
		}
	}
}

// finish makes run read the present content of the pipes and return, and waits for that. Call
// it when no process of the app is left.
func (in *intake) finish() {
	close(in.ended)
	in.ring()
	<-in.done
}

// close closes the descriptors.
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

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
