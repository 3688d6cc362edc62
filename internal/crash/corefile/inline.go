package corefile

import (
	"debug/dwarf"
	"strings"
)

// A call is a function around an address. In a list, the first is the function itself, and
// each further one was inlined into the one before it, at file and line.
type call struct {
	name       string
	low        uint64
	file, line uint64
	depth      int
}

// An entry has the used attributes of a DWARF entry.
type entry struct {
	off                   uint64 // in info
	abbrev                *abbrev
	low, high, ranges     attr
	origin, name, linkage attr
	sibling               uint64
	callFile, callLine    uint64
	hasOrigin             bool
}

// readEntry reads the entry at the cursor into e. It returns false at the end of a list of
// children, and on errors.
func (t *lineTable) readEntry(cur *cursor, u *unit, e *entry) bool {
	*e = entry{off: cur.pos - t.info.off}
	code := cur.uleb()
	if code == 0 || cur.bad {
		return false
	}
	e.abbrev = t.abbrevOf(u, code)
	// Attributes may take no bytes, so reads alone do not bound them.
	if e.abbrev == nil || !t.c.spend(8*len(e.abbrev.specs)) {
		cur.bad = true
		return false
	}
	for _, s := range e.abbrev.specs {
		v := t.attr(cur, u, s)
		switch s.name {
		case dwarf.AttrSibling:
			e.sibling = t.reference(u, v)
		case dwarf.AttrName:
			e.name = v
		case dwarf.AttrLinkageName, attrMIPSName:
			e.linkage = v
		case dwarf.AttrLowpc:
			e.low = v
		case dwarf.AttrHighpc:
			e.high = v
		case dwarf.AttrRanges:
			e.ranges = v
		case dwarf.AttrAbstractOrigin, dwarf.AttrSpecification:
			e.origin, e.hasOrigin = v, true
		case dwarf.AttrCallFile:
			e.callFile = v.u
		case dwarf.AttrCallLine:
			e.callLine = v.u
		}
	}
	return !cur.bad
}

// reference returns the offset in info that an attribute refers to, or 0.
func (t *lineTable) reference(u *unit, v attr) uint64 {
	switch v.form {
	case formRef1, formRef2, formRef4, formRef8, formRefUdata: // within the unit
		return u.off + v.u
	case formRefAddr:
		return v.u
	}
	return 0
}

// calls walks the entries of a unit to the function around pc and the calls inlined there.
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
		if e.abbrev.tag == dwarf.TagSubprogram || e.abbrev.tag == dwarf.TagInlinedSubroutine {
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
		case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine:
			skip = !around
		case dwarf.TagClassType, dwarf.TagEnumerationType, dwarf.TagStructType, dwarf.TagUnionType:
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

// nameOf returns the name of a function, which the entry that it is an instance of may hold.
// The name is mangled, or, for a C++ function that is local to its unit, qualified with
// namespaces and classes.
func (t *lineTable) nameOf(u *unit, e *entry) string {
	for range 4 {
		if name := t.text(u, e.linkage); name != "" {
			return name
		}
		plain := t.text(u, e.name)
		if !e.hasOrigin {
			if plain != "" && u.cPlusPlus {
				plain = t.scope(u, e.off) + plain
			}
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

// scope returns the qualifiers of the entry at off: its namespaces and classes, each with
// "::". Like gdb, it omits those outside an enclosing function.
func (t *lineTable) scope(u *unit, off uint64) string {
	var around []string
	var e entry
	cur := at(t.info.src, t.info.off+u.die, u.end-u.die)
	for range maxEntries {
		if cur.left() == 0 || cur.bad || cur.pos-t.info.off >= off {
			break
		}
		if !t.readEntry(cur, u, &e) {
			if cur.bad || len(around) == 0 {
				break
			}
			around = around[:len(around)-1]
			continue
		}
		if !e.abbrev.children {
			continue
		}
		if e.sibling > cur.pos-t.info.off && e.sibling <= off {
			cur.seek(t.info.off + e.sibling)
			continue
		}
		around = append(around, t.scopeName(u, &e))
	}
	text := ""
	for _, name := range around {
		if text += name; name == "" {
			text = "" // local to a function
		}
	}
	return text
}

// scopeName returns the qualifier of an entry with children; empty if it is neither a
// namespace nor a class.
func (t *lineTable) scopeName(u *unit, e *entry) string {
	name := t.text(u, e.name)
	switch e.abbrev.tag {
	case dwarf.TagCompileUnit, dwarf.TagPartialUnit:
		return ""
	case dwarf.TagNamespace:
		if name == "" {
			name = "(anonymous namespace)"
		}
	case dwarf.TagClassType, dwarf.TagStructType, dwarf.TagUnionType:
		if name == "" || strings.HasPrefix(name, "<lambda") {
			name = "{lambda}"
		}
	default:
		return ""
	}
	return name + "::"
}
