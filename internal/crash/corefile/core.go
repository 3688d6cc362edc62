// Package corefile reads ELF cores of Linux programs for amd64 and arm64, each on either
// machine, and walks the stacks in them. It needs no debugger, runs no other program and
// executes no code from the core.
//
// A crashed program may have forged its core, so nothing in it is trusted: every count has a
// limit, every read costs a budget, and files are read piece by piece.
package corefile

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

// Limits for one core. They are far above what real programs need, and low enough that a
// forged core costs seconds and megabytes at most.
const (
	maxHeaders    = 1 << 20 // program headers of the core
	maxSegments   = 1 << 17 // segments of memory
	maxNotes      = 1 << 17
	maxThreads    = 1 << 14
	maxMappings   = 1 << 16
	maxModules    = 1 << 11
	maxFileNote   = 16 << 20 // bytes of NT_FILE; the kernel's own limit is 4 MiB
	maxFrames     = 1 << 14  // of one backtrace
	maxOpenFiles  = 256      // executables, libraries and debug files held open
	defaultBudget = 2 << 30  // bytes read, including those from the cache
)

// An Arch is a processor architecture of a core, as ELF numbers them.
type Arch uint16

// The supported architectures.
const (
	AMD64 = Arch(elf.EM_X86_64)
	ARM64 = Arch(elf.EM_AARCH64)
)

// Options say where to look for the files that a core refers to. The zero value uses the
// paths in the core.
type Options struct {
	// Executable is the program's file, for cores that do not name it by an
	// absolute path. It is used only if it matches the core.
	Executable string
	// Root is a directory that is searched for the mapped files first, such as the root
	// of a container or a sysroot.
	Root string
	// Deadline, if not zero, ends all reading but that of the core's own headers. A
	// backtrace then stays incomplete.
	Deadline time.Time
}

// A Thread is one thread as it was when the core was written.
type Thread struct {
	TID  int
	Regs Registers
}

// A Core is an open core file. It is not safe for concurrent use: reading fills
// caches.
type Core struct {
	Arch Arch
	// Threads are in the order of the core: the crashed one comes first.
	Threads []Thread
	Modules []*Module // mapped executables and libraries, by address
	// Skipped counts mappings left out because of a limit.
	Skipped int

	origin     Origin
	opt        Options
	f          *os.File
	size       int64
	segments   []segment
	mappings   []mapping
	auxv       map[uint64]uint64
	pacMask    uint64 // bits of a code address that may hold a signature
	files      int    // open files
	cache      pageCache
	lastModule *Module // the last result of moduleAt
	known      map[frameKey][]Frame
	knownSize  int      // frames in known
	inflatable int      // bytes that compressed sections may still take
	room       struct { // entries that all modules together may still list
		symbols, units, ranges, fdes, cies int
	}
	budget    int64
	unchecked int  // bytes spent since the last check of the deadline
	sorted    bool // Modules are complete and in order
	deadline  time.Time
}

// Open opens the core at path, which must be a regular file. The caller must close it.
func Open(path string, opt Options) (*Core, error) {
	f, size, err := openRegular(path, unix.O_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("open core: %w", err)
	}
	c := &Core{opt: opt, f: f, size: size, budget: defaultBudget, inflatable: maxInflated}
	c.room.symbols, c.room.units, c.room.ranges = maxSymbols, maxUnits, maxUnitRanges
	c.room.fdes, c.room.cies = maxFDEs, maxCIEs
	err = c.parse()
	switch {
	case err != nil:
	case c.Arch != AMD64 && c.Arch != ARM64:
		err = fmt.Errorf("machine %d is neither amd64 nor arm64", c.Arch)
	case len(c.Threads) == 0:
		err = errors.New("no threads in it")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read core: %w", err)
	}
	c.deadline = opt.Deadline
	c.findModules()
	return c, nil
}

// Close closes the core and every file that was opened for it.
func (c *Core) Close() error {
	for _, m := range c.Modules {
		m.close()
	}
	return c.f.Close()
}

// openRegular opens a regular file for reading. It does not open a device even briefly,
// because that may have effects, and does not wait for a FIFO.
func openRegular(path string, flags int) (*os.File, int64, error) {
	refuse := func(err error) (*os.File, int64, error) {
		return nil, 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return refuse(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return refuse(errNotRegular)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return refuse(err)
	}
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return refuse(errNotRegular)
	}
	return os.NewFile(uintptr(fd), path), st.Size, nil
}

var errNotRegular = errors.New("not a regular file")

// spend subtracts n bytes from the budget and says whether they may be read. Work without
// reading also costs some bytes.
func (c *Core) spend(n int) bool {
	if c.budget < int64(n) {
		c.budget = 0
		return false
	}
	c.budget -= int64(n)
	if c.unchecked += n; c.unchecked >= 1<<20 {
		c.unchecked = 0
		return !c.expired()
	}
	return true
}

// expired says whether the budget or the time for this core is used up. Call it before slow
// work, such as a read of a file. Afterwards nothing is read any more.
func (c *Core) expired() bool {
	if !c.deadline.IsZero() && time.Now().After(c.deadline) {
		c.budget = 0
	}
	return c.budget <= 0
}

// A segment is a PT_LOAD of the core. The file has only its first fileSize bytes.
type segment struct {
	addr, memSize    uint64
	offset, fileSize uint64
	flags            elf.ProgFlag
}

func (s segment) end() uint64 { return s.addr + s.memSize }

// parse reads the headers and the notes.
func (c *Core) parse() error {
	var head [ehdrSize]byte
	if _, err := c.f.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("shorter than an ELF header")
		}
		return err
	}
	h, err := parseEhdr(head[:])
	if err != nil {
		return err
	}
	if h.kind != elf.ET_CORE {
		return errors.New("an ELF file, but not a core")
	}
	c.Arch = Arch(h.machine)
	if c.Arch == ARM64 {
		c.pacMask = 0xffff << 48
	}
	count := uint64(h.phnum)
	if h.phnum == pnXnum {
		// The count does not fit into the field; the first section header has it.
		var sh [shdrSize]byte
		if _, err := c.f.ReadAt(sh[:], int64(h.shoff)); err != nil {
			return fmt.Errorf("read the section header: %w", err)
		}
		count = uint64(le.Uint32(sh[44:]))
	}
	if count > maxHeaders {
		return fmt.Errorf("%d program headers", count)
	}
	headers := at(&fileSource{c, c.f, c.size}, h.phoff, uint64(c.size)-h.phoff)
	notes := maxNotes
	for range count {
		var p phdr
		if !headers.phdr(&p) {
			return errors.New("the program headers are cut off")
		}
		if end := p.offset + p.fileSize; end >= p.offset {
			c.origin.Size = max(c.origin.Size, end)
		}
		switch p.kind {
		case elf.PT_LOAD:
			if p.memSize < p.fileSize {
				p.memSize = p.fileSize
			}
			if p.memSize == 0 || p.addr+p.memSize < p.addr {
				continue
			}
			if len(c.segments) == maxSegments {
				c.Skipped++
				continue
			}
			c.segments = append(c.segments, segment{addr: p.addr, memSize: p.memSize, offset: p.offset, fileSize: p.fileSize, flags: p.flags})
		case elf.PT_NOTE:
			notes = c.readNotes(p.offset, p.fileSize, notes)
		}
	}
	sort.Slice(c.segments, func(i, j int) bool { return c.segments[i].addr < c.segments[j].addr })
	return nil
}
