// Package crash writes one report for each crash of an app: what happened, where, and what
// its debugging needs.
//
// A Watch follows one run. Its parts: living_linux.go looks at the living app, find_linux.go
// finds cores, ending_linux.go decides whether the app's end is a crash, trace_linux.go has gdb
// or corefile take a core's backtrace, hang_linux.go has gdb take those of the living app, and
// compose_linux.go writes the reports.
package crash

import (
	"context"
	"hash/maphash"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// Options configure a Watch.
type Options struct {
	config.Crash
	Name string // of the app
	Run  string // when the run began, as its marker says it
	// MostTracebacks is how many entries a run may have about tracebacks that the app
	// survives.
	MostTracebacks int
	// Secrets returns the texts that no report may show. It is called for each report, from
	// any goroutine.
	Secrets    func() []string
	Supervisor *process.Supervisor
	Deliver    func(*Report) // called from any goroutine
	// Hold is called before gdb pauses the living app, and Free when the app runs again.
	Hold, Free func()
}

// A Watch watches one run of an app for crashes.
type Watch struct {
	opts         Options
	pattern      *pattern
	wrong        error // why there is no pattern
	tail         *tail
	survivalTime time.Duration // the constant, or what a test sets

	listeners [2]*traceback.Recognizer // of the two pipes

	app     *process.Process
	cmd     process.Command
	began   time.Time
	life    *life
	counted oomCount // before the app was started
	finder  *finder  // under looking
	gdb     *gdb     // nil: not on PATH, or not wanted
	last    *death   // the app's; run sets it when the app has ended

	looking  sync.Mutex
	ctx      context.Context // cancelled when reports have to be ready at once
	hurry    context.CancelFunc
	crowd    chan struct{}  // has a value when many tracebacks wait
	complete chan struct{}  // closed when there is no more output
	ended    chan struct{}  // closed when run has returned
	children sync.WaitGroup // reports of other processes of the tree, and Hangs
	turn     sync.Mutex     // held by the one child that takes a backtrace
	dumping  sync.Mutex     // held by the one Dump under way

	repeats repeats // used by survived and deliverSums

	mu        sync.Mutex
	blocks    []heard
	held      int       // bytes of blocks
	own       *found    // the app's core, if it was found
	packed    error     // why the core in a handler's store was not unpacked
	reported  bool      // the app's death was reported
	hung      time.Time // of the last Dump
	recent    []time.Time
	skipped   int  // cores of the tree that came too fast and were not reported
	finishing bool // Finish was called
}

// heard is a traceback, and when it came.
type heard struct {
	traceback.Report
	at   time.Time
	lost int // tracebacks just before it that are not reported
}

// sysKernel is the directory with the kernel's core_pattern.
const sysKernel = "/proc/sys/kernel"

// Times.
const (
	// outputGrace is how long a report waits for the last output while a process of the
	// app's tree still holds the pipes.
	outputGrace = time.Second

	// stopLimit bounds the report of a crash while stopping: a container runtime or systemd
	// kills us soon.
	stopLimit = 5 * time.Second

	// survivalTime is how long an app must live after a traceback to have survived it. An
	// interpreter can take seconds to end, as Python with CUDA does.
	survivalTime = 5 * time.Second

	// handlerGrace is how long a core may take to appear in a handler's store.
	handlerGrace = 3 * time.Second

	// checkShare bounds the cost of checks of the living app: the pause after a check is at
	// least checkShare times as long as the check took.
	checkShare = 50

	hangPause    = time.Minute // between two Dumps
	childrenEach = 10          // reports of cores of the tree in a minute

	// maxHeld bounds the bytes of tracebacks that wait to be reported. Beyond it the oldest
	// are only counted.
	maxHeld = 4 << 20
)

// New returns a Watch for an app that will be started.
func New(opts Options) *Watch {
	w := &Watch{opts: opts, tail: newTail(opts.ContextLines), survivalTime: survivalTime}
	w.repeats = repeats{seed: maphash.MakeSeed(), room: opts.MostTracebacks}
	w.crowd, w.complete, w.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	for i := range w.listeners {
		w.listeners[i] = traceback.New(w.Traceback)
	}
	w.ctx, w.hurry = context.WithCancel(context.Background())
	w.counted = countOOM(cgroupOf("/proc/self"))
	if opts.Core {
		w.pattern, w.wrong = readPattern(sysKernel)
	}
	return w
}

// Output adds bytes read from the app's standard output (0) or standard error (1) to the
// tail. Only one goroutine may call it. It does not retain b.
func (w *Watch) Output(pipe int, b []byte) {
	if w.tail != nil {
		w.tail.add(pipe, b)
	}
}

// Traceback queues a traceback from the output. It is reported after survivalTime, or earlier
// if many wait or the app ends. Only the last one may go into the death's report instead; see
// lastBlock.
func (w *Watch) Traceback(r traceback.Report) {
	w.mu.Lock()
	w.blocks = append(w.blocks, heard{Report: r, at: time.Now()})
	for w.held += len(r.Text); w.held > maxHeld && len(w.blocks) > 1; w.blocks = w.blocks[1:] {
		w.held -= len(w.blocks[0].Text)
		w.blocks[1].lost += w.blocks[0].lost + 1
	}
	if w.held > maxHeld/4 {
		select {
		case w.crowd <- struct{}{}:
		default:
		}
	}
	w.mu.Unlock()
}

// Start begins to watch the app, which was started just now with cmd. Finish
// ends it.
func (w *Watch) Start(app *process.Process, cmd process.Command, began time.Time) {
	w.app, w.cmd, w.began = app, cmd, began
	w.life = newLife(app.PID(), cmd.Path, cmd.Dir, w.counted)
	w.finder = &finder{
		pattern: w.pattern, name: w.opts.Name, began: began, ours: w.life.owns,
		retain: w.opts.KeepCore, seen: make(map[version]bool),
	}
	if w.opts.Backtrace == "auto" || w.opts.Backtrace == "gdb" {
		w.gdb = findGDB(w.opts.Supervisor, cmd.User)
	}
	w.life.update() // the app may end soon
	go w.run()
}

// Finish must be called when the app and its tree are gone and no more output comes. It
// returns when every report has been delivered. A report's timeout includes its wait for the
// backtraces of others. Hurry shortens the timeouts.
func (w *Watch) Finish() {
	close(w.complete)
	w.mu.Lock()
	w.finishing = true
	w.mu.Unlock()
	<-w.ended
	w.children.Wait()
	w.end()
	w.hurry()
}

// Hurry makes Finish deliver the reports at once if sig asks wrapp to end. Call it only
// when the app has ended.
func (w *Watch) Hurry(sig os.Signal) {
	if number, _ := process.Number(sig); number == syscall.SIGTERM || number == syscall.SIGINT {
		w.hurry()
	}
}

// run watches the app until it ends, and reports its death.
func (w *Watch) run() {
	pause := firstPause
	timer := time.NewTimer(0)
	for {
		select {
		case <-timer.C:
			began := time.Now()
			w.life.update()
			if pause == lastPause {
				w.survived(began.Add(-w.survivalTime))
				w.deliverSums(false)
				w.findCores(w.ctx, false)
				w.life.forget()
			}
			pause = min(2*pause, lastPause)
			timer.Reset(max(pause, checkShare*time.Since(began)))
			continue
		case <-w.crowd:
			w.outlived()
			continue
		case <-w.app.Exited():
		}
		break
	}
	timer.Stop()
	w.ending()
	close(w.ended)
}

// findCores looks for new cores. It stores the app's own core and starts a report for each
// other one. last and broken are those of finder.find.
func (w *Watch) findCores(ctx context.Context, last bool) (broken []string) {
	w.looking.Lock()
	cores, broken := w.finder.find(ctx, w.life.places(), last)
	w.looking.Unlock()
	for _, c := range cores {
		if c.PID == w.app.PID() {
			w.mu.Lock()
			w.own = c
			w.mu.Unlock()
			continue
		}
		w.children.Go(func() { w.reportCore(c) })
	}
	return broken
}

// lastBlock returns the last traceback if the app did not survive it. remove takes it out of
// the queue, so that only the report of the death has it.
func (w *Watch) lastBlock(remove bool) *heard {
	var b *heard
	w.mu.Lock()
	if n := len(w.blocks); n > 0 && !w.blocks[n-1].at.Before(w.last.at.Add(-w.survivalTime)) {
		last := w.blocks[n-1]
		b = &last
		if remove {
			w.blocks = w.blocks[:n-1]
			w.held -= len(b.Text)
		}
	}
	w.mu.Unlock()
	return b
}

// survived reports or counts the tracebacks up to an instant: the app has survived them.
// One goroutine at a time may call it.
func (w *Watch) survived(before time.Time) {
	w.mu.Lock()
	var old []heard
	for len(w.blocks) > 0 && !w.blocks[0].at.After(before) {
		old, w.blocks = append(old, w.blocks[0]), w.blocks[1:]
		w.held -= len(old[len(old)-1].Text)
	}
	w.mu.Unlock()
	for i := range old {
		if b := &old[i]; !b.interrupted() && w.repeats.wants(b, b.at) {
			w.opts.Deliver(w.tracebackReport(b))
		}
	}
}

// outlived calls survived for all tracebacks but the last.
func (w *Watch) outlived() {
	w.mu.Lock()
	var last time.Time
	if n := len(w.blocks); n > 0 {
		last = w.blocks[n-1].at
	}
	w.mu.Unlock()
	w.survived(last.Add(-1))
}

// reportCore reports a core of another process of the tree.
func (w *Watch) reportCore(c *found) {
	w.mu.Lock()
	now := time.Now()
	for len(w.recent) > 0 && now.Sub(w.recent[0]) > time.Minute {
		w.recent = w.recent[1:]
	}
	enough := len(w.recent) >= childrenEach
	skipped := w.skipped
	if enough {
		w.skipped++
	} else {
		w.recent = append(w.recent, now)
		w.skipped = 0
	}
	w.mu.Unlock()
	e := evidence{at: c.when, core: c, skipped: skipped}
	if !enough {
		ctx, cancel := context.WithTimeout(w.ctx, time.Duration(w.opts.Timeout))
		w.turn.Lock()
		w.backtrace(ctx, c, &e)
		w.turn.Unlock()
		cancel()
	}
	w.looking.Lock()
	w.finder.discard(c)
	w.looking.Unlock()
	if !enough {
		w.opts.Deliver(w.coreReport(&e))
	}
}
