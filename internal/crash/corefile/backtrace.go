package corefile

import (
	"slices"
	"strings"
)

// A Frame is one call on a stack. An inlined call has a frame of its own, before
// the frame of the function it was inlined into.
type Frame struct {
	PC       uint64
	Module   string // path of the file; empty if the address is in none
	Offset   uint64 // the address in the file, as addr2line wants it
	Function string // empty if it is not known
	FuncOff  uint64 // from the function's beginning to PC
	File     string
	Line     int
	Inlined  bool
	// Signal marks the kernel's call of a signal handler: the frames after it were
	// interrupted, the frames before it belong to the handler.
	Signal bool
}

// Backtrace walks the stack of a thread, innermost frame first, and returns at most limit
// frames. It ends early if a caller cannot be found.
func (c *Core) Backtrace(t *Thread, limit int) []Frame {
	limit = min(limit, maxFrames)
	var frames []Frame
	regs := t.Regs
	exact := true // the program counter is at the current instruction, not at a return address
	for len(frames) < limit && !c.expired() {
		pc, sp := regs.PC(), regs.SP()
		lookup := pc
		if !exact {
			// The call may be a function's last instruction.
			lookup--
		}
		if c.trampoline(pc) && c.interrupted(&regs) {
			f := c.frames(pc, pc)
			frames = append(frames, f[len(f)-1])
			frames[len(frames)-1].Signal = true
			exact = true
			continue
		}
		frames = append(frames, c.frames(pc, lookup)...)
		interrupted, ok := c.step(&regs, lookup, exact)
		if !ok {
			break
		}
		// A stack grows down, so callers are at higher addresses. Only an
		// interrupted function may have no frame yet, and only signals and Go
		// switch stacks.
		if to := regs.SP(); to < sp && !c.switched(lookup) || to == sp && (!exact || regs.PC() == pc) {
			break
		}
		exact = interrupted
	}
	return slices.Clip(frames[:min(len(frames), limit)])
}

// step replaces the registers by the caller's. If ok is false, there is no caller or it
// cannot be found, and the registers belong to no frame. An interrupted caller made no call.
func (c *Core) step(regs *Registers, lookup uint64, exact bool) (interrupted, ok bool) {
	m := c.moduleAt(lookup)
	if exact && !c.executable(lookup) {
		return false, c.badJump(regs)
	}
	if m != nil {
		if g := m.goFuncs(); g != nil {
			if fn, ok := g.find(lookup); ok {
				ok = c.goStep(g, fn, regs, lookup)
				if !ok || g.text32(fn.name) != "runtime.sigpanic" {
					return false, ok
				}
				return true, c.undoSigpanic(regs)
			}
		}
		for _, t := range m.frameTables() {
			f, found := t.find(lookup)
			if !found {
				continue
			}
			r := t.rules(f, lookup)
			if r == nil || !t.apply(f, r, regs) {
				continue
			}
			if _, known := regs.get(regs.pcColumn()); !known {
				return false, false // the outermost frame
			}
			return f.signal, c.arrive(regs)
		}
	}
	return false, c.leaf(regs, lookup, exact) || c.byFramePointer(regs)
}

// arrive strips the signature from the program counter, and says whether it may be an
// address.
func (c *Core) arrive(r *Registers) bool {
	pc := r.PC()
	if r.arch == ARM64 && pc&(1<<55) == 0 {
		pc &^= c.pacMask
	}
	r.set(r.pcColumn(), pc)
	return pc != 0
}

// badJump handles a program counter outside all code, after a call of a wild pointer. It
// steps back to the caller.
func (c *Core) badJump(regs *Registers) bool {
	if regs.arch == ARM64 {
		return c.toLinkRegister(regs)
	}
	pc, ok := c.word(regs.SP())
	regs.set(amd64PC, pc)
	regs.set(amd64SP, regs.SP()+8)
	return ok && c.executable(pc)
}

// toLinkRegister sets the program counter to arm64's link register.
func (c *Core) toLinkRegister(regs *Registers) bool {
	lr, ok := regs.get(arm64LR)
	regs.set(arm64PC, lr)
	return ok && c.arrive(regs) && c.executable(regs.PC())
}

