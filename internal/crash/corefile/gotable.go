package corefile

import (
	"debug/elf"
	"strings"
)

// Go programs contain a table of their functions, lines and frame sizes. The runtime needs
// it, so stripped programs have it, too. It suffices to walk a stack exactly.

const (
	goMagic118 = 0xfffffff0
	goMagic120 = 0xfffffff1
	maxGoFuncs = 1 << 22
	maxInlined = 64 // calls at one address
)

// A goTable is the .gopclntab of a module, in the core's memory.
type goTable struct {
	c       *Core
	magic   uint32
	mem     span
	quantum uint64
	count   uint64
	text    uint64 // base of the functions' addresses
	inline  uint64 // address of go:func.*, which holds the inlined calls; 0 if it is not known
	doubt   string // why inlined calls cannot be read; empty if they can

	names, units, files, values, funcs uint64 // offsets of the parts
}

// A goFunc is one function of the table.
type goFunc struct {
	entry       uint64
	size        uint64
	name        int32
	pcsp        uint32
	pcfile      uint32
	pcln        uint32
	npcdata     uint32
	unit        uint32
	flag        uint8
	nfuncdata   uint8
	tablesBegin uint64 // offset of its npcdata offsets; the funcdata offsets follow
}

const (
	goTopFrame = 1 // flag of a function that has no caller
	goSPWrite  = 2 // flag of a function that switches stacks
)

// goFuncs returns the module's table, or nil if the module is not built by Go.
func (m *Module) goFuncs() *goTable {
	if m.goTried {
		return m.golang
	}
	m.goTried = true
	e := m.open()
	if e == nil {
		return nil
	}
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		s := e.section(name)
		if s == nil || s.flags&elf.SHF_ALLOC == 0 {
			continue
		}
		t := &goTable{c: m.core, mem: span{(*memorySource)(m.core), m.Bias + s.addr, s.size}}
		if t.read(m, e) {
			m.golang = t
		}
		break
	}
	return m.golang
}

func (t *goTable) read(m *Module, e *elfFile) bool {
	cur := t.mem.from(0)
	t.magic = cur.u32()
	if t.magic != goMagic118 && t.magic != goMagic120 || cur.u16() != 0 {
		return false
	}
	t.quantum = uint64(cur.u8())
	if cur.u8() != 8 {
		return false
	}
	t.count = cur.u64()
	cur.skip(8)
	t.text = cur.u64()
	t.names, t.units, t.files, t.values, t.funcs = cur.u64(), cur.u64(), cur.u64(), cur.u64(), cur.u64()
	if cur.bad || t.count == 0 || t.count > maxGoFuncs || t.quantum == 0 {
		return false
	}
	if !t.readModule(m, e) && (t.text < m.Start || t.text >= m.End) {
		// Since Go 1.26 the table lacks the code's address. The code is at the
		// beginning of its section, unless a C linker has put other code there.
		s := e.section(".text")
		if s == nil {
			return false
		}
		t.text = m.Bias + s.addr
		entry := m.Bias + e.head.entry
		if fn, ok := t.find(entry); !ok || fn.entry != entry || !strings.HasPrefix(t.text32(fn.name), "_rt0_") {
			return false
		}
	}
	return true
}

// find finds the function that an address is in.
func (t *goTable) find(pc uint64) (*goFunc, bool) {
	off := pc - t.text
	if pc < t.text || off > 1<<32-1 {
		return nil, false
	}
	// The entry after the last one is the end of the code.
	lo, hi := uint64(0), t.count+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		if uint64(t.funcStart(mid)) <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 || lo > t.count {
		return nil, false
	}
	cur := t.mem.from(t.funcs + (lo-1)*8)
	start, record, end := cur.u32(), cur.u32(), cur.u32()
	if cur.bad || end <= start {
		return nil, false
	}
	cur = t.mem.from(t.funcs + uint64(record))
	if cur.u32() != start {
		return nil, false
	}
	f := &goFunc{entry: t.text + uint64(start), size: uint64(end - start), name: int32(cur.u32())}
	cur.skip(8)
	f.pcsp, f.pcfile, f.pcln, f.npcdata, f.unit = cur.u32(), cur.u32(), cur.u32(), cur.u32(), cur.u32()
	if t.magic == goMagic120 {
		cur.skip(4) // startLine
	}
	cur.skip(1) // funcID
	f.flag = cur.u8()
	cur.skip(1)
	f.nfuncdata = cur.u8()
	f.tablesBegin = cur.pos - t.mem.off
	return f, !cur.bad
}

// value looks a program counter up in one of a function's tables.
func (t *goTable) value(f *goFunc, table uint32, pc uint64) (int32, bool) {
	if table == 0 {
		return 0, false
	}
	cur := t.mem.from(t.values + uint64(table))
	at := f.entry
	value := int32(-1)
	for steps := 0; steps < maxSteps; steps++ {
		delta := uint32(cur.uleb())
		if cur.bad || delta == 0 && steps > 0 {
			break
		}
		// Zigzag: the lowest bit is the sign.
		value += int32(delta>>1) ^ -int32(delta&1)
		at += cur.uleb() * t.quantum
		if pc < at {
			return value, !cur.bad
		}
	}
	return 0, false
}

func (t *goTable) text32(off int32) string {
	if off < 0 {
		return ""
	}
	return t.mem.text(t.names+uint64(off), maxName)
}

