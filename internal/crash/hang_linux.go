package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrTooSoon says that a Dump came less than a minute after the last one.
var ErrTooSoon = errors.New("the last dump was less than a minute ago")

// Dump reports where all threads of the living app are, and why that is asked.
// The app stands still meanwhile and then goes on. It returns when the report has
// been delivered, in no more than the timeout, even if there is no backtrace to
// be had.
func (w *Watch) Dump(why string) error {
	w.mu.Lock()
	if !w.hung.IsZero() && time.Since(w.hung) < hangPause {
		w.mu.Unlock()
		return ErrTooSoon
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
	ctx, cancel := context.WithTimeout(w.ctx, w.opts.Timeout)
	defer cancel()
	go w.yieldToStop(ctx, cancel)
	at := time.Now()
	states := threadStates(w.life.proc)
	var t trace
	without := ""
	switch {
	case w.opts.Backtrace == "off":
		without = "crash.backtrace is off"
	case w.opts.Backtrace == "builtin":
		without = "only gdb can take the backtrace of a living process"
	case w.gdb == nil:
		without = "gdb is not on PATH, and only gdb can take the backtrace of a living process"
	default:
		if w.opts.Hold != nil {
			w.opts.Hold()
		}
		t, without = w.attach(ctx)
		if w.opts.Free != nil {
			w.opts.Free()
		}
	}
	w.opts.Deliver(w.hangReport(why, at, states, t, without))
	return nil
}

// yieldToStop ends a dump when the app is to stop, which it cannot while gdb holds
// it.
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

// Hang is Dump for a caller who does not wait. It calls then when the report has
// been delivered, or when there is none.
func (w *Watch) Hang(why string, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finishing {
		return
	}
	w.children.Go(func() {
		w.Dump(why)
		then()
	})
}

// attach takes the backtraces with gdb and sees to it that the app goes on.
func (w *Watch) attach(ctx context.Context) (t trace, without string) {
	pid := w.app.PID()
	before := stateOf(w.life.proc)
	sections, err := w.gdb.attach(ctx, pid)
	if before != 'T' {
		// gdb that was ended in the middle may leave a stop behind.
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
	t = trace{by: "gdb", threads: sections[sectionThreads], libraries: sections[sectionLibraries]}
	if strings.Contains(t.threads, "#0") {
		return t, ""
	}
	if err == nil {
		err = errors.New("gdb shows no threads")
	}
	if strings.Contains(err.Error(), "ptrace") || strings.Contains(err.Error(), "not permitted") {
		err = fmt.Errorf("%w; to permit it start the container with --cap-add=SYS_PTRACE, and see kernel.yama.ptrace_scope", err)
	}
	return trace{}, err.Error()
}

func (w *Watch) hangReport(why string, at time.Time, states string, t trace, without string) *Report {
	r := &Report{Kind: Hang, Run: w.opts.Run, PID: w.app.PID(), ExitCode: -1}
	var p page
	fmt.Fprintf(&p, "%s hangs: %s\n\n", w.opts.Name, why)
	w.life.look()
	w.life.mu.Lock()
	exe, threads := w.life.exe, w.life.threads
	w.life.mu.Unlock()
	p.row("when", "%s, after %s", moment(at), span(at.Sub(w.began)))
	p.row("run", "%s", w.opts.Run)
	p.row("process", "%d%s%s", r.PID, w.who(), plural(threads, "thread"))
	p.row("executable", "%s", executableRow(exe))
	e := evidence{trace: t, without: without}
	p.row("backtrace", "%s", e.told())
	p.block("all threads", t.threads)
	p.block("threads as the kernel sees them", states)
	p.block("libraries", t.libraries)
	w.output(&p)
	p.block("memory and limits", w.memory(0))
	r.Message = p.message(w.secrets())
	return r
}

// maxStates bounds the threads that are told.
const maxStates = 512

// threadStates is a line for each thread: its name, what state it is in, and what
// it waits for in the kernel, as far as we may know.
func threadStates(proc string) string {
	tasks, err := os.ReadDir(filepath.Join(proc, "task"))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for i, task := range tasks {
		if i == maxStates {
			fmt.Fprintf(&b, "… and %d more\n", len(tasks)-i)
			break
		}
		dir := filepath.Join(proc, "task", task.Name())
		comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
		where, _ := os.ReadFile(filepath.Join(dir, "wchan"))
		call, _ := os.ReadFile(filepath.Join(dir, "syscall"))
		state := string(stateOf(dir))
		for _, s := range states {
			if s.letter == state {
				state = s.words
			}
		}
		fmt.Fprintf(&b, "%s %s: %s", task.Name(), clean([]byte(strings.TrimSpace(string(comm)))), state)
		if number, _, ok := strings.Cut(string(call), " "); ok {
			if _, err := strconv.Atoi(number); err == nil {
				fmt.Fprintf(&b, ", in system call %s", number)
			}
		}
		if place := string(where); place != "" && place != "0" {
			fmt.Fprintf(&b, ", in %s of the kernel", place)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// states are the letters of /proc/PID/stat.
var states = []struct{ letter, words string }{
	{"R", "running"},
	{"S", "sleeping"},
	{"D", "waiting in the kernel, uninterruptibly"},
	{"T", "stopped"},
	{"t", "stopped by a debugger"},
	{"Z", "ended"},
	{"X", "ended"},
}

// stateOf is the letter in the stat file of a directory of /proc; '?' if there is
// none.
func stateOf(dir string) byte {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return '?'
	}
	if _, rest, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " "); ok && rest != "" {
		return rest[0]
	}
	return '?'
}
