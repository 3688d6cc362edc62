package corefile

import (
	"bytes"
	"go/version"
	"slices"
	"strconv"
	"strings"
)

// The section of runtime.moduledata and its fields differ between releases of Go. The words
// up to text have been the same since Go 1.20.
const (
	goModuleHeader = 0  // pcHeader: the address of the table of functions
	goModuleNames  = 1  // funcnametab: the address of the functions' names
	goModuleMinPC  = 20 // minpc, maxpc, text, etext
)

// A goLayout describes where Go 1.first to 1.last store inlined calls.
type goLayout struct {
	first, last int
	section     string // holds runtime.moduledata
	gofunc      uint64 // the word of runtime.moduledata with the address of go:func.*
	holder      string // the section that go:func.* lies in; empty: the table of functions
}

// goLayouts was compared with the sources of each release: the words of runtime.moduledata,
// struct _func, struct inlinedCall, FuncFlag, PCDATA_InlTreeIndex and FUNCDATA_InlTree. The
// releases differ in no other way.
var goLayouts = []goLayout{
	{21, 25, ".noptrdata", 40, ".rodata"},
	{26, 26, ".go.module", 40, ""},
	{27, 27, ".go.module", 43, ""},
}

// goModuleSections are the sections that may hold runtime.moduledata in any release.
var goModuleSections = []string{".go.module", ".noptrdata"}

// maxModuleSection bounds the bytes that are searched for runtime.moduledata.
const maxModuleSection = 16 << 20

// goVersion returns the version of Go that built a module, or "" if the module does not say.
// The linker writes it for `go version`, and stripping keeps it.
func (m *Module) goVersion(e *elfFile) string {
	s := e.section(".go.buildinfo")
	if s == nil {
		return ""
	}
	const inline = 2 // flag: the strings follow the header, as since Go 1.18
	cur := at((*memorySource)(m.core), m.Bias+s.addr, s.size)
	magic := cur.next(14)
	ok := bytes.Equal(magic, []byte("\xff Go buildinf:"))
	cur.skip(1)
	ok = ok && cur.u8()&inline != 0
	cur.skip(16)
	length := cur.uleb()
	if !ok || cur.bad || length > 128 {
		return ""
	}
	var text strings.Builder
	for range length {
		text.WriteByte(cur.u8())
	}
	if cur.bad {
		return ""
	}
	return text.String()
}

// layoutOf finds the layout of a version such as "go1.27.4", "go1.26.8 X:exp" or
// "devel go1.28-abcdef". Without a layout, doubt says why.
func layoutOf(text string) (layout *goLayout, doubt string) {
	for word := range strings.FieldsSeq(text) {
		minor, ok := strings.CutPrefix(version.Lang(word), "go1.")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(minor)
		if err != nil {
			break
		}
		i := slices.IndexFunc(goLayouts, func(l goLayout) bool { return l.first <= n && n <= l.last })
		if i < 0 {
			return nil, "it was built with " + text + ", which wrapp does not know"
		}
		return &goLayouts[i], ""
	}
	return nil, "the version of Go that built it is not known"
}

// readModule reads the addresses of the code and of the inlined calls from
// runtime.moduledata, and says whether it found the code. The check of the code's address is
// the runtime's own at its start, so it holds for every release.
func (t *goTable) readModule(m *Module, e *elfFile) bool {
	version := m.goVersion(e)
	layout, doubt := layoutOf(version)
	t.doubt = doubt
	for _, name := range goModuleSections {
		s := e.section(name)
		if s == nil || layout != nil && name != layout.section {
			continue
		}
		data := t.findModule(span{(*memorySource)(m.core), m.Bias + s.addr, min(s.size, maxModuleSection)})
		cur := data.from(goModuleMinPC * 8)
		minPC, maxPC, text, end := cur.u64(), cur.u64(), cur.u64(), cur.u64()
		if cur.bad || text < m.Start || text >= end || end > m.End ||
			minPC != text+uint64(t.funcStart(0)) || maxPC != text+uint64(t.funcStart(t.count)) {
			continue
		}
		t.text = text
		if layout == nil {
			return true
		}
		holder := t.mem
		if s := e.section(layout.holder); layout.holder != "" && s != nil {
			holder = span{nil, m.Bias + s.addr, s.size}
		}
		cur = data.from(layout.gofunc * 8)
		if inline := cur.u64(); !cur.bad && inline >= holder.off && inline-holder.off < holder.size {
			t.inline = inline
			return true
		}
		t.doubt = "its data is not as " + version + " has it"
		return true
	}
	if t.doubt == "" {
		t.doubt = "its data is not as " + version + " has it"
	}
	return false
}

// findModule finds runtime.moduledata in a section by its first two words. Without it, it
// returns an empty span.
func (t *goTable) findModule(s span) span {
	cur := s.from(0)
	for cur.left() >= 16 {
		off := cur.pos - s.off
		if cur.u64() != t.mem.off {
			continue
		}
		if next := s.from(off + goModuleNames*8); next.u64() == t.mem.off+t.names {
			return span{s.src, s.off + off, s.size - off}
		}
	}
	return span{}
}

// funcStart returns the offset in the code of the start of function n. The one after the
// last is the end of the code.
func (t *goTable) funcStart(n uint64) uint32 { return t.mem.from(t.funcs + n*8).u32() }
