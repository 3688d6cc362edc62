package corefile

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readOrigin calls ReadOrigin for a file with that data.
func readOrigin(t *testing.T, data []byte) (*Origin, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "core"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return ReadOrigin(f)
}

func TestReadOrigin(t *testing.T) {
	t.Parallel()
	var vector []byte
	for _, n := range []uint64{atVDSO, 0x1000, atHeaders, 0x3000, atRandom, 0x2000, 0, 0} {
		vector = le.AppendUint64(vector, n)
	}
	auxv := coreOf(append(note("CORE", ntAuxv, vector), processNote()...))
	if o, err := readOrigin(t, auxv); err != nil || o.Memory != (Memory{VDSO: 0x1000, Random: 0x2000}) || MemoryOf(vector[:len(vector)-1]) != o.Memory {
		t.Errorf("%+v, %v", o, err)
	}
	for name, data := range map[string][]byte{
		"empty":         nil,
		"text":          []byte(strings.Repeat("not a core\n", 100)),
		"an executable": self(t),
		"no process":    coreOf(note("CORE", ntSiginfo, make([]byte, 128))),
		"cut":           coreOf(note("CORE", ntPrpsinfo, make([]byte, 136)))[:100],
		"cut notes":     coreOf(processNote())[:160],
	} {
		if o, err := readOrigin(t, data); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
	core := coreOf(processNote())
	o, err := readOrigin(t, core)
	if err != nil || o.PID != 77 || o.PPID != 7 || o.Group != 70 || o.Size != uint64(len(core)) {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestOtherMachine reads the origin of a core whose registers and stacks cannot be read.
func TestOtherMachine(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(seedPath("amd64"))
	if err != nil {
		t.Fatal(err)
	}
	le.PutUint16(data[18:], uint16(elf.EM_RISCV))
	o, err := readOrigin(t, data)
	if err != nil || o.PID != 4242 || o.Signal != segv || o.Threads != 1 || len(o.Siginfo) != 32 {
		t.Errorf("%+v, %v", o, err)
	}
	path := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil || err.Error() != "read core: machine 243 is neither amd64 nor arm64" {
		t.Errorf("%v", err)
	}
}

func self(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	return data[:4096]
}

// processNote returns a note of process 77, a child of 7 in the group 70.
func processNote() []byte {
	process := make([]byte, 136)
	for at, n := range map[int]uint32{16: 1000, 24: 77, 28: 7, 32: 70} {
		le.PutUint32(process[at:], n)
	}
	return note("CORE", ntPrpsinfo, process)
}

func note(name string, kind uint32, desc []byte) []byte {
	b := le.AppendUint32(nil, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, kind)
	b = append(b, name...)
	b = append(b, make([]byte, 4-len(name)%4)...)
	b = append(b, desc...)
	return append(b, make([]byte, -len(desc)&3)...)
}

// coreOf returns a core with nothing but notes.
func coreOf(notes []byte) []byte {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], uint16(elf.ET_CORE))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint32(b[64:], 4)
	le.PutUint64(b[64+8:], uint64(len(b)))
	le.PutUint64(b[64+32:], uint64(len(notes)))
	return append(b, notes...)
}

// FuzzReadOrigin reads cores as a hostile program may leave them.
func FuzzReadOrigin(f *testing.F) {
	f.Add(coreOf(processNote()))
	f.Add(coreOf(append(note("CORE", ntFile, make([]byte, 64)), processNote()...)))
	f.Add(coreOf(append(append(note("CORE", ntAuxv, []byte("\x03\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")), processNote()...), note("CORE", ntFile, bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0}, 6))...)))
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := readOrigin(t, data)
		if err == nil && o.PID == 0 {
			t.Errorf("%+v", o)
		}
	})
}
