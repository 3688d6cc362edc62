package corefile

import (
	"debug/elf"
	"sort"
)

// Call frame information, .eh_frame and .debug_frame: the places of the caller's registers in
// a function's frame. An entry (FDE) covers one function; a CIE has what many FDEs share.

const (
	maxFDEs      = 1 << 19 // of all tables without a search table
	maxEntrySize = 1 << 16 // bytes of one CIE or FDE
	maxCIEs      = 1 << 16 // cached ones of all tables
)

// A frameTable is one section of call frame information.
type frameTable struct {
	c     *Core
	data  span
	debug bool   // .debug_frame, not .eh_frame
	addr  uint64 // address of the first byte, for relative pointers
	bias  uint64 // the module's; added to absolute addresses

	// The search table of .eh_frame_hdr: count pairs of 32-bit offsets from hdr, a function's
	// start and its FDE. table is the address of the first pair.
	hdr, table uint64
	count      uint64

	sorted []fdeRange // if there is no search table
	built  bool
	cies   map[uint64]*cie
}

type fdeRange struct {
	start, end uint64
	off        uint64
}

type cie struct {
	version   uint8
	codeAlign uint64
	dataAlign int64
	raColumn  int
	encoding  uint8  // of the addresses in its FDEs
	augmented bool   // FDEs have augmentation data
	signal    bool   // a signal frame: the caller was interrupted, it made no call
	code      uint64 // start of the initial instructions
	codeEnd   uint64
}

type fde struct {
	*cie
	start, end uint64
	from, to   uint64 // its instructions
}

// find finds the FDE of the function at pc.
func (t *frameTable) find(pc uint64) (fde, bool) {
	if t.count > 0 {
		return t.search(pc)
	}
	t.build()
	i := sort.Search(len(t.sorted), func(i int) bool { return t.sorted[i].start > pc })
	// Ranges may overlap; the one that begins last before pc is the closest.
	for n := 0; i > 0 && n < 4; n++ {
		i--
		if r := t.sorted[i]; pc < r.end {
			return t.fde(r.off)
		}
	}
	return fde{}, false
}

