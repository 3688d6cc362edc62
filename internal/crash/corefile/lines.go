package corefile

import (
	"path"
)

// describeLines fills in the source line, and the function if DWARF names it, and returns the
// frames of the calls inlined at lookup, innermost first.
func (m *Module) describeLines(f *Frame, lookup uint64) []Frame {
	t := m.dwarf()
	pc := lookup - m.Bias
	u := t.unitFor(pc)
	if u == nil {
		return nil
	}
	if u.hasLines {
		if file, line := t.lookup(u, pc); line > 0 {
			f.File, f.Line = t.fileName(u, file), line
		}
	}
	calls := t.calls(u, pc)
	if len(calls) == 0 {
		return nil
	}
	// If several symbols share an address, DWARF has the source's name.
	if name := calls[0].name; name != "" {
		if f.Function == "" {
			f.FuncOff = pc - calls[0].low
		}
		f.Function = sourceName(name)
	}
	var inlined []Frame
	for i := len(calls) - 1; i > 0; i-- {
		in := *f
		in.Function, in.FuncOff, in.Inlined = sourceName(calls[i].name), 0, true
		inlined = append(inlined, in)
		f.Line, f.File = int(calls[i].line), t.fileName(u, calls[i].file)
	}
	return inlined
}

// A lineHeader is the beginning of a line program.
type lineHeader struct {
	version     uint16
	wide        bool
	minInst     uint64
	lineBase    int64
	lineRange   uint8
	opcodeBase  uint8
	lengths     [256]uint8
	program     uint64  // start of the instructions
	directories *cursor // at the tables of directories and files
	end         uint64
}

// lineHeader reads the beginning of a unit's line program. It returns nil if that is invalid.
func (t *lineTable) lineHeader(u *unit) *lineHeader {
	h := new(lineHeader)
	cur := t.line.from(u.lines)
	length, wide := cur.unitLength()
	if cur.bad || length > cur.left() {
		return nil
	}
	h.end = cur.pos + length
	cur.end = h.end
	h.wide = wide
	h.version = cur.u16()
	if h.version < 2 || h.version > 5 {
		return nil
	}
	if h.version == 5 && (cur.u8() != 8 || cur.u8() != 0) {
		return nil
	}
	size := cur.offset(wide)
	if size > cur.left() {
		return nil
	}
	h.program = cur.pos + size
	h.minInst = uint64(cur.u8())
	if h.version >= 4 && cur.u8() > 1 {
		return nil // several operations in an instruction, which no supported architecture has
	}
	cur.u8() // default_is_stmt
	h.lineBase = int64(int8(cur.u8()))
	h.lineRange = cur.u8()
	h.opcodeBase = cur.u8()
	if h.lineRange == 0 || h.opcodeBase == 0 {
		return nil
	}
	for i := 1; i < int(h.opcodeBase); i++ {
		h.lengths[i] = cur.u8()
	}
	h.directories = cur
	h.directories.end = h.program
	if cur.bad || cur.pos > h.program {
		return nil
	}
	return h
}

// lookup runs the line program of a unit until it has passed an address.
func (t *lineTable) lookup(u *unit, pc uint64) (file uint64, line int) {
	h := t.lineHeader(u)
	if h == nil {
		return 0, 0
	}
	cur := at(t.line.src, h.program, h.end-h.program)
	type state struct {
		addr, file uint64
		line       int64
		valid      bool
	}
	start := state{file: 1, line: 1}
	now, before := start, start
	// emit ends a row; the row before it covers the addresses up to this one.
	emit := func(last bool) bool {
		if before.valid && before.addr <= pc && pc < now.addr {
			return true
		}
		before = now
		before.valid = true
		if last {
			now, before = start, start
		}
		return false
	}
	for cur.left() > 0 {
		op := cur.u8()
		hit := false
		switch {
		case op >= h.opcodeBase:
			n := op - h.opcodeBase
			now.addr += uint64(n/h.lineRange) * h.minInst
			now.line += h.lineBase + int64(n%h.lineRange)
			hit = emit(false)
		case op == lineExtended:
			size := cur.uleb()
			next := cur.pos + size
			if size == 0 || next < cur.pos {
				return 0, 0
			}
			switch cur.u8() {
			case lineEndSequence:
				hit = emit(true)
			case lineSetAddress:
				now.addr = cur.u64()
			}
			cur.seek(next)
		case op == lineCopy:
			hit = emit(false)
		case op == lineAdvancePC:
			now.addr += cur.uleb() * h.minInst
		case op == lineAdvanceLine:
			now.line += cur.sleb()
		case op == lineSetFile:
			now.file = cur.uleb()
		case op == lineConstAddPC:
			now.addr += uint64((255-h.opcodeBase)/h.lineRange) * h.minInst
		case op == lineFixedAdvancePC:
			now.addr += uint64(cur.u16())
		default:
			for range h.lengths[op] {
				cur.uleb()
			}
		}
		if hit {
			return before.file, int(max(0, min(before.line, 1<<30)))
		}
		if cur.bad {
			break
		}
	}
	return 0, 0
}

