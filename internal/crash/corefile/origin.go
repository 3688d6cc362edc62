package corefile

import (
	"errors"
	"os"
	"strings"
)

// An Origin is what a core's headers and notes say about the process. The process may have
// forged it.
type Origin struct {
	PID, PPID  int
	Group      int // the process group
	Signal     int
	Siginfo    []byte // the first 32 bytes of NT_SIGINFO; nil: none
	Threads    int
	Executable string // the file that was mapped at the program headers
	Memory     Memory
	Size       uint64 // of the complete core, in bytes
}

// A Memory is where the kernel put two things when a program was executed. It is chosen at random
// each time, unless the process has that switched off. Unknown addresses are 0.
type Memory struct{ VDSO, Random uint64 }

// MemoryOf reads an auxiliary vector, as in /proc/PID/auxv of a 64-bit program.
func MemoryOf(auxv []byte) (m Memory) {
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		switch value := le.Uint64(auxv[8:]); le.Uint64(auxv) {
		case atVDSO:
			m.VDSO = value
		case atRandom:
			m.Random = value
		}
	}
	return m
}

// originBudget suffices for maxHeaders, and for the notes of maxThreads.
const originBudget = 128 << 20

// ReadOrigin reads the headers and notes of a core, of any 64-bit little-endian machine. The
// core may still be growing.
func ReadOrigin(f *os.File) (*Origin, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c := &Core{f: f, size: info.Size(), budget: originBudget}
	if err := c.parse(); err != nil {
		return nil, err
	}
	if c.origin.PID == 0 {
		return nil, errors.New("the core does not say whose it is")
	}
	c.origin.Memory = Memory{c.auxv[atVDSO], c.auxv[atRandom]}
	headers := c.auxv[atHeaders]
	for _, m := range c.mappings {
		if m.start <= headers && headers < m.end {
			c.origin.Executable = strings.ToValidUTF8(m.path, "?")
		}
	}
	return &c.origin, nil
}