// search uses the search table. A wrong table can hide an FDE. It cannot give a wrong one:
// search checks the range that the FDE states.
func (t *frameTable) search(pc uint64) (fde, bool) {
	mem := (*memorySource)(t.c)
	lo, hi := uint64(0), t.count
	for lo < hi {
		mid := lo + (hi-lo)/2
		cur := at(mem, t.table+mid*8, 8)
		start := t.hdr + uint64(int64(int32(cur.u32())))
		if cur.bad {
			return fde{}, false
		}
		if start <= pc {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return fde{}, false
	}
	cur := at(mem, t.table+(lo-1)*8+4, 4)
	where := t.hdr + uint64(int64(int32(cur.u32())))
	if cur.bad {
		return fde{}, false
	}
	f, ok := t.fde(where - t.data.off)
	return f, ok && f.start <= pc && pc < f.end
}

// build lists all FDEs, sorted by address.
func (t *frameTable) build() {
	if t.built {
		return
	}
	t.built = true
	cur := t.data.from(0)
	for cur.left() > 4 && t.c.room.fdes > 0 {
		off := cur.pos - t.data.off
		length, wide := cur.unitLength()
		if length == 0 {
			if t.debug {
				break
			}
			continue // the end of one object file's part; another may follow
		}
		next := cur.pos + length
		if cur.bad || length > cur.left() {
			break
		}
		id := cur.offset(wide)
		isCIE := id == 0
		if t.debug {
			isCIE = id == 0xffffffff || id == ^uint64(0)
		}
		if !isCIE {
			if f, ok := t.fde(off); ok && f.start < f.end {
				t.c.room.fdes--
				t.sorted = append(t.sorted, fdeRange{f.start, f.end, off})
			}
		}
		cur.seek(next)
	}
	sort.Slice(t.sorted, func(i, j int) bool { return t.sorted[i].start < t.sorted[j].start })
}

// fde reads the FDE at an offset in the section.
func (t *frameTable) fde(off uint64) (fde, bool) {
	cur := t.data.from(off)
	length, wide := cur.unitLength()
	if cur.bad || length == 0 || length > min(maxEntrySize, cur.left()) {
		return fde{}, false
	}
	cur.end = cur.pos + length
	here := cur.pos - t.data.off
	id := cur.offset(wide)
	if t.debug {
		here = id
	} else {
		here -= id
	}
	ci := t.cie(here)
	if ci == nil || cur.bad {
		return fde{}, false
	}
	f := fde{cie: ci}
	start, ok := t.pointer(cur, ci.encoding)
	size, ok2 := t.pointer(cur, ci.encoding&pointerFormat)
	if !ok || !ok2 {
		return fde{}, false
	}
	if t.debug || ci.encoding&pointerBase == 0 {
		start += t.bias
	}
	f.start, f.end = start, start+size
	if ci.augmented {
		cur.skip(cur.uleb())
	}
	f.from, f.to = cur.pos, cur.end
	return f, !cur.bad && f.end >= f.start
}

// cie returns the CIE at an offset in the section, or nil if it is invalid.
func (t *frameTable) cie(off uint64) *cie {
	if ci, ok := t.cies[off]; ok {
		return ci
	}
	if t.cies == nil {
		t.cies = make(map[uint64]*cie)
	}
	ci := t.readCIE(off)
	if t.c.room.cies > 0 {
		t.c.room.cies--
		t.cies[off] = ci
	}
	return ci
}

func (t *frameTable) readCIE(off uint64) *cie {
	cur := t.data.from(off)
	length, wide := cur.unitLength()
	if cur.bad || length == 0 || length > min(maxEntrySize, cur.left()) {
		return nil
	}
	cur.end = cur.pos + length
	id := cur.offset(wide)
	if t.debug != (id != 0) {
		return nil
	}
	ci := &cie{version: cur.u8()}
	augmentation := cur.text(16)
	switch ci.version {
	case 1, 3:
	case 4:
		if cur.u8() != 8 || cur.u8() != 0 { // sizes of an address and of a segment
			return nil
		}
	default:
		return nil
	}
	ci.codeAlign, ci.dataAlign = cur.uleb(), cur.sleb()
	if ci.version == 1 {
		ci.raColumn = int(cur.u8())
	} else {
		ci.raColumn = int(min(cur.uleb(), 1<<10))
	}
	if augmentation != "" {
		if augmentation[0] != 'z' {
			return nil
		}
		ci.augmented = true
		size := cur.uleb()
		after := cur.pos + size
		for _, ch := range augmentation[1:] {
			switch ch {
			case 'L':
				cur.u8()
			case 'R':
				ci.encoding = cur.u8()
			case 'S':
				ci.signal = true
			case 'P':
				t.pointer(cur, cur.u8()&^pointerIndirect)
			case 'B': // return addresses are signed with the other key
			}
		}
		if after < cur.pos {
			return nil
		}
		cur.seek(after)
	}
	ci.code, ci.codeEnd = cur.pos, cur.end
	if cur.bad {
		return nil
	}
	return ci
}

// pointer reads a pointer in one of the encodings of .eh_frame.
func (t *frameTable) pointer(cur *cursor, encoding uint8) (uint64, bool) {
	if encoding == pointerOmit {
		return 0, true
	}
	place := t.addr + (cur.pos - t.data.off)
	var v uint64
	switch encoding & pointerFormat {
	case pointerAbsolute:
		v = cur.u64()
	case pointerULEB:
		v = cur.uleb()
	case pointerU2:
		v = uint64(cur.u16())
	case pointerU4:
		v = uint64(cur.u32())
	case pointerU8:
		v = cur.u64()
	case pointerSLEB:
		v = uint64(cur.sleb())
	case pointerS2:
		v = cur.signed(2)
	case pointerS4:
		v = cur.signed(4)
	case pointerS8:
		v = cur.u64()
	default:
		return 0, false
	}
	switch encoding &^ pointerFormat {
	case pointerAbsolute:
	case pointerPCRel:
		v += place
	case pointerDataRel:
		v += t.hdr
	default:
		return 0, false
	}
	return v, !cur.bad
}

// frameTables returns the module's tables, .eh_frame's first.
func (m *Module) frameTables() []*frameTable {
	if m.tables != nil {
		return m.tables
	}
	m.tables = []*frameTable{}
	m.open() // also for the program headers, if the core has none
	mem := (*memorySource)(m.core)
	for _, p := range m.progs {
		if p.kind != elf.PT_GNU_EH_FRAME {
			continue
		}
		t := &frameTable{c: m.core, hdr: m.Bias + p.addr, bias: m.Bias}
		cur := at(mem, t.hdr, p.memSize)
		t.data.off, t.addr = t.hdr, t.hdr
		t.data.src = mem
		version, ptr, num, tab := cur.u8(), cur.u8(), cur.u8(), cur.u8()
		start, ok := t.pointer(cur, ptr)
		if version != 1 || !ok || start < m.Start || start >= m.End {
			continue
		}
		if num != pointerOmit && tab == pointerDataRel|pointerS4 {
			if t.count, ok = t.pointer(cur, num); !ok {
				t.count = 0
			}
			t.table = cur.pos
			t.count = min(t.count, cur.left()/8)
		}
		// .eh_frame_hdr does not record the section's length; the module's end bounds it.
		t.data = span{mem, start, m.End - start}
		t.addr = start
		m.tables = append(m.tables, t)
	}
	if s := m.file.section(".eh_frame"); s != nil && len(m.tables) == 0 && s.flags&elf.SHF_ALLOC != 0 {
		start := m.Bias + s.addr
		m.tables = append(m.tables, &frameTable{c: m.core, bias: m.Bias, addr: start, data: span{mem, start, s.size}})
	}
	if m.goFuncs() == nil {
		for _, e := range []*elfFile{m.file, m.debugFile()} {
			if d := m.core.data(e, ".debug_frame"); d.src != nil {
				m.tables = append(m.tables, &frameTable{c: m.core, debug: true, bias: m.Bias, data: d})
				break
			}
		}
	}
	return m.tables
}