// describe fills in function and line, and returns the frames of the calls inlined at the
// address. If they cannot be read, the frame gets no line: it could be another function's.
func (t *goTable) describe(f *Frame, fn *goFunc, pc uint64) []Frame {
	f.Function, f.FuncOff = t.text32(fn.name), f.PC-fn.entry
	var inlined []Frame
	for index := t.inlineIndex(fn, pc); index >= 0; index = t.inlineIndex(fn, pc) {
		name, parent, ok := t.inlined(fn, index)
		if !ok || parent == pc || len(inlined) == maxInlined {
			if t.doubt == "" {
				t.doubt = "its table of inlined calls makes no sense"
			}
			return nil
		}
		in := *f
		in.Function, in.FuncOff, in.Inlined = name, 0, true
		in.File, in.Line = t.line(fn, pc)
		inlined = append(inlined, in)
		pc = parent
	}
	f.File, f.Line = t.line(fn, pc)
	return inlined
}

// line returns the source line of an address.
func (t *goTable) line(fn *goFunc, pc uint64) (string, int) {
	file, ok := t.value(fn, fn.pcfile, pc)
	line, ok2 := t.value(fn, fn.pcln, pc)
	if !ok || !ok2 || file < 0 || fn.unit == 1<<32-1 {
		return "", 0
	}
	cur := t.mem.from(t.units + (uint64(fn.unit)+uint64(file))*4)
	off := cur.u32()
	if cur.bad || off == 1<<32-1 {
		return "", 0
	}
	return t.mem.text(t.files+uint64(off), maxName), int(line)
}

// Tables of a function, as internal/abi numbers them.
const (
	pcdataInlTreeIndex = 2
	funcdataInlTree    = 3
)

// inlineIndex returns the number, within its function, of the inlined call around an
// address, or -1.
func (t *goTable) inlineIndex(fn *goFunc, pc uint64) int32 {
	if fn.npcdata <= pcdataInlTreeIndex {
		return -1
	}
	table := t.mem.from(fn.tablesBegin + pcdataInlTreeIndex*4).u32()
	index, ok := t.value(fn, table, pc)
	if !ok {
		return -1
	}
	return index
}

// inlined reads an inlined call of a function: its name, and the address of the call in the
// function or call that it was inlined into. ok is false if the data is invalid.
func (t *goTable) inlined(fn *goFunc, index int32) (name string, parent uint64, ok bool) {
	const callSize = 16 // struct inlinedCall: funcID and padding, nameOff, parentPc, startLine
	if t.inline == 0 || fn.nfuncdata <= funcdataInlTree {
		return "", 0, false
	}
	tree := t.mem.from(fn.tablesBegin + (uint64(fn.npcdata)+funcdataInlTree)*4)
	off := tree.u32()
	call := at((*memorySource)(t.c), t.inline+uint64(off)+uint64(index)*callSize, callSize)
	call.skip(1)
	padding, nameOff, parentOff, startLine := call.uint(3), uint64(call.u32()), uint64(call.u32()), call.u32()
	if tree.bad || call.bad || off == 1<<32-1 || padding != 0 || parentOff >= fn.size || startLine == 0 {
		return "", 0, false
	}
	// A name begins after another name's zero byte.
	if nameOff > 0 && t.mem.from(t.names+nameOff-1).u8() != 0 {
		return "", 0, false
	}
	name = t.mem.text(t.names+nameOff, maxName)
	return name, fn.entry + parentOff, name != ""
}

// switched says whether the function at pc may switch stacks.
func (c *Core) switched(pc uint64) bool {
	if m := c.moduleAt(pc); m != nil {
		if g := m.goFuncs(); g != nil {
			fn, ok := g.find(pc)
			return ok && fn.flag&goSPWrite != 0
		}
	}
	return false
}

// goStep finds the caller's registers by the size of the frame.
func (c *Core) goStep(t *goTable, fn *goFunc, regs *Registers, pc uint64) bool {
	if fn.flag&goTopFrame != 0 {
		// It has no caller, unless it is the signal handler.
		fn.flag = 0
		return c.goStep(t, fn, regs, pc) && c.trampoline(regs.PC())
	}
	frame, ok := t.value(fn, fn.pcsp, pc)
	if !ok || frame < 0 || fn.flag&goSPWrite != 0 {
		return c.goSwitch(regs)
	}
	size := uint64(frame)
	sp := regs.SP()
	if regs.arch == ARM64 {
		// The return address is at the bottom of the frame, the caller's frame
		// pointer just below the frame.
		if size > 0 {
			lr, ok := c.word(sp)
			if !ok {
				return false
			}
			regs.set(arm64LR, lr)
			if fp, ok := c.word(sp - 8); ok {
				regs.set(arm64FP, fp)
			}
		}
		lr, known := regs.get(arm64LR)
		regs.set(arm64PC, lr)
		regs.set(arm64SP, sp+size)
		return known && c.arrive(regs)
	}
	sp += size
	ret, ok := c.word(sp)
	if !ok {
		return false
	}
	if ret != 0 && !c.executable(ret) {
		return c.goSwitch(regs)
	}
	if size >= 8 {
		if bp, ok := c.word(sp - 8); ok {
			regs.set(amd64BP, bp)
		}
	}
	regs.set(amd64PC, ret)
	regs.set(amd64SP, sp+8)
	return ret != 0
}

// goSwitch follows the frame pointer, to any stack: a function that switches stacks keeps
// the frame pointer of the previous one.
func (c *Core) goSwitch(regs *Registers) bool {
	regs.set(regs.spColumn(), 0)
	return c.byFramePointer(regs)
}

// undoSigpanic undoes the frame that the runtime's signal handler made, as if the faulting
// instruction had called sigpanic. On arm64 the handler saved the link register there.
func (c *Core) undoSigpanic(r *Registers) bool {
	if r.arch != ARM64 {
		return true
	}
	lr, ok := c.word(r.SP())
	r.set(arm64LR, lr)
	r.set(arm64SP, r.SP()+16)
	return ok
}
