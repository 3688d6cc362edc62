package redistest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// WriteProgram writes a program that the test executes. No process that the test starts
// meanwhile has the file open for writing: the kernel would refuse to execute it (ETXTBSY).
func WriteProgram(name string, text []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, text, 0o755)
}

// SocketDir returns a directory for sockets, which is removed with the test's end. Its name is
// short, whatever $TMPDIR is: a socket's path has 107 bytes at most.
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "redistest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// ForOtherUsers lets apps of other users reach the files that tests make: it sets the umask, and
// puts /tmp in place of a $TMPDIR that other users may not enter. TestMain calls it before it runs
// the tests.
func ForOtherUsers() {
	syscall.Umask(0o022)
	for _, name := range []string{"TMPDIR", "GOTMPDIR"} {
		for dir := os.Getenv(name); len(dir) > 1; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
				os.Setenv(name, "/tmp")
				break
			}
		}
	}
}
