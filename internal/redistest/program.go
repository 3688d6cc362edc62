package redistest

import (
	"os"
	"syscall"
)

// WriteProgram writes a program that the test executes. No process that the test starts
// meanwhile has the file open for writing: the kernel would refuse to execute it (ETXTBSY).
func WriteProgram(name string, text []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, text, 0o755)
}
