package corefile

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// read opens a core and reads everything in it.
func read(t testing.TB, data []byte) {
	path := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path, Options{})
	if err != nil {
		return
	}
	defer c.Close()
	c.budget = 64 << 20
	debug.SetMaxStack(4 << 20) // a recursion that only the budget ends is too deep
	if n := len(c.Report()); n > reportBytes+100 {
		t.Errorf("a report of %d bytes", n)
	}
}

func FuzzCore(f *testing.F) {
	for _, s := range seeds {
		data, err := os.ReadFile(seedPath(s.name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { read(t, data) })
}

// FuzzGoTable reads arbitrary tables of Go's functions.
func FuzzGoTable(f *testing.F) {
	f.Add(goSeed(), uint64(0x401010))
	f.Add(goSeed(), uint64(0x401000))
	f.Fuzz(func(t *testing.T, table []byte, pc uint64) {
		c := &Core{Arch: AMD64, budget: 1 << 20}
		g := &goTable{c: c, mem: span{&bytesSource{c, table}, 0, uint64(len(table))}}
		if !g.read(&Module{core: c, Start: 0x400000, End: 0x500000}, &elfFile{}) {
			return
		}
		fn, ok := g.find(pc)
		if !ok {
			return
		}
		var frame Frame
		if n := len(g.describe(&frame, fn, pc)); n > 64 {
			t.Errorf("%d inlined calls", n)
		}
		g.value(fn, fn.pcsp, pc)
	})
}

// goSeed returns a table with one function, main.f, of 32 bytes at 0x401000.
func goSeed() []byte {
	b := make([]byte, 256)
	le.PutUint32(b, goMagic120)
	b[6], b[7] = 1, 8
	const names, units, files, values, funcs = 72, 88, 96, 112, 128
	for i, v := range []uint64{1, 1, 0x401000, names, units, files, values, funcs} {
		le.PutUint64(b[8+i*8:], v)
	}
	copy(b[names:], "main.f\x00")
	copy(b[files:], "main.go\x00")
	copy(b[values:], "\x00\x02\x20\x00\x12\x10\x02\x10\x00") // a file, and two lines
	le.PutUint32(b[funcs:], 0)
	le.PutUint32(b[funcs+4:], 16)
	le.PutUint32(b[funcs+8:], 32)
	record := b[funcs+16:]
	for i, v := range []uint32{0, 0, 0, 0, 4, 1, 4, 0, 0, 7} {
		le.PutUint32(record[i*4:], v)
	}
	return b
}

func TestGoTable(t *testing.T) {
	t.Parallel()
	c := &Core{Arch: AMD64, budget: 1 << 20}
	table := goSeed()
	g := &goTable{c: c, mem: span{&bytesSource{c, table}, 0, uint64(len(table))}}
	if !g.read(&Module{core: c, Start: 0x400000, End: 0x500000}, &elfFile{}) {
		t.Fatal("not read")
	}
	for _, row := range []struct {
		pc   uint64
		line int
	}{{0x400fff, 0}, {0x401000, 8}, {0x40100f, 8}, {0x401010, 9}, {0x40101f, 9}, {0x401020, 0}} {
		fn, ok := g.find(row.pc)
		if ok != (row.line > 0) {
			t.Errorf("%x: found %v", row.pc, ok)
		}
		if !ok {
			continue
		}
		f := Frame{PC: row.pc}
		g.describe(&f, fn, row.pc)
		if f.Function != "main.f" || f.FuncOff != row.pc-0x401000 || f.File != "main.go" || f.Line != row.line {
			t.Errorf("%x: %+v", row.pc, f)
		}
	}
}

// TestHostile changes random bytes of the seeds, mostly in the headers, and sets numbers to
// values that often break readers.
func TestHostile(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	numbers := []uint64{0, 1, 0xff, 0x7fffffff, 0xffffffff, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	for _, s := range seeds {
		data, err := os.ReadFile(seedPath(s.name))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			changed := append([]byte(nil), data...)
			for range 1 + r.IntN(12) {
				at := r.IntN(len(changed) - 8)
				if r.IntN(2) == 0 {
					at = r.IntN(1200)
				}
				switch r.IntN(3) {
				case 0:
					changed[at] = byte(r.Uint32())
				case 1:
					le.PutUint32(changed[at&^3:], uint32(numbers[r.IntN(len(numbers))]))
				case 2:
					le.PutUint64(changed[at&^7:], numbers[r.IntN(len(numbers))])
				}
			}
			read(t, changed)
		}
	}
}

// TestMemory reads a core that claims huge counts, and wants few allocations.
func TestMemory(t *testing.T) {
	data, err := os.ReadFile(seedPath("amd64"))
	if err != nil {
		t.Fatal(err)
	}
	le.PutUint16(data[56:], 0xfffe) // number of program headers, read from the bytes that follow
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read(t, data)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d bytes were allocated for a core of %d", n, len(data))
	}
}

// TestCutImage reads an image that is only partly in the core's memory. Fuzzing found an
// endless search for the missing part in the image itself.
func TestCutImage(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(seedPath("amd64"))
	if err != nil {
		t.Fatal(err)
	}
	kind := bytes.Index(data, []byte{0x45, 0x4c, 0x49, 0x46}) // NT_FILE: without it, headers define the mappings
	data[kind] = 0
	for size := uint64(ehdrSize); size < 4096; size += 128 {
		le.PutUint64(data[ehdrSize+phdrSize+32:], size)
		read(t, data)
	}
}

// TestTimeout wants a walk to end when its time has run out.
func TestTimeout(t *testing.T) {
	t.Parallel()
	c := openCore(t, seedPath("amd64"), Options{Deadline: time.Now()})
	if n := len(c.Backtrace(&c.Threads[0], 100)); n != 0 {
		t.Errorf("%d frames", n)
	}
	if text := report(t, c); !strings.Contains(text, "time") || !strings.Contains(text, "which crashed") {
		t.Error(text)
	}
}

// TestRefused opens files that are no cores.
func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed, err := filepath.Abs(seedPath("amd64"))
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(seed, link); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no core\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link, text, exe, "/dev/zero", filepath.Join(dir, "missing")} {
		if c, err := Open(path, Options{}); err == nil {
			_ = c.Close()
			t.Errorf("%s was opened", path)
		}
	}
}
