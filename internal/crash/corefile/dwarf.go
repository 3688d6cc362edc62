package corefile

import (
	"debug/dwarf"
	"slices"
	"sort"
)

// The part of DWARF, versions 2 to 5, with lines and inlined calls. It is read piece by
// piece: only compressed sections are held in memory.

const (
	maxUnits      = 1 << 17 // of all modules
	maxUnitRanges = 1 << 19 // of all modules
	maxAbbrevs    = 1 << 14 // of one unit
	maxSpecs      = 1 << 17 // attributes in the abbreviations of one unit
	maxEntries    = 1 << 18 // entries read for one address
)

// attrMIPSName is the predecessor of DW_AT_linkage_name, used before DWARF 4.
const attrMIPSName = dwarf.Attr(0x2007)

// cPlusPlus are the values of DW_AT_language that mean C++ (DWARF 5, table 7.17, and those
// registered since for C++17 and 20).
var cPlusPlus = []uint64{0x04, 0x1a, 0x21, 0x2b, 0x2c}

// A lineTable is the DWARF of a module.
type lineTable struct {
	c                                 *Core
	info, abbrev, line, str, lineStr  span
	ranges, rnglists, addr, strOffset span

	units  []unit
	byAddr []unitRange

	abbrevs   []abbrev // of the last unit that was read
	abbrevsOf uint64
}

// A unit is a compilation unit.
type unit struct {
	off, die, end     uint64 // in info: its header, its first entry, its end
	version           uint16
	wide              bool
	abbrev            uint64
	lines             uint64
	hasLines          bool
	cPlusPlus         bool
	low               uint64 // base address of ranges
	strBase, addrBase uint64
	rngBase           uint64
	attrLow, attrHigh attr
	attrRanges        attr
}

type unitRange struct {
	low, high uint64
	unit      int
}

type abbrev struct {
	code     uint64
	tag      dwarf.Tag
	children bool
	specs    []spec
}

type spec struct {
	name     dwarf.Attr
	form     uint16
	implicit int64
}

// An attr is an attribute's raw value. It may be a reference that is not resolved yet.
type attr struct {
	form uint16
	u    uint64 // of an inline string: its offset in info
}

// dwarf returns the module's DWARF, from its file or its debug file.
func (m *Module) dwarf() *lineTable {
	if m.lines != nil {
		return m.lines
	}
	m.lines = &lineTable{}
	c := m.core
	for _, e := range []*elfFile{m.open(), m.debugFile()} {
		if e.section(".debug_info") == nil {
			continue
		}
		t := &lineTable{c: c, abbrevsOf: ^uint64(0)}
		t.info, t.abbrev, t.line = c.data(e, ".debug_info"), c.data(e, ".debug_abbrev"), c.data(e, ".debug_line")
		t.str, t.lineStr, t.strOffset = c.data(e, ".debug_str"), c.data(e, ".debug_line_str"), c.data(e, ".debug_str_offsets")
		t.ranges, t.rnglists, t.addr = c.data(e, ".debug_ranges"), c.data(e, ".debug_rnglists"), c.data(e, ".debug_addr")
		t.index()
		m.lines = t
		break
	}
	return m.lines
}

// index lists the units and the address ranges that they cover.
func (t *lineTable) index() {
	cur := t.info.from(0)
	for cur.left() > 11 && t.c.room.units > 0 && t.c.room.ranges > 0 {
		u := unit{off: cur.pos - t.info.off}
		length, wide := cur.unitLength()
		if cur.bad || length > cur.left() {
			return
		}
		next := cur.pos + length
		u.wide, u.end = wide, next-t.info.off
		if t.readUnit(cur, &u) {
			n := len(t.units)
			t.c.room.units--
			t.units = append(t.units, u)
			t.eachRange(&u, u.attrLow, u.attrHigh, u.attrRanges, func(low, high uint64) bool {
				if low != 0 && t.c.room.ranges > 0 {
					t.c.room.ranges--
					t.byAddr = append(t.byAddr, unitRange{low, high, n})
				}
				return true
			})
		}
		cur = t.info.from(u.end)
	}
	sort.Slice(t.byAddr, func(i, j int) bool { return t.byAddr[i].low < t.byAddr[j].low })
}

