package corefile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
)

// The part of ELF that cores need: 64 bits, little-endian, read piece by piece.

var le = binary.LittleEndian

const (
	ehdrSize = 64
	phdrSize = 56
	shdrSize = 64
	symSize  = 24

	pnXnum = 0xffff // PN_XNUM: more program headers than the field can count
)

// An ehdr has the fields of the ELF header that are used.
type ehdr struct {
	kind             elf.Type
	machine          elf.Machine
	entry            uint64
	phoff, shoff     uint64
	phnum            uint16
	shnum, shstrndx  uint16
	phsize, shentlen uint16
}

func parseEhdr(b []byte) (ehdr, error) {
	if len(b) < ehdrSize || !bytes.HasPrefix(b, []byte(elf.ELFMAG)) {
		return ehdr{}, errors.New("not an ELF file")
	}
	if elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(b[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return ehdr{}, errors.New("not a 64-bit little-endian ELF file")
	}
	h := ehdr{
		kind:     elf.Type(le.Uint16(b[16:])),
		machine:  elf.Machine(le.Uint16(b[18:])),
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
	kind         elf.ProgType
	flags        elf.ProgFlag
	offset, addr uint64
	fileSize     uint64
	memSize      uint64
}

// phdr reads a program header.
func (c *cursor) phdr(p *phdr) bool {
	p.kind, p.flags = elf.ProgType(c.u32()), elf.ProgFlag(c.u32())
	p.offset, p.addr = c.u64(), c.u64()
	c.skip(8)
	p.fileSize, p.memSize = c.u64(), c.u64()
	c.skip(8)
	return !c.bad
}

// An shdr is a section header.
type shdr struct {
	name         uint32
	kind         elf.SectionType
	flags        elf.SectionFlag
	addr, offset uint64
	size         uint64
	link         uint32
}

// shdr reads a section header.
func (c *cursor) shdr(s *shdr) bool {
	s.name, s.kind, s.flags = c.u32(), elf.SectionType(c.u32()), elf.SectionFlag(c.u64())
	s.addr, s.offset, s.size = c.u64(), c.u64(), c.u64()
	s.link = c.u32()
	c.skip(20)
	return !c.bad
}
