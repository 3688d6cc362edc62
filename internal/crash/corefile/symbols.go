package corefile

import (
	"debug/elf"
	"sort"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

const (
	maxSymbols = 1 << 21 // of all modules
	maxName    = 1 << 10 // bytes of a function's name
)

const (
	// maxDemangled bounds a demangled name, as a power of two: back references can
	// expand a short symbol a lot.
	maxDemangled = 12
	// maxCasts bounds the conversion operators in a name: each level of nesting doubles
	// the demangler's time.
	maxCasts = 6
)

// sourceName returns the source's name of a C++ or Rust function, without parameters. It
// returns any other symbol unchanged.
func sourceName(symbol string) string {
	if len(symbol) > maxName || casts(symbol) > maxCasts {
		return symbol
	}
	return demangle.Filter(symbol, demangle.NoParams, demangle.MaxLength(maxDemangled))
}

// casts counts possible conversion operators in a mangled name: "cv" and a type of more than
// one letter. In names such as recv and cvtColor other letters follow.
func casts(symbol string) int {
	n := 0
	for i := range max(len(symbol)-2, 0) {
		if next := symbol[i+2]; symbol[i:i+2] == "cv" && (next == 'r' || 'A' <= next && next <= 'Z') {
			n++
		}
	}
	return n
}

// A symbolTable is a module's functions by address.
type symbolTable struct {
	c     *Core
	all   []symbol
	names span // the string table
}

type symbol struct {
	start, end uint64 // addresses in the file; end is start if no size is known
	name       uint32 // offset in the string table
	rank       uint8  // preference among several names of one address
}

// symbol returns the name and the start of the function around an address.
func (m *Module) symbol(addr uint64) (name string, start uint64, ok bool) {
	if m.symbols == nil {
		m.symbols = m.loadSymbols()
	}
	in := addr - m.Bias
	all := m.symbols.all
	i := sort.Search(len(all), func(i int) bool { return all[i].start > in })
	// A longer symbol that begins earlier may contain the address.
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

// bestName returns the best name of the last symbol's function: preferably one without
// leading underscores, which are for the linker, then one with a higher rank.
func (t *symbolTable) bestName(all []symbol) string {
	last := all[len(all)-1]
	var best string
	var score int
	for n := 1; n <= min(len(all), 8); n++ {
		s := all[len(all)-n]
		if s.start != last.start || s.end != last.end {
			break
		}
		name := t.names.text(uint64(s.name), maxName)
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

// loadSymbols reads the first table that has functions: the full one of the file or of its
// debug file, or else the one for dynamic linking. A file has one of each kind.
func (m *Module) loadSymbols() *symbolTable {
	t := &symbolTable{c: m.core}
	file := m.open()
	debug := m.debugFile()
	for _, from := range []struct {
		e    *elfFile
		kind elf.SectionType
	}{{file, elf.SHT_SYMTAB}, {debug, elf.SHT_SYMTAB}, {file, elf.SHT_DYNSYM}} {
		if from.e == nil {
			continue
		}
		for _, s := range from.e.sections {
			if len(t.all) == 0 && s.kind == from.kind && s.flags&elf.SHF_COMPRESSED == 0 && int(s.link) < len(from.e.sections) {
				t.read(from.e.src, s, from.e.sections[s.link], file)
			}
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
	t.names = span{src, names.offset, names.size}
	cur := at(src, table.offset, table.size)
	for cur.left() >= symSize && t.c.room.symbols > 0 {
		name, info := cur.u32(), cur.u8()
		cur.skip(1)
		index := elf.SectionIndex(cur.u16())
		value, size := cur.u64(), cur.u64()
		if cur.bad {
			return
		}
		kind, bind := elf.ST_TYPE(info), elf.ST_BIND(info)
		if index == elf.SHN_UNDEF || name == 0 || value == 0 {
			continue
		}
		switch kind {
		case elf.STT_FUNC, elf.STT_GNU_IFUNC:
		case elf.STT_NOTYPE: // labels in assembly
			if index >= elf.SHN_LORESERVE || strings.HasPrefix(t.names.text(uint64(name), 1), "$") {
				continue // $x and $d mark code and data on arm64
			}
			if code != nil && int(index) < len(code.sections) && code.sections[index].flags&elf.SHF_EXECINSTR == 0 {
				continue // not in a section of code
			}
		default:
			continue
		}
		s := symbol{start: value, end: value + size, name: name}
		if s.end < s.start {
			s.end = s.start
		}
		if kind != elf.STT_NOTYPE {
			s.rank += 4
		}
		switch bind {
		case elf.STB_GLOBAL:
			s.rank += 2
		case elf.STB_WEAK:
			s.rank++
		}
		t.c.room.symbols--
		t.all = append(t.all, s)
	}
}
