package corefile

import (
	"sort"
	"strings"
)

const (
	maxSymbols = 1 << 21 // of all modules
	maxName    = 1 << 10 // bytes of a function's name
)

// A symbolTable is a module's functions by address.
type symbolTable struct {
	c     *Core
	all   []symbol
	names []span // of the tables that the symbols are from
}

type symbol struct {
	_          incomparable
	start, end uint64 // as the file has them; end is start if no size is known
	name       uint32
	table      uint8 // of names
	rank       uint8 // how good the name is, of several for one address
}

// symbol is the name of the function that an address is in, and the address
// where it begins.
func (m *Module) symbol(addr uint64) (name string, start uint64, ok bool) {
	if m.symbols == nil {
		m.symbols = m.loadSymbols()
	}
	in := addr - m.Bias
	all := m.symbols.all
	i := sort.Search(len(all), func(i int) bool { return all[i].start > in })
	// Before the one that begins last there may be a longer one around it.
	for n := 0; i > 0 && n < 8; n++ {
		i--
		s := all[i]
		if in >= s.end && (s.end != s.start || n > 0) {
			continue
		}
		if name := m.symbols.bestName(all[:i+1]); name != "" {
			return name, s.start + m.Bias, true
		}
	}
	return "", 0, false
}

// bestName is the name of the last symbol, or a better one for the same
// function: one without underscores, which are for the linker, or else one with
// a better binding.
func (t *symbolTable) bestName(all []symbol) string {
	last := all[len(all)-1]
	var best string
	var score int
	for n := 1; n <= min(len(all), 8); n++ {
		s := all[len(all)-n]
		if s.start != last.start || s.end != last.end {
			break
		}
		name := t.names[s.table].text(uint64(s.name), maxName)
		this := int(s.rank)
		if name != "" && (name[0] != '_' || strings.HasPrefix(name, "_Z") || strings.HasPrefix(name, "_R")) {
			this += 8
		}
		if name != "" && (best == "" || this > score) {
			best, score = name, this
		}
	}
	return best
}

// loadSymbols reads the first table there is: the full one of the file or of its
// debug file, or else the one for dynamic linking.
func (m *Module) loadSymbols() *symbolTable {
	t := &symbolTable{c: m.core}
	file := m.open()
	debug := m.debugFile()
	for _, from := range []struct {
		e    *elfFile
		kind uint32
	}{{file, shtSymtab}, {debug, shtSymtab}, {file, shtDynsym}} {
		if from.e == nil {
			continue
		}
		for _, s := range from.e.sections {
			if s.kind == from.kind && s.flags&shfCompress == 0 && int(s.link) < len(from.e.sections) {
				t.read(from.e.src, s, from.e.sections[s.link], file)
			}
		}
		if len(t.all) > 0 {
			break
		}
	}
	sort.Slice(t.all, func(i, j int) bool {
		a, b := &t.all[i], &t.all[j]
		if a.start != b.start {
			return a.start < b.start
		}
		return a.end > b.end // the longer one first
	})
	return t
}

func (t *symbolTable) read(src source, table, names section, code *elfFile) {
	if len(t.names) > 255 {
		return
	}
	text := span{src, names.offset, names.size}
	t.names = append(t.names, text)
	cur := at(src, table.offset, table.size)
	for cur.left() >= symSize && t.c.room.symbols > 0 {
		name, info := cur.u32(), cur.u8()
		cur.skip(1)
		index := cur.u16()
		value, size := cur.u64(), cur.u64()
		if cur.bad {
			return
		}
		kind := info & 0xf
		if index == 0 || name == 0 || value == 0 {
			continue
		}
		switch kind {
		case 2, 10: // a function, or one that is chosen at load time
		case 0: // no type: labels in assembly
			if index >= 0xff00 || strings.HasPrefix(text.text(uint64(name), 1), "$") {
				continue // $x and $d mark code and data on arm64
			}
			if code != nil && int(index) < len(code.sections) && code.sections[index].flags&4 == 0 {
				continue // not in a section of code
			}
		default:
			continue
		}
		s := symbol{start: value, end: value + size, name: name, table: uint8(len(t.names) - 1)}
		if s.end < s.start {
			s.end = s.start
		}
		if kind != 0 {
			s.rank += 4
		}
		if info>>4 == 1 { // global
			s.rank += 2
		} else if info>>4 == 2 { // weak
			s.rank++
		}
		t.c.room.symbols--
		t.all = append(t.all, s)
	}
}
