package crash

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnpack packs with zstd what is like a core, as systemd-coredump does: as a
// stream of unknown length.
func TestUnpack(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{})
	core := make([]byte, 12<<20+17)
	random.Read(core[:1<<20])
	copy(core[9<<20:], core[:1<<20]) // far behind what it repeats
	for i := range core[2<<20 : 3<<20] {
		core[2<<20+i] = "core"[i%4]
	}
	for _, level := range []string{"-1", "-3", "-19"} {
		packed := pack(t, level, core)
		from, err := zstdReader(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		into, err := os.Create(filepath.Join(t.TempDir(), "core"))
		if err != nil {
			t.Fatal(err)
		}
		defer into.Close()
		n, err := copyHoles(t.Context(), into, from, 4<<20)
		if err != nil || n != int64(len(core)) {
			t.Fatalf("%s: %d bytes, %v", level, n, err)
		}
		got, err := os.ReadFile(into.Name())
		if err != nil || !bytes.Equal(got, core) {
			t.Errorf("%s: %d bytes are not what was packed, %v", level, len(got), err)
		}
	}
	packed := pack(t, "-3", core)
	for name, wrong := range map[string][]byte{
		"cut":       packed[:len(packed)/2],
		"no zstd":   core[:1000],
		"scrambled": append(append(bytes.Clone(packed[:5000]), "xxxxxxxxxxxxxxxx"...), packed[5016:]...),
	} {
		from, err := zstdReader(bytes.NewReader(wrong), int64(len(wrong)))
		if err != nil {
			t.Fatal(err)
		}
		into, err := os.Create(filepath.Join(t.TempDir(), "core"))
		if err != nil {
			t.Fatal(err)
		}
		defer into.Close()
		if n, err := copyHoles(t.Context(), into, from, 4<<20); err == nil {
			t.Errorf("%s: %d bytes and no error", name, n)
		}
	}
	from, _ := zstdReader(bytes.NewReader(packed), int64(len(packed)))
	into, err := os.Create(filepath.Join(t.TempDir(), "core"))
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	if n, err := copyHoles(t.Context(), into, from, 1<<20); err == nil {
		t.Errorf("%d bytes where there is room for less", n)
	}
}

func pack(t *testing.T, level string, data []byte) []byte {
	t.Helper()
	cmd := exec.Command("zstd", "-q", level)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("zstd: %v; `make tools` installs it", err)
	}
	return out
}