// leaf handles an interrupted function without unwind information, which may have no frame
// yet. If it returns false, it may have changed the program counter, but nothing else.
func (c *Core) leaf(regs *Registers, pc uint64, exact bool) bool {
	if !exact {
		return false
	}
	here := c.function(pc)
	if regs.arch == ARM64 {
		// If the link register points out of the function, the function has not
		// saved it: no frame yet.
		return c.toLinkRegister(regs) && (here.Function == "" || here.Function != c.function(regs.PC()-1).Function)
	}
	// If the top of the stack is the return address of a call to the beginning of
	// this function, the function has pushed nothing.
	ret, ok := c.word(regs.SP())
	var code [5]byte
	if !ok || !c.executable(ret) || c.readMemory(code[:], ret-5) != 5 || code[0] != 0xe8 {
		return false
	}
	target := ret + uint64(int64(int32(le.Uint32(code[1:]))))
	if here.Function == "" || target != pc-here.FuncOff {
		return false
	}
	regs.set(amd64PC, ret)
	regs.set(amd64SP, regs.SP()+8)
	return true
}

// function returns the frame of the function around pc, without the calls inlined there.
func (c *Core) function(pc uint64) *Frame {
	all := c.frames(pc, pc)
	return &all[len(all)-1]
}

// byFramePointer follows the chain of saved frame pointers, if it is plausible.
func (c *Core) byFramePointer(regs *Registers) bool {
	fp, known := regs.get(regs.fpColumn())
	if !known || fp&7 != 0 || fp < regs.SP() {
		return false
	}
	before, ok := c.word(fp)
	pc, ok2 := c.word(fp + 8)
	if !ok || !ok2 {
		return false
	}
	regs.set(regs.fpColumn(), before)
	regs.set(regs.spColumn(), fp+16)
	regs.set(regs.pcColumn(), pc)
	if regs.arch == ARM64 {
		regs.set(arm64LR, pc)
	}
	return c.arrive(regs) && c.executable(regs.PC())
}

// The code that a signal handler returns to, which identifies the kernel's frames: mov $15,
// %rax; syscall in two forms, and mov x8, #139; svc #0.
const (
	amd64Return = "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"
	amd64Short  = "\xb8\x0f\x00\x00\x00\x0f\x05"
	arm64Return = "\x68\x11\x80\xd2\x01\x00\x00\xd4"
)

// trampoline says whether the frame of a program counter is the kernel's.
func (c *Core) trampoline(pc uint64) bool {
	var b [len(amd64Return)]byte
	code := string(b[:c.readMemory(b[:], pc)])
	if c.Arch == ARM64 {
		return strings.HasPrefix(code, arm64Return)
	}
	return code == amd64Return || strings.HasPrefix(code, amd64Short)
}

// interrupted replaces the registers of the kernel's frame by those that were saved when
// the signal came, or returns false if they cannot be read.
func (c *Core) interrupted(regs *Registers) bool {
	before := Registers{arch: c.Arch}
	var cur *cursor
	if c.Arch == ARM64 {
		// struct rt_sigframe: 128 bytes of siginfo, then a ucontext with
		// its mcontext at 176, which begins with the fault address.
		cur = at((*memorySource)(c), regs.SP()+128+176+8, 33*8)
		for n := range 33 {
			before.set(n, cur.u64())
		}
		cur.bad = cur.bad || before.PC() == 0
	} else {
		cur = at((*memorySource)(c), regs.SP()+40, 17*8) // uc_mcontext
		for _, n := range [...]int{8, 9, 10, 11, 12, 13, 14, 15, amd64DI, amd64SI, amd64BP, amd64BX, amd64DX, amd64AX, amd64CX, amd64SP, amd64PC} {
			before.set(n, cur.u64())
		}
	}
	if !cur.bad {
		*regs = before
	}
	return !cur.bad
}

// frames returns the frames of a program counter, the innermost inlined call first, and
// always at least one. lookup is the address to look up: the call's, if pc is a return
// address.
func (c *Core) frames(pc, lookup uint64) []Frame {
	if known, ok := c.known[frameKey{pc, lookup}]; ok {
		return known
	}
	f := Frame{PC: pc}
	var inlined []Frame
	if m := c.moduleAt(lookup); m != nil {
		f.Module, f.Offset = m.name(), pc-m.Bias
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

// describe fills in function and line, and returns the frames of the calls inlined at
// lookup.
func (m *Module) describe(f *Frame, lookup uint64) []Frame {
	if g := m.goFuncs(); g != nil {
		if fn, ok := g.find(lookup); ok {
			inlined := g.describe(f, fn, lookup)
			if g.doubt != "" {
				return m.describeLines(f, lookup) // by DWARF, if it was not stripped
			}
			return inlined
		}
	}
	if name, start, ok := m.symbol(lookup); ok {
		f.Function, f.FuncOff = sourceName(name), f.PC-start
	}
	return m.describeLines(f, lookup)
}
