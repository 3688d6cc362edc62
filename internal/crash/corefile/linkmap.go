package corefile

import (
	"debug/elf"
	"path/filepath"
)

// An emulator's cores have no list of mapped files. The executable and the dynamic loader's
// list for debuggers replace it: which file was loaded with which bias.

// Kinds of entries in the auxiliary vector.
const (
	atHeaders = 3 // AT_PHDR
	atEntry   = 9
	atRandom  = 25
	atExec    = 31
	atVDSO    = 33
)

// findLoaded finds modules through the executable, if that is known.
func (c *Core) findLoaded() {
	path := c.executablePath()
	if !filepath.IsAbs(path) {
		return
	}
	main := &Module{core: c, Path: path}
	e := main.candidate()
	if e == nil {
		return
	}
	if !c.addLoaded(main, e, c.auxv[atEntry]-e.head.entry) {
		return
	}
	mem := (*memorySource)(c)
	for _, p := range main.progs {
		if p.kind != elf.PT_DYNAMIC {
			continue
		}
		entries := at(mem, main.Bias+p.addr, min(p.memSize, 256*16))
		for entries.left() >= 16 {
			tag, value := entries.u64(), entries.u64()
			if elf.DynTag(tag) == elf.DT_NULL || entries.bad {
				break
			}
			if elf.DynTag(tag) == elf.DT_DEBUG { // the address of struct r_debug
				c.followLinks(value + 8)
			}
		}
	}
}

// followLinks adds the modules in the loader's list.
func (c *Core) followLinks(head uint64) {
	link, _ := c.word(head)
	for range maxModules {
		cur := at((*memorySource)(c), link, 32)
		bias, name := cur.u64(), cur.u64()
		cur.skip(8)
		next := cur.u64()
		if link == 0 || cur.bad {
			return
		}
		if path := textAt((*memorySource)(c), name, 4096); filepath.IsAbs(path) {
			m := &Module{core: c, Path: path}
			if e := m.candidate(); e != nil {
				c.addLoaded(m, e, bias)
			}
		}
		link = next
	}
}

// candidate opens a file that matches the module, or returns nil. The module's address need not
// be known yet.
func (m *Module) candidate() *elfFile {
	for _, path := range m.paths() {
		if e := m.core.openELF(path); e != nil {
			if m.matches(e) {
				return e
			}
			m.core.closeELF(e)
		}
	}
	return nil
}

// addLoaded adds a module with its file and bias.
func (c *Core) addLoaded(m *Module, e *elfFile, bias uint64) bool {
	m.Bias, m.opened, m.file, m.progs = bias, true, e, e.progs
	low, high := ^uint64(0), uint64(0)
	for _, p := range e.progs {
		if p.kind == elf.PT_LOAD && p.addr+p.memSize > p.addr {
			low, high = min(low, p.addr&^0xfff), max(high, p.addr+p.memSize)
		}
	}
	m.Start, m.End = bias+low, bias+high
	if low >= high || m.Start >= m.End || c.moduleAt(m.Start) != nil || len(c.Modules) >= maxModules {
		c.closeELF(e)
		return false
	}
	m.setID(e.buildID())
	c.Modules = append(c.Modules, m)
	return true
}

// executablePath returns the program's file, from the options or the auxiliary vector.
func (c *Core) executablePath() string {
	if c.opt.Executable != "" {
		if path, err := filepath.Abs(c.opt.Executable); err == nil {
			return path
		}
	}
	return textAt((*memorySource)(c), c.auxv[atExec], 4096)
}
