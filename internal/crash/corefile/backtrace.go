package corefile

import (
	"bytes"
	"slices"

	"github.com/lpportorino/jettison-base-images/internal/crash/demangle"
)

// A Frame is one call on a stack. An inlined call has a frame of its own, before
// the frame of the function it was inlined into.
type Frame struct {
	PC       uint64
	Module   string // path of the file; empty if the address is in none
	Offset   uint64 // the address as the file has it: what addr2line wants
	BuildID  string
	Function string // empty if it is not known
	FuncOff  uint64 // from the function's beginning to PC
	File     string
	Line     int
	Inlined  bool
	// Signal marks where the kernel called a signal handler: the frames after
	// it were interrupted, the frames before it belong to the handler.
	Signal bool
}

// Backtrace walks the stack of a thread, from where it was to where it began,
// and returns at most limit frames. It ends early where the trail is lost.
func (c *Core) Backtrace(t *Thread, limit int) []Frame {
	limit = min(limit, maxFrames)
	var frames []Frame
	regs := t.Regs
	exact := true // the program counter is where it was, not where it will return to
	for len(frames) < limit && !c.expired() {
		pc := regs.PC()
		lookup := pc
		if !exact {
			// The call may be a function's last instruction.
			lookup--
		}
		if before, ok := c.trampoline(&regs); ok {
			f := c.frames(pc, pc)
			frames = append(frames, f[len(f)-1])
			frames[len(frames)-1].Signal = true
			regs, exact = before, true
			continue
		}
		frames = append(frames, c.frames(pc, lookup)...)
		caller, interrupted, ok := c.step(&regs, lookup, exact)
		if !ok {
			break
		}
		// A stack grows down, so callers are further up. Only what was
		// interrupted may have made no frame yet, and only signals and Go
		// change to another stack.
		if sp := caller.SP(); sp < regs.SP() && !c.switched(lookup) || sp == regs.SP() && (!exact || caller.PC() == pc) {
			break
		}
		regs, exact = caller, interrupted
	}
	return slices.Clip(frames[:min(len(frames), limit)])
}

// step finds the caller's registers. It is false if there is no caller, or none
// to be found. A caller that was interrupted made no call.
func (c *Core) step(regs *Registers, lookup uint64, exact bool) (caller Registers, interrupted, ok bool) {
	m := c.moduleAt(lookup)
	if exact && !c.executable(lookup) {
		caller, ok = c.badJump(regs)
		return caller, false, ok
	}
	if m != nil {
		if g := m.goFuncs(); g != nil {
			if fn, ok := g.find(lookup); ok {
				caller, ok = c.goStep(g, fn, regs, lookup)
				if !ok || g.text32(fn.name) != "runtime.sigpanic" {
					return caller, false, ok
				}
				return caller, true, c.undoSigpanic(&caller)
			}
		}
		for _, t := range m.frameTables() {
			f, found := t.find(lookup)
			if !found {
				continue
			}
			r, ok := t.rules(f, lookup)
			if !ok {
				continue
			}
			caller, _, ok := t.apply(f, &r, regs)
			if !ok {
				continue
			}
			if _, known := caller.get(regs.pcColumn()); !known {
				return caller, false, false // the outermost frame
			}
			return caller, f.signal, c.arrive(&caller)
		}
	}
	if caller, ok = c.leaf(regs, lookup, exact); ok {
		return caller, false, true
	}
	caller, ok = c.byFramePointer(regs)
	return caller, false, ok
}

// arrive makes the program counter an address, and says whether it can be one.
func (c *Core) arrive(r *Registers) bool {
	pc := r.PC()
	if r.arch == ARM64 && pc&(1<<55) == 0 {
		pc &^= c.pacMask
	}
	r.set(r.pcColumn(), pc)
	return pc != 0
}

// badJump is for a program counter where no code is: a call of a wild pointer.
// It goes back to where the call was made.
func (c *Core) badJump(regs *Registers) (Registers, bool) {
	caller := *regs
	if regs.arch == ARM64 {
		lr, ok := regs.get(arm64LR)
		caller.set(arm64PC, lr)
		return caller, ok && c.arrive(&caller) && c.executable(caller.PC())
	}
	pc, ok := c.word(regs.SP())
	caller.set(amd64PC, pc)
	caller.set(amd64SP, regs.SP()+8)
	return caller, ok && c.executable(pc)
}

