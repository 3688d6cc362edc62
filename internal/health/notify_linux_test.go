package health

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoRoomForSocket has a directory whose path is too long for a socket in it: the next
// one is taken, and nothing is left in the first. Nor is there in the other at the end.
func TestNoRoomForSocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 107))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", long)
	n, err := NewNotifier(os.Geteuid(), os.Getegid())
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(long); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	n.Close()
	if _, err := os.Stat(n.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left, %v", n.dir, err)
	}
}

// TestNotForThatUser has a user to whom the socket cannot be given.
func TestNotForThatUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may give it to anybody")
	}
	base := t.TempDir()
	if _, err := newNotifier(base, os.Geteuid()+1, -1); err == nil {
		t.Error("it was given")
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestLinkForDirectory has the app put a link in the place of the socket's directory:
// nothing is removed where it leads.
func TestLinkForDirectory(t *testing.T) {
	t.Parallel()
	base, other := t.TempDir(), filepath.Join(t.TempDir(), "notify")
	n, err := newNotifier(base, os.Geteuid(), os.Getegid())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(other, nil, 0o600), os.RemoveAll(n.dir), os.Symlink(filepath.Dir(other), n.dir)); err != nil {
		t.Fatal(err)
	}
	n.Close()
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}
