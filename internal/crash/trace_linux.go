package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// A trace holds the backtraces, in sections of text.
type trace struct {
	by                                                  string // the tool that took it
	backtrace, registers, code, threads, libraries, raw string

	frames []signature.Frame // of the crashing thread
}

// newTrace makes a trace of gdb's output. threads stays empty if the backtrace shows the only
// thread.
func newTrace(out string) trace {
	t := trace{
		by:        "gdb",
		backtrace: without(section(out, sectionBacktrace), "No locals.", "No symbol table info available."),
		registers: without(section(out, sectionRegisters), "<unavailable>"),
		code:      section(out, sectionCode),
		threads:   section(out, sectionThreads),
		libraries: section(out, sectionLibraries),
	}
	if !strings.Contains(t.backtrace, "#0") {
		t.backtrace = ""
	}
	if strings.Contains(t.backtrace, gdbLastFrame) {
		t.backtrace += "\n(there are more frames)"
	}
	if !strings.Contains(t.threads, "\nThread ") {
		t.threads = ""
	}
	return t
}

// without removes the lines that end with one of the phrases.
func without(text string, phrases ...string) string {
	var b strings.Builder
lines:
	for _, line := range strings.SplitAfter(text, "\n") {
		for _, phrase := range phrases {
			if strings.HasSuffix(strings.TrimSpace(line), phrase) {
				continue lines
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

// backtrace takes the backtrace of a core. It sets e.build, and e.trace or the reason in e.without.
func (w *Watch) backtrace(ctx context.Context, c *found, e *evidence) {
	var failures []string
	build, unmatched := w.check(ctx, c)
	e.build = build
	if w.opts.Backtrace == "off" {
		e.without = "crash.backtrace is off"
		return
	}
	if w.opts.Backtrace != "builtin" {
		switch {
		case w.gdb == nil:
			failures = append(failures, "gdb is not on PATH")
		case unmatched != "":
			failures = append(failures, "gdb was not used, because it could name wrong functions and lines: the file "+
				clean(signature.Present(unmatched))+" is not the one that ran, or is gone")
		default:
			out, err := w.gdbCore(ctx, c)
			if t := newTrace(out); t.backtrace != "" {
				if err != nil {
					c.remarks = append(c.remarks, err.Error())
				}
				t.frames = signature.FromGDB(t.backtrace, t.registers, t.libraries, w.executable(c))
				e.trace = t
				w.complement(ctx, c, &e.trace)
				return
			}
			if err == nil {
				err = errors.New("gdb shows no backtrace")
			}
			failures = append(failures, err.Error())
		}
	}
	if w.opts.Backtrace != "gdb" || w.gdb != nil && unmatched != "" {
		text, frames, err := w.builtin(ctx, c)
		if text != "" {
			e.trace = trace{by: "wrapp", raw: text, frames: frames}
			if w.gdb != nil {
				c.remarks = append(c.remarks, failures...)
			}
			return
		}
		if err != nil {
			failures = append(failures, err.Error())
		}
	}
	e.without = join(failures)
}

// gdbCore has gdb take the backtrace of a core. If wrapp can take it, too, a quarter of the time
// is left for that.
func (w *Watch) gdbCore(ctx context.Context, c *found) (out string, err error) {
	if deadline, ok := ctx.Deadline(); ok && w.opts.Backtrace == "auto" {
		limited, cancel := context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/4))
		defer cancel()
		ctx = limited
	}
	return w.gdb.core(ctx, c.path(), w.executable(c))
}

// complement has wrapp read the core, too, if gdb lacks names of functions. wrapp has the
// names in stripped Go programs, and for others the file and the offset in it: an address
// alone says nothing later on.
func (w *Watch) complement(ctx context.Context, c *found, t *trace) {
	frames, nameless := 0, 0
	for _, line := range strings.Split(t.backtrace, "\n") {
		if strings.HasPrefix(line, "#") {
			frames++
			if strings.Contains(line, " in ?? (") {
				nameless++
			}
		}
	}
	if nameless == 0 || w.opts.Backtrace == "gdb" {
		return
	}
	text, read, _ := w.builtin(ctx, c)
	switch {
	case text == "":
	case nameless == frames:
		*t = trace{by: "wrapp", raw: text, frames: read}
	default:
		t.by, t.raw, t.frames = "gdb, and by wrapp where gdb has no names", text, read
	}
}

// check returns the build ID of the program that died, and an executable or library whose names
// gdb would take from another file. If the core cannot be checked, build is that of the file on disk.
func (w *Watch) check(ctx context.Context, c *found) (build, unmatched string) {
	type checked struct{ build, unmatched string }
	executable := w.executable(c)
	r, err := inTime(ctx, func() (r checked, err error) {
		r.build, r.unmatched, err = checkCore(ctx, c.path(), executable)
		return r, err
	})
	if err != nil {
		return buildID(executable), ""
	}
	return r.build, r.unmatched
}

func (w *Watch) builtin(ctx context.Context, c *found) (string, []signature.Frame, error) {
	type reading struct {
		text   string
		frames []signature.Frame
	}
	executable := c.Executable
	if c.PID == w.app.PID() {
		executable, _ = w.life.program() // the path from here, not from the root that the app may have changed
	}
	r, err := inTime(ctx, func() (reading, error) {
		text, frames, err := readCore(ctx, c.path(), executable)
		if err != nil {
			err = fmt.Errorf("read the core: %w", err)
		}
		return reading{clean(text), frames}, err
	})
	return r.text, r.frames, err
}

// inTime returns what read returns, or an error once ctx is done: a disk may hang.
func inTime[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := read()
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, errors.New("reading the core took too long")
	}
}

// executable returns the file that the core's process had run.
func (w *Watch) executable(c *found) string {
	if c.Executable == "" && c.PID == w.app.PID() {
		exe, _ := w.life.program()
		return exe
	}
	return c.Executable
}
