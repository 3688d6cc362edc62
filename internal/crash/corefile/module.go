package corefile

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"os"
	"path/filepath"
	"sort"
)

// debugDirectory has the symbols of stripped files in distributions, by build ID.
const debugDirectory = "/usr/lib/debug/.build-id"

// A Module is an executable or a library as it was mapped.
type Module struct {
	Path    string // as in the core; "[vdso]" for the kernel's own
	Start   uint64
	End     uint64
	Bias    uint64 // an address minus Bias is an address in the file
	BuildID string // in hexadecimal digits; empty: none or not known

	core    *Core
	progs   []phdr
	head    []byte // the ELF header and program headers in the core; nil if they are missing
	id      []byte
	main    bool
	opened  bool
	file    *elfFile // nil: no file matches the core
	debug   *elfFile
	tables  []*frameTable // nil before the first frameTables
	symbols *symbolTable
	lines   *lineTable
	golang  *goTable
	goTried bool
}

// offsetSource is a source that begins at an address of another one.
type offsetSource struct {
	src  source
	base uint64
}

func (s *offsetSource) readAt(p []byte, off uint64) int { return s.src.readAt(p, s.base+off) }

// findModules finds the mapped ELF files: those of NT_FILE, and those that begin in a segment
// of the core, such as the vdso.
func (c *Core) findModules() {
	for i := 0; i < len(c.mappings); {
		n := i + 1
		for n < len(c.mappings) && c.mappings[n].path == c.mappings[i].path && c.mappings[n].offset != 0 {
			n++
		}
		c.addMapped(c.mappings[i:n])
		i = n
	}
	if len(c.mappings) == 0 {
		c.findLoaded()
	}
	for _, s := range c.segments {
		if s.fileSize >= ehdrSize && c.moduleAt(s.addr) == nil {
			c.addSegment(s)
		}
	}
	sort.Slice(c.Modules, func(i, j int) bool { return c.Modules[i].Start < c.Modules[j].Start })
	c.sorted = true
	if entry, ok := c.auxv[atEntry]; ok {
		if m := c.moduleAt(entry); m != nil {
			m.main = true
		}
	}
}

// addMapped adds a module for the mappings of one file, if it is an ELF file.
func (c *Core) addMapped(parts []mapping) {
	if len(c.Modules) >= maxModules {
		c.Skipped++
		return
	}
	first, last := parts[0], parts[len(parts)-1]
	if first.offset != 0 {
		return
	}
	m := &Module{core: c, Path: first.path, Start: first.start, End: last.end}
	if !m.readHead() {
		// The core lacks the file's beginning. The file on disk is only worth
		// reading if it has code.
		code := false
		for _, p := range parts {
			code = code || c.executable(p.start)
		}
		if !code {
			return
		}
	}
	c.Modules = append(c.Modules, m)
	for i := range parts {
		parts[i].module = m
	}
	if m.head == nil {
		m.open()
	}
}

// addSegment adds a module that begins with a segment and is no mapped file.
func (c *Core) addSegment(s segment) {
	if len(c.Modules) >= maxModules {
		c.Skipped++
		return
	}
	m := &Module{core: c, Start: s.addr, End: s.end()}
	if !m.readHead() {
		return
	}
	for _, p := range m.progs {
		if end := m.Bias + p.addr + p.memSize; p.kind == elf.PT_LOAD && end > m.End && end-m.Start < 1<<40 {
			m.End = end
		}
	}
	if s.addr == c.auxv[atVDSO] {
		m.Path = "[vdso]"
		m.opened = true
		m.file = parseELF(&offsetSource{(*coreOnly)(c), m.Start}, nil)
	}
	c.Modules = append(c.Modules, m)
}

// coreOnly reads memory from the core itself, not from mapped files.
type coreOnly Core

func (s *coreOnly) readAt(p []byte, addr uint64) int {
	c := (*Core)(s)
	seg, ok := c.segmentAt(addr)
	if !ok || addr-seg.addr >= seg.fileSize {
		return 0
	}
	return c.readPiece(p[:min(uint64(len(p)), seg.fileSize-(addr-seg.addr))], addr)
}

// readHead reads the headers of a module from the core, or returns false.
func (m *Module) readHead() bool {
	src := &offsetSource{(*coreOnly)(m.core), m.Start}
	b := make([]byte, ehdrSize)
	if src.readAt(b, 0) != len(b) {
		return false
	}
	h, err := parseEhdr(b)
	if err != nil {
		return false
	}
	progs := readProgs(src, h)
	if progs == nil || h.phoff > 1<<16 {
		return false
	}
	m.head = append(b, make([]byte, len(progs)*phdrSize)...)
	src.readAt(m.head[ehdrSize:], h.phoff)
	m.useProgs(progs)
	var notes []span
	for _, p := range progs {
		if p.kind == elf.PT_NOTE {
			notes = append(notes, span{(*coreOnly)(m.core), m.Bias + p.addr, p.fileSize})
		}
	}
	m.setID(findBuildID(notes))
	return true
}

func (m *Module) setID(id []byte) {
	if id != nil {
		m.id, m.BuildID = id, hex.EncodeToString(id)
	}
}

// useProgs sets the program headers, and the bias that follows from them.
func (m *Module) useProgs(progs []phdr) {
	m.progs = progs
	for _, p := range progs {
		if p.kind == elf.PT_LOAD {
			m.Bias = m.Start - (p.addr - p.offset)
			return
		}
	}
}