// leaf is for code that nothing is known of, where the thread was interrupted: it
// may have made no frame yet.
func (c *Core) leaf(regs *Registers, pc uint64, exact bool) (Registers, bool) {
	caller := *regs
	if !exact {
		return caller, false
	}
	if regs.arch == ARM64 {
		// If the link register points out of the function, it has not been
		// saved.
		lr, ok := regs.get(arm64LR)
		caller.set(arm64PC, lr)
		if !ok || !c.arrive(&caller) || !c.executable(caller.PC()) {
			return caller, false
		}
		here, there := c.frames(pc, pc), c.frames(caller.PC()-1, caller.PC()-1)
		a, b := here[len(here)-1], there[len(there)-1]
		return caller, a.Function == "" || a.Function != b.Function
	}
	// If the stack ends with the return address of a call that led to the
	// beginning of this function, nothing has been pushed.
	ret, ok := c.word(regs.SP())
	var code [5]byte
	if !ok || !c.executable(ret) || c.readMemory(code[:], ret-5) != 5 || code[0] != 0xe8 {
		return caller, false
	}
	target := ret + uint64(int64(int32(le.Uint32(code[1:]))))
	f := c.frames(pc, pc)
	if last := f[len(f)-1]; last.Function == "" || target != pc-last.FuncOff {
		return caller, false
	}
	caller.set(amd64PC, ret)
	caller.set(amd64SP, regs.SP()+8)
	return caller, true
}

// byFramePointer relies on the chain of saved frame pointers, if it looks like
// one.
func (c *Core) byFramePointer(regs *Registers) (Registers, bool) {
	caller := *regs
	fp, known := regs.get(regs.fpColumn())
	if !known || fp&7 != 0 || fp < regs.SP() {
		return caller, false
	}
	before, ok := c.word(fp)
	pc, ok2 := c.word(fp + 8)
	if !ok || !ok2 {
		return caller, false
	}
	caller.set(regs.fpColumn(), before)
	caller.set(regs.spColumn(), fp+16)
	caller.set(regs.pcColumn(), pc)
	if regs.arch == ARM64 {
		caller.set(arm64LR, pc)
	}
	return caller, c.arrive(&caller) && c.executable(caller.PC())
}

// The code that ends a signal handler, by which the frames that the kernel made
// are known: mov $15, %rax; syscall in two forms, and mov x8, #139; svc #0.
var trampolines = map[Arch][][]byte{
	AMD64: {{0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}, {0xb8, 15, 0, 0, 0, 0x0f, 0x05}},
	ARM64: {{0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}},
}

// trampoline says whether the frame is the kernel's, and if so what the
// registers were when the signal came.
func (c *Core) trampoline(regs *Registers) (Registers, bool) {
	var code [9]byte
	n := c.readMemory(code[:], regs.PC())
	if !slices.ContainsFunc(trampolines[c.Arch], func(t []byte) bool { return bytes.HasPrefix(code[:n], t) }) {
		return Registers{}, false
	}
	before := Registers{arch: c.Arch}
	if c.Arch == ARM64 {
		// struct rt_sigframe: 128 bytes of siginfo, then a ucontext with
		// its mcontext at 176, which begins with the fault address.
		cur := at(memorySource{c}, regs.SP()+128+176+8, 33*8)
		for n := range 33 {
			before.set(n, cur.u64())
		}
		return before, !cur.bad && before.PC() != 0
	}
	cur := at(memorySource{c}, regs.SP()+40, 17*8) // uc_mcontext
	for _, n := range [...]int{8, 9, 10, 11, 12, 13, 14, 15, 5, 4, amd64BP, 3, 1, 0, 2, amd64SP, amd64PC} {
		before.set(n, cur.u64())
	}
	return before, !cur.bad
}

// frames are the frames of a program counter, the innermost inlined call first.
// There is always one. Lookup is the address that is looked for: that of the
// call, if pc is where it returns to.
func (c *Core) frames(pc, lookup uint64) []Frame {
	if known, ok := c.known[frameKey{pc, lookup}]; ok {
		return known
	}
	f := Frame{PC: pc}
	var inlined []Frame
	if m := c.moduleAt(lookup); m != nil {
		f.Module, f.Offset, f.BuildID = m.name(), pc-m.Bias, m.BuildID
		if m.Path == "" {
			f.Module = ""
		}
		inlined = m.describe(&f, lookup)
	}
	all := append(inlined, f)
	if c.knownSize += len(all); c.known == nil || c.knownSize > 1<<13 {
		c.known, c.knownSize = make(map[frameKey][]Frame), len(all)
	}
	c.known[frameKey{pc, lookup}] = all
	return all
}

type frameKey struct{ pc, lookup uint64 }

// describe fills in function and line, and returns the frames of what was
// inlined there.
func (m *Module) describe(f *Frame, lookup uint64) []Frame {
	if g := m.goFuncs(); g != nil {
		if fn, ok := g.find(lookup); ok {
			return g.describe(f, fn, lookup)
		}
	}
	if name, start, ok := m.symbol(lookup); ok {
		f.Function, f.FuncOff = demangle.Name(name), f.PC-start
	}
	return m.describeLines(f, lookup)
}
