package corefile

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// ReportOptions bound a report. What is zero gets the value in brackets.
type ReportOptions struct {
	Frames      int // of the thread that crashed [128]
	OtherFrames int // of each other thread [32]
	Threads     int // that are walked [512]
	Bytes       int // of the whole report [192 KiB]
}

func (o ReportOptions) withDefaults() ReportOptions {
	for _, d := range []struct {
		value *int
		usual int
	}{{&o.Frames, 128}, {&o.OtherFrames, 32}, {&o.Threads, 512}, {&o.Bytes, 192 << 10}} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	return o
}

// Report writes what a person wants to read first: what died of which signal,
// the backtrace of the thread that crashed, its registers, then the other
// threads, those with the same stack together, and the files that the addresses
// belong to. Control characters in names are replaced.
func (c *Core) Report(w io.Writer, opt ReportOptions) error {
	opt = opt.withDefaults()
	out := bufio.NewWriter(w)
	lw := &limitedWriter{w: out, left: opt.Bytes}
	c.report(lw, opt)
	if lw.cut {
		_, _ = io.WriteString(out, "... the rest was cut off\n")
	}
	return out.Flush()
}

func (c *Core) report(w *limitedWriter, opt ReportOptions) {
	fmt.Fprintf(w, "Process %d", c.Process.PID)
	if c.Process.Args != "" {
		fmt.Fprintf(w, " (%s)", clean(c.Process.Args))
	}
	fmt.Fprintf(w, " got %s\n", c.Signal)
	if c.Truncated {
		fmt.Fprintln(w, "The core is truncated: the stacks of some threads may be missing.")
	}
	used := make(map[*Module]bool)
	crashed := &c.Threads[0]
	fmt.Fprintf(w, "\nThread %d, which crashed:\n", crashed.TID)
	c.writeFrames(w, c.Backtrace(crashed, opt.Frames), opt.Frames, used)
	fmt.Fprintf(w, "\nIts registers:\n")
	for i, r := range crashed.Regs.All() {
		end := "  "
		if i%3 == 2 {
			end = "\n"
		}
		fmt.Fprintf(w, "%-6s 0x%016x%s", r.Name, r.Value, end)
	}
	fmt.Fprintln(w)
	c.writeOthers(w, opt, used)
	if c.expired() {
		fmt.Fprintln(w, "\nThe time for reading the core was over before its end.")
	}
	fmt.Fprintf(w, "\nFiles:\n")
	for _, m := range c.Modules {
		if !used[m] {
			continue
		}
		id := m.BuildID
		if id == "" {
			id = "without build ID"
		}
		fmt.Fprintf(w, "0x%016x-0x%016x %s %s\n", m.Start, m.End, clean(m.name()), id)
	}
}

// writeOthers writes the threads that did not crash, in the core's order.
func (c *Core) writeOthers(w *limitedWriter, opt ReportOptions, used map[*Module]bool) {
	type group struct {
		tids   []int
		frames []Frame
	}
	var groups []*group
	same := make(map[string]*group)
	others := c.Threads[1:]
	left := 0
	if len(others) > opt.Threads {
		left = len(others) - opt.Threads
		others = others[:opt.Threads]
	}
	for i := range others {
		if w.cut || c.expired() {
			left += len(others) - i
			break
		}
		frames := c.Backtrace(&others[i], opt.OtherFrames)
		var key strings.Builder
		for _, f := range frames {
			fmt.Fprintf(&key, "%x ", f.PC)
		}
		g := same[key.String()]
		if g == nil {
			g = &group{frames: frames}
			same[key.String()] = g
			groups = append(groups, g)
		}
		g.tids = append(g.tids, others[i].TID)
	}
	for _, g := range groups {
		if len(g.tids) == 1 {
			fmt.Fprintf(w, "\nThread %d:\n", g.tids[0])
		} else {
			fmt.Fprintf(w, "\n%d threads with the same stack:", len(g.tids))
			for i, tid := range g.tids {
				if i == 16 {
					fmt.Fprint(w, " ...")
					break
				}
				fmt.Fprintf(w, " %d", tid)
			}
			fmt.Fprintln(w)
		}
		c.writeFrames(w, g.frames, opt.OtherFrames, used)
	}
	if left += c.Skipped; left > 0 {
		fmt.Fprintf(w, "\n%d more threads or mappings are left out.\n", left)
	}
}

func (c *Core) writeFrames(w io.Writer, frames []Frame, limit int, used map[*Module]bool) {
	for i, f := range frames {
		if m := c.moduleAt(f.PC); m != nil {
			used[m] = true
		}
		fmt.Fprintf(w, "#%-2d %s\n", i, f)
	}
	if len(frames) >= limit {
		fmt.Fprintln(w, "(more frames follow)")
	}
}

// String is the frame as a debugger shows it, without the number.
func (f Frame) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "0x%016x in ", f.PC)
	switch {
	case f.Signal:
		b.WriteString("<signal handler called>")
	case f.Function == "":
		b.WriteString("??")
	case f.Inlined:
		b.WriteString(clean(f.Function))
	default:
		fmt.Fprintf(&b, "%s+0x%x", clean(f.Function), f.FuncOff)
	}
	if f.File != "" {
		fmt.Fprintf(&b, " at %s:%d", clean(f.File), f.Line)
	}
	switch {
	case f.Inlined:
		b.WriteString(" (inlined)")
	case f.Function == "" && f.Module != "":
		fmt.Fprintf(&b, " (%s+0x%x)", clean(f.Module), f.Offset)
	case f.Module != "":
		fmt.Fprintf(&b, " (%s)", clean(f.Module))
	}
	return b.String()
}

// String names the signal with what is known of its cause.
func (s Signal) String() string {
	name := unix.SignalName(unix.Signal(s.Number))
	if name == "" {
		name = "signal"
	}
	text := fmt.Sprintf("%s (%d)", name, s.Number)
	if s.HasCode {
		text += fmt.Sprintf(", code %d", s.Code)
	}
	if s.HasAddr {
		text += fmt.Sprintf(", address 0x%x", s.Addr)
	} else if s.Sender > 0 {
		text += fmt.Sprintf(", from process %d", s.Sender)
	}
	return text
}

// clean replaces what a terminal might take for a command.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// A limitedWriter writes whole calls as long as there is room, and nothing after
// the first one that does not fit.
type limitedWriter struct {
	w    io.Writer
	left int
	cut  bool
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if l.cut || len(p) > l.left {
		l.cut = true
		return len(p), nil
	}
	l.left -= len(p)
	return l.w.Write(p)
}