// fileName returns the path of a unit's file by its number. Like a debugger's, it may be
// relative to the directory of the compilation.
func (t *lineTable) fileName(u *unit, number uint64) string {
	h := t.lineHeader(u)
	if h == nil {
		return ""
	}
	cur := h.directories
	if h.version == 5 {
		count, format := entryFormat(cur)
		dirs := *cur
		if !t.skipEntries(cur, h, format, count) {
			return ""
		}
		count, files := entryFormat(cur)
		if number >= count || !t.skipEntries(cur, h, files, number) {
			return ""
		}
		name, dir := t.entry(cur, u, h, files)
		if dir == 0 || !t.skipEntries(&dirs, h, format, dir) {
			return name
		}
		in, _ := t.entry(&dirs, u, h, format)
		return join(in, name)
	}
	if number == 0 {
		return ""
	}
	dirs := *cur
	for cur.text(0); !cur.bad; cur.text(0) {
		if cur.pos >= cur.end {
			return ""
		}
		if peek := *cur; peek.u8() == 0 {
			cur.skip(1)
			break
		}
	}
	for ; !cur.bad; number-- {
		name, dir := cur.text(maxName), cur.uleb()
		cur.uleb()
		cur.uleb()
		if name == "" {
			return ""
		}
		if number > 1 {
			continue
		}
		for ; dir > 1 && !dirs.bad; dir-- {
			dirs.text(0)
		}
		if dir == 0 {
			return name
		}
		return join(dirs.text(maxName), name)
	}
	return ""
}

func join(dir, name string) string {
	if dir == "" || path.IsAbs(name) {
		return name
	}
	return path.Join(dir, name)
}

// An entryField is a kind of content and its form.
type entryField struct{ content, form uint64 }

// entryFormat reads the number of a table's entries, and their fields.
func entryFormat(cur *cursor) (uint64, []entryField) {
	var format []entryField
	for range cur.u8() {
		format = append(format, entryField{cur.uleb(), cur.uleb()})
	}
	return cur.uleb(), format
}

// skipEntries skips entries. Entries of no bytes are an error: any number of them would fit.
func (t *lineTable) skipEntries(cur *cursor, h *lineHeader, format []entryField, count uint64) bool {
	u := &unit{wide: h.wide, version: h.version}
	for ; count > 0; count-- {
		before := cur.pos
		for _, f := range format {
			t.attr(cur, u, spec{form: uint16(min(f.form, 0xffff))})
		}
		if cur.bad || cur.pos == before || !t.c.spend(8*len(format)) {
			return false
		}
	}
	return true
}

// entry reads an entry: its path, and the number of its directory.
func (t *lineTable) entry(cur *cursor, u *unit, h *lineHeader, format []entryField) (name string, dir uint64) {
	in := *u
	in.wide = h.wide
	for _, f := range format {
		if f.content == contentPath && f.form == formString {
			name = cur.text(maxName)
			continue
		}
		v := t.attr(cur, &in, spec{form: uint16(min(f.form, 0xffff))})
		switch f.content {
		case contentPath:
			name = t.text(u, v)
		case contentDirectory:
			dir = v.u
		}
	}
	return name, dir
}
