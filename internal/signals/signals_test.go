package signals

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNames compares with the names that x/sys has.
func TestNames(t *testing.T) {
	t.Parallel()
	for sig := syscall.Signal(-1); sig < 70; sig++ {
		name := unix.SignalName(sig)
		if got := Name(sig); got != name {
			t.Errorf("%d is %q, want %q", sig, got, name)
		}
		if got := Number(name); name != "" && got != sig {
			t.Errorf("%s is %d, want %d", name, got, sig)
		}
	}
	for _, name := range []string{"", "SIG", "TERM", "SIGHUP INT", "SIGterm", "SIGRTMIN", "SIGTERM "} {
		if got := Number(name); got != 0 {
			t.Errorf("%q is %d", name, got)
		}
	}
}
