package crash

import (
	"debug/elf"
	"encoding/hex"
	"os"
	"strconv"
	"syscall"
)

// buildID is the build ID of an executable, or what Go's linker puts in its
// place; empty if there is none, or the file cannot be read.
func buildID(path string) string {
	// The name may come from a core, and stand for anything.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := elf.NewFile(file)
	if err != nil {
		return ""
	}
	golang := ""
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<20 {
			continue
		}
		notes := make([]byte, p.Filesz)
		if _, err := p.ReadAt(notes, 0); err != nil {
			continue
		}
		for len(notes) >= 12 {
			nameSize, size, kind := f.ByteOrder.Uint32(notes), f.ByteOrder.Uint32(notes[4:]), f.ByteOrder.Uint32(notes[8:])
			start, end := 12+align(nameSize), 12+align(nameSize)+uint64(size)
			if end > uint64(len(notes)) {
				break
			}
			name, desc := string(notes[12:12+nameSize]), notes[start:end]
			switch {
			case name == "GNU\x00" && kind == 3:
				return hex.EncodeToString(desc)
			case name == "Go\x00\x00" && kind == 4:
				golang = strconv.QuoteToASCII(string(desc))
			}
			notes = notes[min(12+align(nameSize)+align(size), uint64(len(notes))):]
		}
	}
	return golang
}

func align(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
