package access

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // the tests want modes
	os.Exit(m.Run())
}

func TestBlame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	for path, want := range map[string][2]string{
		file:                           {file, "0640"},
		filepath.Join(dir, "none"):     {dir, "0750"},
		filepath.Join(dir, "no", "ne"): {dir, "0750"},
	} {
		if why := Blame(path); why != fmt.Sprintf("%s belongs to %s, mode %s; this process is %s", want[0], me, want[1], me) {
			t.Errorf("%s: %q", path, why)
		}
	}
	if why := Blame(filepath.Join(file, "below")); why != "" {
		t.Errorf("below a file: %q", why)
	}
}