// readUnit reads a unit's header after the length, and its first entry.
func (t *lineTable) readUnit(cur *cursor, u *unit) bool {
	u.version = cur.u16()
	size := uint8(8)
	switch {
	case u.version >= 2 && u.version <= 4:
		u.abbrev = cur.offset(u.wide)
		size = cur.u8()
	case u.version == 5:
		kind := cur.u8()
		size = cur.u8()
		u.abbrev = cur.offset(u.wide)
		if kind != unitCompile && kind != unitPartial {
			return false
		}
		// The defaults for units without these attributes.
		u.strBase, u.addrBase = 8, 8
	default:
		return false
	}
	u.die = cur.pos - t.info.off
	if cur.bad || size != 8 {
		return false
	}
	code := cur.uleb()
	found := false
	var first abbrev
	t.eachAbbrev(u.abbrev, func(a abbrev) bool {
		if a.code == code {
			first, found = a, true
		}
		return !found
	})
	if !found || cur.bad {
		return false
	}
	if !t.c.spend(8 * len(first.specs)) {
		return false
	}
	for _, s := range first.specs {
		v := t.attr(cur, u, s)
		switch s.name {
		case dwarf.AttrLanguage:
			u.cPlusPlus = slices.Contains(cPlusPlus, v.u)
		case dwarf.AttrStmtList:
			u.lines, u.hasLines = v.u, true
		case dwarf.AttrLowpc:
			u.attrLow = v
		case dwarf.AttrHighpc:
			u.attrHigh = v
		case dwarf.AttrRanges:
			u.attrRanges = v
		case dwarf.AttrStrOffsetsBase:
			u.strBase = v.u
		case dwarf.AttrAddrBase:
			u.addrBase = v.u
		case dwarf.AttrRnglistsBase:
			u.rngBase = v.u
		}
	}
	if u.attrLow.form != 0 {
		u.low = t.address(u, u.attrLow)
	}
	return !cur.bad
}

// eachAbbrev calls yield for each entry of a table of abbreviations until it returns false.
func (t *lineTable) eachAbbrev(off uint64, yield func(abbrev) bool) {
	cur := t.abbrev.from(off)
	total := 0
	for range maxAbbrevs {
		a := abbrev{code: cur.uleb()}
		if a.code == 0 || cur.bad {
			return
		}
		a.tag = dwarf.Tag(min(cur.uleb(), 0xffff))
		a.children = cur.u8() != 0
		for {
			s := spec{name: dwarf.Attr(min(cur.uleb(), 0xffff)), form: uint16(min(cur.uleb(), 0xffff))}
			if s.form == formImplicitConst {
				s.implicit = cur.sleb()
			}
			if total++; cur.bad || total > maxSpecs {
				return
			}
			if s.name == 0 && s.form == 0 {
				break
			}
			a.specs = append(a.specs, s)
		}
		if !yield(a) {
			return
		}
	}
}

// abbrevOf returns a unit's abbreviation with that code, or nil.
func (t *lineTable) abbrevOf(u *unit, code uint64) *abbrev {
	if t.abbrevsOf != u.abbrev {
		t.abbrevs, t.abbrevsOf = nil, u.abbrev // a new slice: entries point into the old one
		t.eachAbbrev(u.abbrev, func(a abbrev) bool {
			t.abbrevs = append(t.abbrevs, a)
			return true
		})
		sort.Slice(t.abbrevs, func(i, j int) bool { return t.abbrevs[i].code < t.abbrevs[j].code })
	}
	if n := code - 1; n < uint64(len(t.abbrevs)) && t.abbrevs[n].code == code {
		return &t.abbrevs[n]
	}
	i := sort.Search(len(t.abbrevs), func(i int) bool { return t.abbrevs[i].code >= code })
	if i < len(t.abbrevs) && t.abbrevs[i].code == code {
		return &t.abbrevs[i]
	}
	return nil
}

// unitFor returns the unit that covers an address of the file, or nil.
func (t *lineTable) unitFor(addr uint64) *unit {
	i := sort.Search(len(t.byAddr), func(i int) bool { return t.byAddr[i].low > addr })
	for n := 0; i > 0 && n < 16; n++ {
		i--
		if r := t.byAddr[i]; addr < r.high {
			return &t.units[r.unit]
		}
	}
	return nil
}

// unitAt returns the unit that an offset in info belongs to, or nil.
func (t *lineTable) unitAt(off uint64) *unit {
	i := sort.Search(len(t.units), func(i int) bool { return t.units[i].off > off })
	if i == 0 || off >= t.units[i-1].end {
		return nil
	}
	return &t.units[i-1]
}
