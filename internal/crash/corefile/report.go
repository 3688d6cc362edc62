package corefile

import (
	"strconv"
	"strings"
	"unicode"
)

// Bounds of a report.
const (
	reportFrames  = 128 // of the thread that crashed
	reportOthers  = 32  // of each other thread
	reportThreads = 512 // whose stacks are walked
	reportBytes   = 192 << 10
)

// Report returns a summary for people: the backtrace and the registers of the crashed thread,
// the other threads, grouped by equal stacks, and the files that the addresses belong to.
// Control characters in names are replaced.
func (c *Core) Report() string {
	var p paper
	c.report(&p)
	if p.cut {
		p.text.WriteString("... the rest was cut off\n")
	}
	return p.text.String()
}

func (c *Core) report(w *paper) {
	used := make(map[*Module]bool)
	crashed := &c.Threads[0]
	w.print("Thread " + strconv.Itoa(crashed.TID) + ", which crashed:\n")
	c.writeFrames(w, c.Backtrace(crashed, reportFrames), reportFrames, used)
	w.print("\nIts registers:\n")
	crashed.Regs.write(w)
	w.print("\n")
	c.writeOthers(w, used)
	if c.expired() {
		w.print("\nThe time to read the core ran out.\n")
	}
	for _, m := range c.Modules {
		if used[m] && m.golang != nil && m.golang.doubt != "" {
			w.print("\nFor " + clean(m.name()) + ", inlined calls are shown only if it has DWARF: " + clean(m.golang.doubt) + ".\n")
		}
	}
	w.print("\nFiles:\n")
	for _, m := range c.Modules {
		if !used[m] {
			continue
		}
		id := m.BuildID
		if id == "" {
			id = "without build ID"
		}
		w.print(hex16(m.Start) + "-" + hex16(m.End) + " " + clean(m.name()) + " " + id + "\n")
	}
}

// amd64Order is the order in which gdb lists the registers.
var amd64Order = []struct {
	name string
	n    int
}{
	{"rax", amd64AX},
	{"rbx", amd64BX},
	{"rcx", amd64CX},
	{"rdx", amd64DX},
	{"rsi", amd64SI},
	{"rdi", amd64DI},
	{"rbp", amd64BP},
	{"rsp", amd64SP},
	{"r8", 8},
	{"r9", 9},
	{"r10", 10},
	{"r11", 11},
	{"r12", 12},
	{"r13", 13},
	{"r14", 14},
	{"r15", 15},
	{"rip", amd64PC},
}

// write writes the registers in gdb's order, three to a line.
func (r *Registers) write(w *paper) {
	written := 0
	write := func(name string, value uint64) {
		end := "  "
		if written++; written%3 == 0 {
			end = "\n"
		}
		w.print(name + "      "[len(name):] + " " + hex16(value) + end)
	}
	if r.arch == ARM64 {
		for n := range 31 {
			write("x"+strconv.Itoa(n), r.value[n])
		}
		write("sp", r.value[arm64SP])
		write("pc", r.value[arm64PC])
		write("cpsr", r.flags)
		return
	}
	for _, reg := range amd64Order {
		write(reg.name, r.value[reg.n])
	}
	write("eflags", r.flags)
}

// writeOthers writes the threads that did not crash, in the core's order.
func (c *Core) writeOthers(w *paper, used map[*Module]bool) {
	type group struct {
		tids   []int
		frames []Frame
	}
	var groups []*group
	same := make(map[string]*group)
	others := c.Threads[1:]
	left := max(0, len(others)-reportThreads)
	others = others[:len(others)-left]
	for i := range others {
		if w.cut || c.expired() {
			left += len(others) - i
			break
		}
		frames := c.Backtrace(&others[i], reportOthers)
		var key []byte
		for j := range frames {
			key = le.AppendUint64(key, frames[j].PC)
		}
		g := same[string(key)]
		if g == nil {
			g = &group{frames: frames}
			same[string(key)] = g
			groups = append(groups, g)
		}
		g.tids = append(g.tids, others[i].TID)
	}
	for _, g := range groups {
		if len(g.tids) == 1 {
			w.print("\nThread " + strconv.Itoa(g.tids[0]) + ":\n")
		} else {
			w.print("\n" + strconv.Itoa(len(g.tids)) + " threads with the same stack:")
			for i, tid := range g.tids {
				if i == 16 {
					w.print(" ...")
					break
				}
				w.print(" " + strconv.Itoa(tid))
			}
			w.print("\n")
		}
		c.writeFrames(w, g.frames, reportOthers, used)
	}
	if left += c.origin.Threads - len(c.Threads); left > 0 {
		w.print("\nThreads left out: " + strconv.Itoa(left) + ".\n")
	}
	if c.Skipped > 0 {
		w.print("\nMappings left out: " + strconv.Itoa(c.Skipped) + ".\n")
	}
}

func (c *Core) writeFrames(w *paper, frames []Frame, limit int, used map[*Module]bool) {
	for i := range frames {
		f := &frames[i]
		if m := c.moduleAt(f.PC); m != nil {
			used[m] = true
		}
		number := strconv.Itoa(i)
		if i < 10 {
			number += " "
		}
		w.print("#" + number + " " + f.text() + "\n")
	}
	if len(frames) >= limit {
		w.print("(more frames follow)\n")
	}
}

// text formats the frame like gdb, without the number.
func (f *Frame) text() string {
	text := hex16(f.PC) + " in "
	switch {
	case f.Signal:
		text += "<signal handler called>"
	case f.Function == "":
		text += "??"
	default:
		text += clean(f.Function)
		if !f.Inlined {
			text += "+0x" + strconv.FormatUint(f.FuncOff, 16)
		}
	}
	if f.File != "" {
		text += " at " + clean(f.File) + ":" + strconv.Itoa(f.Line)
	}
	switch {
	case f.Inlined:
		text += " (inlined)"
	case f.Module != "":
		text += " (" + clean(f.Module)
		if f.Function == "" {
			text += "+0x" + strconv.FormatUint(f.Offset, 16)
		}
		text += ")"
	}
	return text
}

// hex16 formats an address with 16 hexadecimal digits.
func hex16(v uint64) string {
	digits := strconv.FormatUint(v, 16)
	return "0x" + "0000000000000000"[len(digits):] + digits
}

// clean replaces characters that a terminal might interpret.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// A paper collects up to reportBytes of text. It drops the first print that does not fit, and
// all after it.
type paper struct {
	text strings.Builder
	cut  bool
}

func (p *paper) print(s string) {
	p.cut = p.cut || p.text.Len()+len(s) > reportBytes
	if !p.cut {
		p.text.WriteString(s)
	}
}
