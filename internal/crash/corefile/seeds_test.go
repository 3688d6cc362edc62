package corefile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateSeeds = flag.Bool("seeds", false, "write the seeds of FuzzCore anew")

// seeds are cores of some kilobytes. A core holds the vdso completely; in the seeds a library
// compiled for the tests takes its place. So each seed has call frame information, symbols and
// DWARF.
var seeds = []struct {
	name     string
	compiler string
	args     []string
}{
	{"amd64", "gcc", []string{"-O1", "-g"}},
	{"amd64-dwarf4", "gcc", []string{"-O1", "-gdwarf-4"}},
	{"amd64-debug-frame", "gcc", []string{"-O1", "-g", "-gz=zlib", "-fno-asynchronous-unwind-tables"}},
	{"arm64", "aarch64-linux-gnu-gcc", []string{"-O1", "-g"}},
}

func seedPath(name string) string { return filepath.Join("testdata", "seeds", name+".core") }

const seedBase, seedStack = 0x7fff00000000, 0x7ffe00001000

// makeSeed builds a core with a thread in the image's function inner, called by outer.
func makeSeed(t *testing.T, image []byte) []byte {
	t.Helper()
	e, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	addr := map[string]uint64{}
	for _, s := range symbols {
		addr[s.Name] = seedBase + s.Value
	}
	// Find the return address in outer.
	code := image[addr["outer"]-seedBase:]
	var back uint64
	arm := e.Machine == elf.EM_AARCH64
	for i := 0; i < 64 && back == 0; i++ {
		switch {
		case arm && i%4 == 0 && code[i+3]&0xfc == 0x94, !arm && code[i] == 0xe8:
			back = addr["outer"] + uint64(i) + map[bool]uint64{true: 4, false: 5}[arm]
		}
	}
	if back == 0 || addr["inner"] == 0 {
		t.Fatal("no call in the image")
	}
	var note bytes.Buffer
	put := func(kind uint32, desc []byte) {
		for _, v := range []uint32{5, uint32(len(desc)), kind} {
			_ = binary.Write(&note, le, v)
		}
		note.WriteString("CORE\x00\x00\x00\x00")
		note.Write(desc)
		note.Write(make([]byte, -len(desc)&3))
	}
	words := func(b []byte, off int, all ...uint64) {
		for i, v := range all {
			le.PutUint64(b[off+i*8:], v)
		}
	}
	status := make([]byte, 336)
	stack := make([]byte, 256)
	if arm {
		status = make([]byte, 392)
		words(status, 112+29*8, seedStack+64, back, seedStack, addr["inner"])
	} else {
		words(status, 112+16*8, addr["inner"], 0x33, 0x10202, seedStack)
		words(stack, 0, back)
	}
	status[12] = segv
	le.PutUint32(status[32:], 4242)
	put(ntPrstatus, status)
	info := make([]byte, 136)
	le.PutUint32(info[24:], 4242)
	copy(info[40:], "seed")
	copy(info[56:], "./seed one two")
	put(ntPrpsinfo, info)
	sig := make([]byte, 128)
	sig[0], sig[8], sig[16] = segv, 1, 8
	put(ntSiginfo, sig)
	aux := make([]byte, 32)
	words(aux, 0, atVDSO, seedBase)
	put(ntAuxv, aux)
	files := make([]byte, 40)
	words(files, 0, 1, 4096, 0x10000, 0x11000, 0)
	put(ntFile, append(files, "/nowhere/file\x00"...))

	var core bytes.Buffer
	head := make([]byte, ehdrSize)
	copy(head, image[:16])
	le.PutUint16(head[16:], uint16(elf.ET_CORE))
	le.PutUint16(head[18:], uint16(e.Machine))
	le.PutUint64(head[32:], ehdrSize)
	le.PutUint16(head[54:], phdrSize)
	le.PutUint16(head[56:], 3)
	core.Write(head)
	off := uint64(ehdrSize + 3*phdrSize)
	for _, p := range []struct {
		kind       elf.ProgType
		flags      elf.ProgFlag
		addr, size uint64
	}{{elf.PT_NOTE, 0, 0, uint64(note.Len())}, {elf.PT_LOAD, 5, seedBase, uint64(len(image))}, {elf.PT_LOAD, 6, seedStack, uint64(len(stack))}} {
		_ = binary.Write(&core, le, []uint32{uint32(p.kind), uint32(p.flags)})
		_ = binary.Write(&core, le, []uint64{off, p.addr, 0, p.size, p.size, 1})
		off += p.size
	}
	core.Write(note.Bytes())
	core.Write(image)
	core.Write(stack)
	return core.Bytes()
}

// TestSeeds reads each seed. With -seeds it writes them first.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for _, s := range seeds {
		if *updateSeeds {
			exe := compile(t, s.compiler, "image.c", append(slices.Clone(s.args),
				"-shared", "-nostdlib", "-fPIC", "-Wl,-z,noseparate-code,-z,max-page-size=4096", "-Wl,--build-id=0x0123456789abcdef", "-ffile-prefix-map="+workingDir(t)+"=.")...)
			image, err := os.ReadFile(exe)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(seedPath(s.name), makeSeed(t, image), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c := openCore(t, seedPath(s.name), Options{})
		frames := c.Backtrace(&c.Threads[0], 10)
		if got, want := functions(frames), []string{"inner", "inlined", "outer"}; !slices.Equal(got[:min(3, len(got))], want) {
			t.Errorf("%s: %q, want %q", s.name, got, want)
			continue
		}
		for i, line := range []int{2, 5, 10} {
			if !strings.HasSuffix(frames[i].File, "image.c") || frames[i].Line != line {
				t.Errorf("%s: frame %d is at %s:%d, want line %d", s.name, i, frames[i].File, frames[i].Line, line)
			}
		}
		if f := frames[0]; f.Module != "[vdso]" || c.moduleAt(f.PC).BuildID != "0123456789abcdef" {
			t.Errorf("%s: %+v", s.name, f)
		}
		o := origin(t, seedPath(s.name))
		if o.PID != 4242 || o.Signal != segv || o.Threads != 1 {
			t.Errorf("%s: %+v", s.name, o)
		}
		if len(o.Siginfo) != 32 || o.Siginfo[0] != segv || o.Siginfo[8] != 1 || o.Siginfo[16] != 8 {
			t.Errorf("%s: %x", s.name, o.Siginfo)
		}
	}
}

// workingDir returns the directory that the compiler would write into the seeds.
func workingDir(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
