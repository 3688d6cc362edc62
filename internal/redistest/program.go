package redistest

import (
	"os"
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
