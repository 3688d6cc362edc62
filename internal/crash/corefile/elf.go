package corefile

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Only what is needed of ELF: 64 bits, little-endian, read piece by piece.

var le = binary.LittleEndian

const (
	ehdrSize = 64
	phdrSize = 56
	shdrSize = 64
	symSize  = 24

	etCore = 4
	pnXnum = 0xffff

	ptLoad       = 1
	ptDynamic    = 2
	ptNote       = 4
	ptPhdr       = 6
	ptGNUEhFrame = 0x6474e550

	pfX = 1

	shtSymtab   = 2
	shtNobits   = 8
	shtDynsym   = 11
	shfCompress = 0x800
	shfAlloc    = 2
)

// A ehdr is the part of the ELF header that is used.
type ehdr struct {
	_                incomparable
	kind, machine    uint16
	entry            uint64
	phoff, shoff     uint64
	phnum            uint16
	shnum, shstrndx  uint16
	phsize, shentlen uint16
}

func parseEhdr(b []byte) (ehdr, error) {
	if len(b) < ehdrSize || !bytes.HasPrefix(b, []byte("\x7fELF")) {
		return ehdr{}, errors.New("not an ELF file")
	}
	if b[4] != 2 || b[5] != 1 {
		return ehdr{}, errors.New("not a 64-bit little-endian ELF file")
	}
	h := ehdr{
		kind:     le.Uint16(b[16:]),
		machine:  le.Uint16(b[18:]),
		entry:    le.Uint64(b[24:]),
		phoff:    le.Uint64(b[32:]),
		shoff:    le.Uint64(b[40:]),
		phsize:   le.Uint16(b[54:]),
		phnum:    le.Uint16(b[56:]),
		shentlen: le.Uint16(b[58:]),
		shnum:    le.Uint16(b[60:]),
		shstrndx: le.Uint16(b[62:]),
	}
	if h.phnum > 0 && h.phsize != phdrSize {
		return ehdr{}, errors.New("program headers of an unknown size")
	}
	return h, nil
}

// A phdr is a program header.
type phdr struct {
	kind, flags      uint32
	offset, addr     uint64
	fileSize         uint64
	memSize, alignTo uint64
}

// phdr reads a program header.
func (c *cursor) phdr(p *phdr) bool {
	p.kind, p.flags = c.u32(), c.u32()
	p.offset, p.addr = c.u64(), c.u64()
	c.skip(8)
	p.fileSize, p.memSize, p.alignTo = c.u64(), c.u64(), c.u64()
	return !c.bad
}

// A shdr is a section header.
type shdr struct {
	_            incomparable
	name         uint32
	kind         uint32
	flags        uint64
	addr, offset uint64
	size         uint64
	link         uint32
}

// shdr reads a section header.
func (c *cursor) shdr(s *shdr) bool {
	s.name, s.kind, s.flags = c.u32(), c.u32(), c.u64()
	s.addr, s.offset, s.size = c.u64(), c.u64(), c.u64()
	s.link = c.u32()
	c.skip(20)
	return !c.bad
}
