package corefile

// A call is a function around an address: the first of a list is the function
// itself, each that follows was inlined into the one before it, at file and line.
type call struct {
	_          incomparable
	name       string
	low        uint64
	file, line uint64
	depth      int
}

// Tags that are used.
const (
	tagClass      = 0x02
	tagEnum       = 0x04
	tagStructure  = 0x13
	tagUnion      = 0x17
	tagInlined    = 0x1d
	tagSubprogram = 0x2e
)

// An entry is what is used of an entry of DWARF.
type entry struct {
	abbrev                *abbrev
	low, high, ranges     attr
	origin, name, linkage attr
	sibling               uint64
	callFile, callLine    uint64
	hasOrigin             bool
}

// readEntry reads the entry at the cursor into e. It is false at the end of a list
// of children.
func (t *lineTable) readEntry(cur *cursor, u *unit, e *entry) bool {
	*e = entry{}
	code := cur.uleb()
	if code == 0 || cur.bad {
		return false
	}
	e.abbrev = t.abbrevOf(u, code)
	// Attributes may take no room, so reading alone does not bound them.
	if e.abbrev == nil || !t.c.spend(8*len(e.abbrev.specs)) {
		cur.bad = true
		return false
	}
	for _, s := range e.abbrev.specs {
		v := t.attr(cur, u, s)
		switch s.name {
		case atSibling:
			e.sibling = t.reference(u, v)
		case atName:
			e.name = v
		case atLinkageName, atMIPSName:
			e.linkage = v
		case atLowPC:
			e.low = v
		case atHighPC:
			e.high = v
		case atRanges:
			e.ranges = v
		case atOrigin, atSpec:
			e.origin, e.hasOrigin = v, true
		case atCallFile:
			e.callFile = v.u
		case atCallLine:
			e.callLine = v.u
		}
	}
	return !cur.bad
}

// reference is the offset in info that an attribute refers to, 0 if none.
func (t *lineTable) reference(u *unit, v attr) uint64 {
	switch v.form {
	case 0x11, 0x12, 0x13, 0x14, 0x15: // within the unit
		return u.off + v.u
	case 0x10: // ref_addr
		return v.u
	}
	return 0
}

// calls walks the entries of a unit to the function around pc and the calls that
// were inlined there.
func (t *lineTable) calls(u *unit, pc uint64) []call {
	var found []call
	var e entry
	depth := 0
	cur := at(t.info.src, t.info.off+u.die, u.end-u.die)
	for range maxEntries {
		if cur.left() == 0 || cur.bad {
			break
		}
		if !t.readEntry(cur, u, &e) {
			depth--
			if depth <= 0 || len(found) > 0 && depth <= found[0].depth {
				break
			}
			continue
		}
		around := false
		if e.abbrev.tag == tagSubprogram || e.abbrev.tag == tagInlined {
			var low uint64
			t.eachRange(u, e.low, e.high, e.ranges, func(from, to uint64) bool {
				if low == 0 {
					low = from
				}
				around = from <= pc && pc < to
				return !around
			})
			if around && (len(found) == 0 || depth > found[len(found)-1].depth) && len(found) < 64 {
				found = append(found, call{name: t.nameOf(u, &e), low: low, file: e.callFile, line: e.callLine, depth: depth})
			}
		}
		if !e.abbrev.children {
			if len(found) > 0 && depth == found[0].depth {
				break
			}
			continue
		}
		skip := false
		switch e.abbrev.tag {
		case tagSubprogram, tagInlined:
			skip = !around
		case tagClass, tagEnum, tagStructure, tagUnion:
			skip = true
		}
		if skip && e.sibling > cur.pos-t.info.off && e.sibling < u.end {
			cur.seek(t.info.off + e.sibling)
			continue
		}
		depth++
	}
	return found
}

// nameOf is the name of a function, which may stand at the entry it is an
// instance of.
func (t *lineTable) nameOf(u *unit, e *entry) string {
	for range 4 {
		if name := t.text(u, e.linkage); name != "" {
			return name
		}
		plain := t.text(u, e.name)
		if !e.hasOrigin {
			return plain
		}
		off := t.reference(u, e.origin)
		v := t.unitAt(off)
		if off == 0 || v == nil {
			return plain
		}
		cur := at(t.info.src, t.info.off+off, v.end-off)
		next := new(entry)
		if !t.readEntry(cur, v, next) {
			return plain
		}
		u, e = v, next
	}
	return ""
}
