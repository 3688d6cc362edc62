package crash

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// A core has what the notes of an ELF core say about the process. A crashed program may have
// influenced the file, so no value in it is trusted.
type core struct {
	pid, ppid, pgrp int
	uid             uint32
	signal          int
	info            siginfo // zero: the note has no siginfo
	threads         int
	executable      string // the file that was mapped at the program headers
	size            uint64 // of the complete file in bytes
}

// Bounds of a core's contents.
const (
	maxHeaders   = 1 << 20 // program headers
	maxNotes     = 8 << 20 // bytes
	maxFilenames = 4096
)

// Notes of a Linux core, elf(5).
const (
	noteStatus  = uint32(elf.NT_PRSTATUS)
	noteProcess = uint32(elf.NT_PRPSINFO)
	noteAuxv    = 6
	noteSiginfo = 0x53494749
	noteFile    = 0x46494c45
)

const auxvHeaders = 3 // AT_PHDR

// readCore reads the notes of a 64-bit core.
func readCore(r io.ReaderAt) (*core, error) {
	var ident [64]byte
	if _, err := r.ReadAt(ident[:], 0); err != nil {
		return nil, fmt.Errorf("read the ELF header: %w", err)
	}
	if string(ident[:4]) != elf.ELFMAG {
		return nil, errors.New("no ELF file")
	}
	if elf.Class(ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, errors.New("not a 64-bit little-endian ELF file")
	}
	le := binary.LittleEndian
	if elf.Type(le.Uint16(ident[16:])) != elf.ET_CORE {
		return nil, errors.New("no core")
	}
	offset, size, count := le.Uint64(ident[32:]), int(le.Uint16(ident[54:])), int(le.Uint16(ident[56:]))
	if count == 0xffff {
		// The count does not fit; the first section header has it.
		var first [64]byte
		sections, err := stretch(r, le.Uint64(ident[40:]), uint64(len(first)))
		if err == nil {
			_, err = io.ReadFull(sections, first[:])
		}
		if err != nil {
			return nil, fmt.Errorf("read the section header: %w", err)
		}
		count = int(le.Uint32(first[44:]))
	}
	if size != 56 || count > maxHeaders {
		return nil, fmt.Errorf("%d program headers of %d bytes", count, size)
	}
	headers, err := stretch(r, offset, uint64(count*size))
	if err != nil {
		return nil, fmt.Errorf("read the program headers: %w", err)
	}
	c := &core{pid: -1}
	var wrong error
	buffered := bufio.NewReader(headers)
	header := make([]byte, size)
	for range count {
		if _, err := io.ReadFull(buffered, header); err != nil {
			return nil, fmt.Errorf("read the program headers: %w", err)
		}
		offset, length := le.Uint64(header[8:]), le.Uint64(header[32:])
		if end := offset + length; end >= offset {
			c.size = max(c.size, end)
		}
		if elf.ProgType(le.Uint32(header)) != elf.PT_NOTE || c.pid >= 0 {
			continue
		}
		// ReadAll grows with the bytes that exist, not with the stated length.
		notes, err := stretch(r, offset, min(length, maxNotes))
		if err == nil {
			var text []byte
			text, err = io.ReadAll(notes)
			c.read(text)
		}
		if err != nil {
			wrong = fmt.Errorf("read the notes: %w", err)
		}
	}
	if c.pid < 0 {
		return nil, errors.Join(errors.New("the core does not say whose it is"), wrong)
	}
	return c, nil
}

// stretch returns a reader of a part of a file, which ends early where the file does.
func stretch(r io.ReaderAt, offset, length uint64) (io.Reader, error) {
	if offset > math.MaxInt64 {
		return nil, errors.New("the offset is beyond any file's end")
	}
	return io.NewSectionReader(r, int64(offset), int64(length)), nil
}

// read reads a note segment.
func (c *core) read(notes []byte) {
	le := binary.LittleEndian
	var auxv, files []byte
	for len(notes) >= 12 {
		nameSize, size, kind := uint64(le.Uint32(notes)), uint64(le.Uint32(notes[4:])), le.Uint32(notes[8:])
		notes = notes[12:]
		start := (nameSize + 3) &^ 3
		if start+size > uint64(len(notes)) {
			break
		}
		name := string(bytes.TrimRight(notes[:nameSize], "\x00"))
		desc := notes[start : start+size]
		notes = notes[min((start+size+3)&^3, uint64(len(notes))):]
		if name != "CORE" {
			continue
		}
		switch kind {
		case noteStatus:
			if c.threads++; c.threads == 1 && len(desc) >= 16 {
				c.signal = int(le.Uint16(desc[12:]))
			}
		case noteProcess:
			if len(desc) >= 40 {
				c.uid = le.Uint32(desc[16:])
				c.pid, c.ppid, c.pgrp = int(le.Uint32(desc[24:])), int(le.Uint32(desc[28:])), int(le.Uint32(desc[32:]))
			}
		case noteSiginfo:
			c.info = parseSiginfo(desc)
		case noteAuxv:
			auxv = desc
		case noteFile:
			files = desc
		}
	}
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if le.Uint64(auxv) == auxvHeaders {
			c.executable = mappedAt(files, le.Uint64(auxv[8:]))
		}
	}
}

// mappedAt returns the file that an NT_FILE note says was mapped at an address.
func mappedAt(note []byte, address uint64) string {
	le := binary.LittleEndian
	if len(note) < 16 {
		return ""
	}
	count := le.Uint64(note)
	if count > uint64(len(note)-16)/24 {
		return ""
	}
	table, names := note[16:16+24*count], note[16+24*count:]
	for ; len(table) > 0; table = table[24:] {
		name, rest, _ := bytes.Cut(names, []byte{0})
		if le.Uint64(table) <= address && address < le.Uint64(table[8:]) && len(name) <= maxFilenames {
			return strings.ToValidUTF8(string(name), "?")
		}
		names = rest
	}
	return ""
}
