package crash

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// Dump delivers a report with the backtraces of all threads of the living app, or, if none could be
// taken, without them. why goes into its title. gdb, which pauses the app, is killed after
// Options.Timeout. An error says that there is no report: the app has ended, is being stopped, or the
// last Dump of this run began less than hangPause ago.
func (w *Watch) Dump(why string) error {
	w.dumping.Lock() // a second Dump waits until the first is done: the second's caller may then stop the app
	defer w.dumping.Unlock()
	w.mu.Lock()
	if !w.hung.IsZero() && time.Since(w.hung) < hangPause {
		w.mu.Unlock()
		return errors.New("the last dump was less than a minute ago")
	}
	w.hung = time.Now()
	w.mu.Unlock()
	select {
	case <-w.app.Exited():
		return errors.New("the app has ended")
	default:
	}
	if w.app.Stopped() {
		return errors.New("the app is being stopped")
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Duration(w.opts.Timeout))
	defer cancel()
	go w.yieldToStop(ctx, cancel)
	at := time.Now()
	states := threadStates(w.life.proc)
	var e evidence
	switch {
	case w.opts.Backtrace == "off":
		e.without = "crash.backtrace is off"
	case w.opts.Backtrace == "builtin":
		e.without = "only gdb can take the backtrace of a living process"
	case w.gdb == nil:
		e.without = "gdb is not on PATH, and only gdb can take the backtrace of a living process"
	case readStatus(w.life.proc).number("TracerPid:") != 0:
		e.without = "a debugger is attached already, and a process can have only one"
	default:
		w.opts.Hold()
		w.attach(ctx, &e)
		w.opts.Free()
	}
	w.opts.Deliver(w.hangReport(why, at, states, &e))
	return nil
}

// yieldToStop cancels a dump when the app is told to stop: it cannot stop while gdb holds it.
func (w *Watch) yieldToStop(ctx context.Context, cancel context.CancelFunc) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
			if w.app.Stopped() {
				cancel()
			}
		}
	}
}

// Hang runs Dump in the background and calls then afterwards, with or without a report. Once Finish
// was called it does nothing, because the app is gone.
func (w *Watch) Hang(why string, then func()) {
	w.mu.Lock()
	if !w.finishing {
		w.children.Go(func() {
			w.Dump(why)
			then()
		})
	}
	w.mu.Unlock()
}

// attach takes the backtraces with gdb, and makes sure that the app runs on afterwards.
func (w *Watch) attach(ctx context.Context, e *evidence) {
	pid := w.app.PID()
	before := stateOf(w.life.proc)
	out, err := w.gdb.attach(ctx, pid)
	if before != 'T' {
		// A gdb that was killed while attached may leave the app stopped, even some time later.
		for range 20 {
			if s := stateOf(w.life.proc); s != 'T' && s != 't' {
				if err == nil {
					break
				}
			} else {
				w.app.Forward(syscall.SIGCONT)
			}
			select {
			case <-w.app.Exited():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	if threads := section(out, sectionThreads); strings.Contains(threads, "#0") {
		e.trace = trace{by: "gdb", threads: threads, libraries: section(out, sectionLibraries)}
	} else if err == nil {
		err = errors.New("gdb shows no threads")
	}
	if err != nil {
		e.without = err.Error()
	}
	if strings.Contains(e.without, "ptrace") || strings.Contains(e.without, "not permitted") {
		e.without += "; to permit it start the container with --cap-add=SYS_PTRACE, and see kernel.yama.ptrace_scope"
	}
}

func (w *Watch) hangReport(why string, at time.Time, states string, e *evidence) *Report {
	r := w.appReport(Hang)
	w.life.update()
	exe, threads := w.life.program()
	build := buildID(exe)
	r.Build = shortBuild(build)
	r.Signature = signHang(&e.trace, exe)
	p := w.page(w.opts.Name+" hangs: "+why, w.moment(at))
	w.process(p, threads)
	p.row("executable", executableRow(exe, build))
	p.row("backtrace", e.source())
	p.block("all threads", e.trace.threads)
	p.block("threads as the kernel sees them", states)
	p.block("libraries", e.trace.libraries)
	w.output(p)
	p.block("memory and limits", w.memory(0))
	return w.finished(r, p)
}

// maxStates bounds the threads that are listed.
const maxStates = 512

// threadStates returns a line for each thread, the main thread first: its number, name and state,
// and, if we may read them, the system call and the kernel function that it is in.
func threadStates(proc string) string {
	tasks, err := sysio.Names(filepath.Join(proc, "task"))
	if err != nil {
		return ""
	}
	rank := func(task string) int {
		if task == filepath.Base(proc) {
			return 0 // the main thread, which has the number of the process
		}
		n, _ := strconv.Atoi(task)
		return n
	}
	slices.SortFunc(tasks, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	var b strings.Builder
	for i, task := range tasks {
		if i == maxStates {
			b.WriteString("… and " + strconv.Itoa(len(tasks)-i) + " more\n")
			break
		}
		dir := filepath.Join(proc, "task", task)
		read := func(name string) string {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			return string(text)
		}
		state := string(stateOf(dir))
		if words, ok := states[state]; ok {
			state = words
		}
		b.WriteString(task + " " + clean(strings.TrimSpace(read("comm"))) + ": " + state)
		if number, _, ok := strings.Cut(read("syscall"), " "); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 { // -1: blocked, as by a page fault
				b.WriteString(", in system call " + number)
			}
		}
		if place := read("wchan"); place != "" && place != "0" {
			b.WriteString(", in " + place + " of the kernel")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// states describes the state letters of /proc/PID/stat.
var states = map[string]string{
	"R": "running",
	"S": "sleeping",
	"D": "waiting in the kernel, uninterruptibly",
	"T": "stopped",
	"t": "stopped by a debugger",
	"Z": "ended",
	"X": "ended",
}

// stateOf returns the state letter in a /proc directory's stat file, or '?' if it has none.
func stateOf(dir string) byte {
	text, _ := os.ReadFile(filepath.Join(dir, "stat"))
	// The name comes before the letter and may contain anything, also a parenthesis.
	rest := text[bytes.LastIndexByte(text, ')')+1:]
	if len(rest) < 2 || rest[0] != ' ' {
		return '?'
	}
	return rest[1]
}
