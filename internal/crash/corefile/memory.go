package corefile

import (
	"debug/elf"
	"os"
	"sort"
)

// fileSource reads a file, within the core's budget.
type fileSource struct {
	c    *Core
	f    *os.File
	size int64
}

func (s *fileSource) readAt(p []byte, off uint64) int {
	if off >= uint64(s.size) || !s.c.spend(len(p)) {
		return 0
	}
	return s.c.cache.read(s.c, s.f, p, off)
}

// memorySource reads the memory of the process that died.
type memorySource Core

func (s *memorySource) readAt(p []byte, addr uint64) int { return (*Core)(s).readMemory(p, addr) }

// readMemory fills p with the memory from addr on and returns how many bytes are known: from
// the core, or from a mapped file. The kernel leaves unchanged pages of files out of a core.
func (c *Core) readMemory(p []byte, addr uint64) int {
	if c.Arch == ARM64 {
		addr &= 1<<56 - 1 // the top byte of a pointer may be a tag
	}
	done := 0
	for done < len(p) {
		n := c.readPiece(p[done:], addr+uint64(done))
		if n == 0 {
			break
		}
		done += n
	}
	return done
}

// readPiece reads up to the end of one segment or one mapping.
func (c *Core) readPiece(p []byte, addr uint64) int {
	if !c.spend(len(p)) {
		return 0
	}
	s, ok := c.segmentAt(addr)
	if ok && addr-s.addr < s.fileSize {
		in := addr - s.addr
		n := min(uint64(len(p)), s.fileSize-in)
		if off := s.offset + in; off >= s.offset && off < uint64(c.size) {
			return c.cache.read(c, c.f, p[:n], off)
		}
		return 0 // truncated
	}
	if ok {
		p = p[:min(uint64(len(p)), s.end()-addr)]
	}
	return c.readMapped(p, addr)
}

// readMapped reads from the file mapped at addr, if it is an ELF file that matches the core.
// It never reads other files: the core could name any.
func (c *Core) readMapped(p []byte, addr uint64) int {
	i := sort.Search(len(c.mappings), func(i int) bool { return c.mappings[i].end > addr })
	if i == len(c.mappings) || c.mappings[i].start > addr {
		if m := c.moduleAt(addr); m != nil && len(c.mappings) == 0 {
			return m.readFile(p, addr)
		}
		return 0
	}
	m := c.mappings[i]
	if m.module == nil {
		return 0
	}
	f := m.module.open()
	if f == nil || f.f == nil {
		return 0
	}
	off := m.offset + (addr - m.start)
	if off < m.offset {
		return 0
	}
	return f.src.readAt(p[:min(uint64(len(p)), m.end-addr)], off)
}

// readFile reads the part of the file that the program headers load at addr.
func (m *Module) readFile(p []byte, addr uint64) int {
	f := m.open()
	if f == nil || f.f == nil {
		return 0 // a file in memory would recurse
	}
	for _, h := range m.progs {
		if in := addr - m.Bias - h.addr; h.kind == elf.PT_LOAD && in < h.fileSize && h.offset+in >= in {
			return f.src.readAt(p[:min(uint64(len(p)), h.fileSize-in)], h.offset+in)
		}
	}
	return 0
}

// word reads eight bytes.
func (c *Core) word(addr uint64) (uint64, bool) {
	var b [8]byte
	if c.readMemory(b[:], addr) != len(b) {
		return 0, false
	}
	return le.Uint64(b[:]), true
}

// segmentAt finds the segment that holds an address.
func (c *Core) segmentAt(addr uint64) (segment, bool) {
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].end() > addr })
	if i == len(c.segments) || c.segments[i].addr > addr {
		return segment{}, false
	}
	return c.segments[i], true
}

// executable says whether an address may hold code. A debugger's core has no segments for
// unchanged code; then the file's headers decide.
func (c *Core) executable(addr uint64) bool {
	if s, ok := c.segmentAt(addr); ok {
		return s.flags&elf.PF_X != 0
	}
	m := c.moduleAt(addr)
	if m == nil {
		return false
	}
	for _, p := range m.progs {
		if p.kind == elf.PT_LOAD && p.flags&elf.PF_X != 0 && addr-m.Bias-p.addr < p.memSize {
			return true
		}
	}
	return false
}

// A pageCache holds recently read pieces of files.
type pageCache struct {
	pages [256]page
}

const pageSize = 16 << 10

type page struct {
	f    *os.File
	off  uint64
	n    int
	data []byte
}

// read reads from a file through the cache. A short count means the end of the file or an
// error.
func (pc *pageCache) read(c *Core, f *os.File, p []byte, off uint64) int {
	done := 0
	for done < len(p) {
		pos := off + uint64(done)
		if pos < off {
			break
		}
		g := pc.get(c, f, pos&^(pageSize-1))
		in := int(pos & (pageSize - 1))
		if g == nil || in >= g.n {
			break
		}
		done += copy(p[done:], g.data[in:g.n])
	}
	return done
}

// get returns the page at off, a multiple of pageSize. Each page has exactly one slot, so
// there is no search.
func (pc *pageCache) get(c *Core, f *os.File, off uint64) *page {
	h := (off/pageSize + uint64(f.Fd())*0x9e3779b97f4a7c15>>32) % uint64(len(pc.pages))
	g := &pc.pages[h]
	if g.f == f && g.off == off && g.data != nil {
		return g
	}
	if c.expired() || off > 1<<62 {
		return nil
	}
	if g.data == nil {
		g.data = make([]byte, pageSize)
	}
	n, _ := f.ReadAt(g.data, int64(off))
	g.f, g.off, g.n = f, off, n
	return g
}

// forget drops the pages of a file that is about to be closed.
func (pc *pageCache) forget(f *os.File) {
	for i := range pc.pages {
		if pc.pages[i].f == f {
			pc.pages[i].f = nil
		}
	}
}
