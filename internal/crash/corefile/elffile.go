package corefile

import (
	"compress/zlib"
	"debug/elf"
	"io"
	"os"
)

const (
	maxSections = 1 << 9
	maxProgs    = 1 << 7
	maxInflated = 96 << 20 // bytes of inflated sections in memory, for one core
)

// An elfFile is an executable, a library or a file of debug symbols: on disk, or complete in
// the core's memory.
type elfFile struct {
	src      source
	f        *os.File // nil if it is in the core's memory
	head     ehdr
	progs    []phdr
	sections []section
}

type section struct {
	shdr
	label string
}

// parseELF reads the headers. Sections that cannot be read are left out.
func parseELF(src source, f *os.File) *elfFile {
	var b [ehdrSize]byte
	if src.readAt(b[:], 0) != len(b) {
		return nil
	}
	h, err := parseEhdr(b[:])
	if err != nil {
		return nil
	}
	e := &elfFile{src: src, f: f, head: h, progs: readProgs(src, h)}
	if h.shentlen != shdrSize || h.shnum > maxSections {
		return e
	}
	cur := at(src, h.shoff, uint64(h.shnum)*shdrSize)
	for range h.shnum {
		var s section
		if !cur.shdr(&s.shdr) {
			break
		}
		e.sections = append(e.sections, s)
	}
	if int(h.shstrndx) < len(e.sections) {
		names := &e.sections[h.shstrndx]
		for i := range e.sections {
			s := &e.sections[i]
			if uint64(s.name) < names.size {
				s.label = textAt(src, names.offset+uint64(s.name), 64)
			}
		}
	}
	return e
}

// readProgs reads the program headers of an ELF image that begins at offset 0 of
// the source.
func readProgs(src source, h ehdr) []phdr {
	if h.phnum > maxProgs {
		return nil
	}
	var all []phdr
	cur := at(src, h.phoff, uint64(h.phnum)*phdrSize)
	for range h.phnum {
		var p phdr
		if !cur.phdr(&p) {
			return nil
		}
		all = append(all, p)
	}
	return all
}

// section returns the section of that name if it has contents, or nil.
func (e *elfFile) section(name string) *section {
	if e != nil {
		for i := range e.sections {
			if s := &e.sections[i]; s.label == name && s.kind != elf.SHT_NOBITS && s.size > 0 {
				return s
			}
		}
	}
	return nil
}

// A span is a stretch of a source.
type span struct {
	src       source
	off, size uint64
}

// from returns a cursor over the span from an offset on.
func (s span) from(off uint64) *cursor {
	if off > s.size || s.src == nil {
		return &cursor{bad: true}
	}
	return at(s.src, s.off+off, s.size-off)
}

// text returns the string at an offset of the span.
func (s span) text(off uint64, limit int) string {
	if s.src == nil || off >= s.size {
		return ""
	}
	return textAt(s.src, s.off+off, int(min(uint64(limit), s.size-off)))
}

// data returns a section's contents: a span of the file, or inflated in memory. It supports
// zlib compression only.
func (c *Core) data(e *elfFile, name string) span {
	s := e.section(name)
	if s == nil {
		return span{}
	}
	if s.flags&elf.SHF_COMPRESSED == 0 {
		return span{e.src, s.offset, s.size}
	}
	cur := at(e.src, s.offset, s.size)
	kind := elf.CompressionType(cur.u32())
	cur.skip(4)
	size := cur.u64()
	cur.skip(8)
	// Deflate compresses to a thousandth at best.
	if cur.bad || kind != elf.COMPRESS_ZLIB || size > uint64(c.inflatable) || size/1100 > s.size {
		return span{}
	}
	z, err := zlib.NewReader(&spanReader{s: span{e.src, cur.pos, cur.left()}})
	if err != nil {
		return span{}
	}
	b := make([]byte, size)
	c.inflatable -= len(b)
	if _, err := io.ReadFull(z, b); err != nil {
		return span{}
	}
	return span{&bytesSource{c, b}, 0, size}
}

// spanReader is an io.Reader of a span.
type spanReader struct {
	s   span
	pos uint64
}

func (r *spanReader) Read(p []byte) (int, error) {
	p = p[:min(uint64(len(p)), r.s.size-r.pos)]
	n := r.s.src.readAt(p, r.s.off+r.pos)
	r.pos += uint64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// buildID returns the file's build ID, nil if it has none.
func (e *elfFile) buildID() []byte { return findBuildID(e.notes()) }

// notes returns the file's notes. Go's linker does not list the build ID's note in the
// program headers.
func (e *elfFile) notes() (notes []span) {
	for _, p := range e.progs {
		if p.kind == elf.PT_NOTE {
			notes = append(notes, span{e.src, p.offset, p.fileSize})
		}
	}
	if s := e.section(".note.gnu.build-id"); s != nil {
		notes = append(notes, span{e.src, s.offset, s.size})
	}
	return notes
}

// ReadBuildID returns the build ID of an executable or library, and Go's own build ID. Each
// is empty if the file does not have it or is no regular ELF file.
func ReadBuildID(path string) (id []byte, golang string) {
	f, size, err := openRegular(path, 0)
	if err != nil {
		return nil, ""
	}
	defer f.Close()
	e := parseELF(&fileSource{&Core{budget: 16 << 20}, f, size}, f)
	if e == nil {
		return nil, ""
	}
	return e.buildID(), string(findNote(e.notes(), noteGo, ntGoBuildID, 256))
}

// Notes' names of four bytes, as numbers, and the kinds that are read.
const (
	noteGNU      = 0x554e47 // "GNU"
	noteGo       = 0x6f47   // "Go"
	ntGNUBuildID = 3
	ntGoBuildID  = 4
)

func findBuildID(notes []span) []byte { return findNote(notes, noteGNU, ntGNUBuildID, 64) }

// findNote returns the contents of the first matching note of up to longest bytes.
func findNote(notes []span, name, kind uint32, longest uint64) []byte {
	for _, n := range notes {
		n.size = min(n.size, 64<<10)
		cur := n.from(0)
		for cur.left() >= 12 {
			nameLen, descLen, k := uint64(cur.u32()), uint64(cur.u32()), cur.u32()
			if k != kind || nameLen != 4 || descLen == 0 || descLen > longest {
				cur.skip((nameLen + 3) &^ 3)
				cur.skip((descLen + 3) &^ 3)
				continue
			}
			found := cur.u32()
			desc := make([]byte, descLen)
			for i := range desc {
				desc[i] = cur.u8()
			}
			if cur.bad {
				break
			}
			if found == name {
				return desc
			}
			cur.skip(-descLen & 3)
		}
	}
	return nil
}