// open returns the module's file, or nil if no file matches the core.
func (m *Module) open() *elfFile {
	if m.opened {
		return m.file
	}
	m.opened = true
	for _, path := range m.paths() {
		e := m.core.openELF(path)
		if e == nil {
			continue
		}
		if !m.matches(e) {
			m.core.closeELF(e)
			continue
		}
		m.file = e
		if m.head == nil {
			m.useProgs(e.progs)
		}
		if m.id == nil {
			m.setID(e.buildID())
		}
		break
	}
	return m.file
}

// Unmatched returns the name of an executable or library whose file is not the one that was
// mapped, or is gone; empty: there is none. A reader that goes by paths, as gdb does, would
// take names and lines from another file: of the same path, or the new target of a symbolic link.
func (c *Core) Unmatched() string {
	code := make(map[*Module]bool)
	for _, m := range c.mappings {
		if m.module != nil && c.executable(m.start) {
			code[m.module] = true
		}
	}
	for _, m := range c.Modules {
		if !code[m] && !m.main || m.file != nil {
			continue
		}
		e := m.candidate()
		if c.expired() {
			return ""
		}
		if e == nil {
			return m.name()
		}
		c.closeELF(e)
	}
	return ""
}

// BuildID returns the build IDs of the program that died, as ReadBuildID does: from the core,
// or from a file that matches it.
func (c *Core) BuildID() (id []byte, golang string) {
	for _, m := range c.Modules {
		if m.main {
			if e := m.open(); e != nil {
				golang = string(findNote(e.notes(), noteGo, ntGoBuildID, 256))
			}
			return m.id, golang
		}
	}
	return nil, ""
}

// paths returns the paths at which the module's file may be.
func (m *Module) paths() []string {
	var paths []string
	if filepath.IsAbs(m.Path) {
		if root := m.core.opt.Root; root != "" {
			paths = append(paths, filepath.Join(root, m.Path))
		}
		paths = append(paths, m.Path)
	}
	if m.main && m.core.opt.Executable != "" {
		paths = append(paths, m.core.opt.Executable)
	}
	return paths
}

// matches says whether a file is the one that was mapped.
func (m *Module) matches(e *elfFile) bool {
	if Arch(e.head.machine) != m.core.Arch {
		return false
	}
	if m.head == nil {
		// Without headers in the core only the time remains: a file changed after
		// the core was written does not match.
		file, err := e.f.Stat()
		if err != nil {
			return false
		}
		core, err := m.core.f.Stat()
		return err == nil && !file.ModTime().After(core.ModTime())
	}
	head := make([]byte, len(m.head))
	if e.src.readAt(head[:ehdrSize], 0) != ehdrSize || e.src.readAt(head[ehdrSize:], e.head.phoff) != len(head)-ehdrSize {
		return false
	}
	if id := e.buildID(); m.id != nil && id != nil {
		// The file may have been stripped since; the loaded parts are the same.
		return bytes.Equal(id, m.id) && bytes.Equal(head[ehdrSize:], m.head[ehdrSize:])
	}
	return bytes.Equal(head, m.head)
}

// debugFile returns the file with the symbols that were stripped off the module. Without
// one, it returns nil or an empty elfFile.
func (m *Module) debugFile() *elfFile {
	if m.debug != nil || len(m.id) < 2 {
		return m.debug
	}
	m.debug = &elfFile{}
	name := filepath.Join(debugDirectory, m.BuildID[:2], m.BuildID[2:]+".debug")
	for _, path := range []string{filepath.Join(m.core.opt.Root, name), name} {
		if e := m.core.openELF(path); e != nil {
			if bytes.Equal(e.buildID(), m.id) {
				m.debug = e
				break
			}
			m.core.closeELF(e)
		}
	}
	return m.debug
}

func (c *Core) openELF(path string) *elfFile {
	if c.files >= maxOpenFiles || c.expired() {
		return nil
	}
	f, size, err := openRegular(path, 0)
	if err != nil {
		return nil
	}
	c.files++
	if e := parseELF(&fileSource{c, f, size}, f); e != nil {
		return e
	}
	c.closeFile(f)
	return nil
}

func (c *Core) closeELF(e *elfFile) { c.closeFile(e.f) }

func (c *Core) closeFile(f *os.File) {
	c.cache.forget(f)
	c.files--
	_ = f.Close()
}

func (m *Module) close() {
	for _, e := range []*elfFile{m.file, m.debug} {
		if e != nil && e.f != nil {
			m.core.closeFile(e.f)
		}
	}
	m.file, m.debug, m.opened = nil, nil, true
}

// moduleAt returns the module around an address, or nil. It works during findModules, too.
func (c *Core) moduleAt(addr uint64) *Module {
	if m := c.lastModule; m != nil && m.Start <= addr && addr < m.End {
		return m
	}
	all := c.Modules
	if c.sorted {
		i := sort.Search(len(all), func(i int) bool { return all[i].Start > addr })
		all = all[max(i-1, 0):i]
	}
	for _, m := range all {
		if m.Start <= addr && addr < m.End {
			c.lastModule = m
			return m
		}
	}
	return nil
}

// name returns the module's name for a backtrace.
func (m *Module) name() string {
	if m.Path == "" {
		return "?"
	}
	return m.Path
}
