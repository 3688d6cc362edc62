package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCopyHoles wants a copy with the same bytes but fewer blocks on disk, and an error
// beyond the limit.
func TestCopyHoles(t *testing.T) {
	t.Parallel()
	core := make([]byte, 12<<20+17)
	for at := range 3 << 20 {
		core[(at>>20)*5<<20+at&(1<<20-1)] = byte(at%251 + 1)
	}
	for _, limit := range []uint64{3<<20 - 1, 3 << 20} {
		into, err := os.Create(filepath.Join(t.TempDir(), "core"))
		if err != nil {
			t.Fatal(err)
		}
		defer into.Close()
		n, err := copyHoles(into, bytes.NewReader(core), limit)
		if limit < 3<<20 {
			if err == nil {
				t.Errorf("%d bytes where there is room for %d", n, limit)
			}
			continue
		}
		got, readErr := os.ReadFile(into.Name())
		if err != nil || readErr != nil || n != int64(len(core)) || !bytes.Equal(got, core) {
			t.Errorf("%d bytes are not what there was: %v, %v", n, err, readErr)
		}
	}
}
