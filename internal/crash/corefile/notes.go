package corefile

import (
	"bytes"
	"debug/elf"
	"sort"
)

// Kinds of notes in a core.
const (
	ntPrstatus   = uint32(elf.NT_PRSTATUS)
	ntPrpsinfo   = uint32(elf.NT_PRPSINFO)
	ntAuxv       = 6
	ntFile       = 0x46494c45
	ntSiginfo    = 0x53494749
	ntARMPACMask = 0x406
)

// A mapping is a part of a file in memory.
type mapping struct {
	start, end uint64
	offset     uint64 // in the file, in bytes
	path       string
	module     *Module // nil if it is no ELF file
}

// readNotes reads at most limit notes of a PT_NOTE segment and returns the rest of limit.
func (c *Core) readNotes(off, size uint64, limit int) int {
	cur := at(&fileSource{c, c.f, c.size}, off, size)
	for ; limit > 0 && cur.left() >= 12; limit-- {
		nameLen, descLen, kind := uint64(cur.u32()), uint64(cur.u32()), cur.u32()
		cur.skip((nameLen + 3) &^ 3)
		if cur.bad || descLen > cur.left() {
			break
		}
		desc := at(cur.src, cur.pos, descLen)
		switch kind {
		case ntPrstatus:
			c.prstatus(desc)
		case ntPrpsinfo:
			c.prpsinfo(desc)
		case ntSiginfo:
			c.siginfo(desc)
		case ntAuxv:
			c.auxiliary(desc)
		case ntFile:
			c.mappedFiles(desc, descLen)
		case ntARMPACMask:
			desc.skip(8)
			if mask := desc.u64(); !desc.bad && mask != 0 {
				c.pacMask = mask
			}
		}
		cur.skip(min((descLen+3)&^3, cur.left()))
	}
	return limit
}

// amd64Status is the order of the kernel's user_regs_struct, as DWARF numbers.
var amd64Status = [...]int{
	15, 14, 13, 12, amd64BP, amd64BX, 11, 10, 9, 8, amd64AX, amd64CX, amd64DX, amd64SI, amd64DI,
	statusOther /* orig_rax */, amd64PC, statusOther /* cs */, statusFlags, amd64SP,
}

const (
	statusOther = -1 // no general register
	statusFlags = -2
)

// prstatus adds a thread. It can read the registers of the supported architectures only.
func (c *Core) prstatus(d *cursor) {
	c.origin.Threads++
	if len(c.Threads) >= maxThreads {
		return
	}
	var t Thread
	d.skip(12)
	signal := int(d.u16())
	if c.origin.Threads == 1 {
		c.origin.Signal = signal
	}
	d.skip(18)
	t.TID = int(int32(d.u32()))
	d.skip(76)
	switch c.Arch {
	case AMD64:
		for _, n := range amd64Status {
			v := d.u64()
			switch n {
			case statusOther:
			case statusFlags:
				t.Regs.flags = v
			default:
				t.Regs.set(n, v)
			}
		}
	case ARM64:
		for n := range 33 { // x0 to x30, sp, pc
			t.Regs.set(n, d.u64())
		}
		t.Regs.flags = d.u64()
	default:
		return
	}
	if d.bad {
		return
	}
	t.Regs.arch = c.Arch
	c.Threads = append(c.Threads, t)
}

func (c *Core) prpsinfo(d *cursor) {
	d.skip(24)
	pid, ppid, group := int(int32(d.u32())), int(int32(d.u32())), int(int32(d.u32()))
	if !d.bad {
		c.origin.PID, c.origin.PPID, c.origin.Group = pid, ppid, group
	}
}

// siginfo uses only the first NT_SIGINFO: a debugger's core has one for each thread, and the
// first belongs to the crashed thread.
func (c *Core) siginfo(d *cursor) {
	if c.origin.Siginfo == nil && d.left() >= 32 {
		c.origin.Siginfo = append(bytes.Clone(d.next(16)), d.next(16)...)
	}
}

func (c *Core) auxiliary(d *cursor) {
	if c.auxv != nil {
		return
	}
	c.auxv = make(map[uint64]uint64)
	for len(c.auxv) < 128 && d.left() >= 16 {
		kind, value := d.u64(), d.u64()
		if kind == 0 || d.bad {
			return
		}
		c.auxv[kind] = value
	}
}

// mappedFiles reads NT_FILE: a count, the page size, three numbers for each mapping, and then
// their names in the same order.
func (c *Core) mappedFiles(d *cursor, size uint64) {
	if len(c.mappings) > 0 || size > maxFileNote {
		return
	}
	count, unit := d.u64(), d.u64()
	if d.bad || count > d.left()/24 {
		return
	}
	names := at(d.src, d.pos+count*24, d.left()-count*24)
	if count > maxMappings {
		c.Skipped += int(count - maxMappings)
		count = maxMappings
	}
	last := ""
	for range count {
		m := mapping{start: d.u64(), end: d.u64(), offset: d.u64() * unit}
		m.path = names.text(4096)
		if d.bad || names.bad {
			break
		}
		if m.path == last {
			m.path = last // one string for all parts of a file
		}
		last = m.path
		if m.start < m.end {
			c.mappings = append(c.mappings, m)
		}
	}
	sort.Slice(c.mappings, func(i, j int) bool { return c.mappings[i].start < c.mappings[j].start })
}
