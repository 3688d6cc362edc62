package corefile

// Programs of Go carry a table of their functions, lines and frame sizes that
// the runtime itself needs, so it is there in stripped ones too. It is enough to
// walk a stack exactly.

const (
	goMagic118 = 0xfffffff0
	goMagic120 = 0xfffffff1
	maxGoFuncs = 1 << 22
)

// A goTable is the .gopclntab of a module, in the core's memory.
type goTable struct {
	_       incomparable
	c       *Core
	magic   uint32
	mem     span
	quantum uint64
	count   uint64
	text    uint64 // what the functions' addresses are relative to
	inline  uint64 // the address of go:func.*; 0 if it is not known

	names, units, files, values, funcs uint64 // offsets of the parts
}

// A goFunc is one function of the table.
type goFunc struct {
	_           incomparable
	entry       uint64
	name        int32
	pcsp        uint32
	pcfile      uint32
	pcln        uint32
	npcdata     uint32
	unit        uint32
	flag        uint8
	nfuncdata   uint8
	tablesBegin uint64 // offset of its npcdata offsets, and then the funcdata
}

const (
	goTopFrame = 1 // flags of a function: nothing called it
	goSPWrite  = 2 // it changes to another stack
)

// goFuncs is the module's table, nil if it is none of Go's.
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
		if s == nil || s.flags&shfAlloc == 0 {
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
	// Since Go 1.26 the beginning of the code is in the module's data only.
	if s := e.section(".go.module"); s != nil {
		mem := (*memorySource)(m.core)
		data := at(mem, m.Bias+s.addr+22*8, 19*8)
		text := data.u64()
		data.skip(17 * 8)
		if inline := data.u64(); !data.bad && m.Start <= text && text < m.End {
			t.text, t.inline = text, inline
		}
	}
	if t.text < m.Start || t.text >= m.End {
		s := e.section(".text")
		if s == nil {
			return false
		}
		t.text = m.Bias + s.addr
	}
	return true
}

// find finds the function that an address is in.
func (t *goTable) find(pc uint64) (*goFunc, bool) {
	off := pc - t.text
	if pc < t.text || off > 1<<32-1 {
		return nil, false
	}
	// The entry after the last one says where the code ends.
	lo, hi := uint64(0), t.count+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		cur := t.mem.from(t.funcs + mid*8)
		start := uint64(cur.u32())
		if cur.bad {
			return nil, false
		}
		if start <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 || lo > t.count {
		return nil, false
	}
	cur := t.mem.from(t.funcs + (lo-1)*8)
	start, record := cur.u32(), cur.u32()
	if cur.bad {
		return nil, false
	}
	cur = t.mem.from(t.funcs + uint64(record))
	if cur.u32() != start {
		return nil, false
	}
	f := &goFunc{entry: t.text + uint64(start), name: int32(cur.u32())}
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

// describe fills in function and line, and returns the frames of calls that were
// inlined at the address.
func (t *goTable) describe(f *Frame, fn *goFunc, pc uint64) []Frame {
	f.Function, f.FuncOff = t.text32(fn.name), f.PC-fn.entry
	f.File, f.Line = t.line(fn, pc)
	var inlined []Frame
	for range 64 {
		name, parent, ok := t.inlined(fn, pc)
		if !ok || parent == pc {
			break
		}
		in := *f
		in.Function, in.FuncOff, in.Inlined = name, 0, true
		in.File, in.Line = t.line(fn, pc)
		inlined = append(inlined, in)
		pc = parent
	}
	if len(inlined) > 0 {
		f.File, f.Line = t.line(fn, pc)
	}
	return inlined
}

// line is the source line of an address.
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

// inlined looks up which call was inlined at an address, and an address of what
// it was inlined into.
func (t *goTable) inlined(fn *goFunc, pc uint64) (name string, parent uint64, ok bool) {
	const indexTable, treeTable = 2, 3 // PCDATA_InlTreeIndex, FUNCDATA_InlTree
	if t.inline == 0 || t.magic != goMagic120 || fn.npcdata <= indexTable || fn.nfuncdata <= treeTable {
		return "", 0, false
	}
	cur := t.mem.from(fn.tablesBegin + indexTable*4)
	table := cur.u32()
	tree := t.mem.from(fn.tablesBegin + (uint64(fn.npcdata)+treeTable)*4)
	off := tree.u32()
	index, found := t.value(fn, table, pc)
	if cur.bad || tree.bad || !found || index < 0 || off == 1<<32-1 {
		return "", 0, false
	}
	call := at((*memorySource)(t.c), t.inline+uint64(off)+uint64(index)*16, 16)
	call.skip(4)
	nameOff, parentOff := int32(call.u32()), call.u32()
	name = t.text32(nameOff)
	return name, fn.entry + uint64(parentOff), !call.bad && name != ""
}

// switched says whether the function at pc may go on to another stack.
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
		// Nothing called it, unless it is the handler of signals.
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
		// The return address lies lowest in the frame, the caller's frame
		// pointer just below it.
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

// goSwitch follows the frame pointer to wherever it leads: a function that
// changes stacks leaves it as it was on the other one.
func (c *Core) goSwitch(regs *Registers) bool {
	regs.set(regs.spColumn(), 0)
	return c.byFramePointer(regs)
}

// undoSigpanic makes up for what the runtime's signal handler did to make it look
// as if the faulting instruction had called sigpanic. On arm64 it saved the link
// register for that.
func (c *Core) undoSigpanic(r *Registers) bool {
	if r.arch != ARM64 {
		return true
	}
	lr, ok := c.word(r.SP())
	r.set(arm64LR, lr)
	r.set(arm64SP, r.SP()+16)
	return ok
}
