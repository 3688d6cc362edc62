package health

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestNoRoomForSocket has a directory whose path is too long for a socket: NewNotifier uses
// the next one. Both are empty at the end.
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

// TestNotForThatUser has a socket whose owner cannot be changed to the user.
func TestNotForThatUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may give it to anybody")
	}
	base := t.TempDir()
	if _, err := newNotifier(base, os.Geteuid()+1, -1); err == nil {
		t.Error("the owner was changed")
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestLinkForDirectory has the app put a link in the place of the socket's directory:
// nothing is removed from the link's target.
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

// TestSocketOfAnotherUser has an app of another user, who may not enter our own runtime directory.
func TestSocketOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give the socket to another user")
	}
	ours := redistest.SocketDir(t)
	t.Setenv("XDG_RUNTIME_DIR", ours)
	for uid, want := range map[int]bool{0: true, 65534: false} {
		n, err := NewNotifier(uid, uid)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(n.Socket(), ours+"/"); got != want {
			t.Errorf("user %d: %s", uid, n.Socket())
		}
		n.Close()
	}
}
