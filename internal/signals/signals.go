// Package signals is the names of Linux' signals but the real-time ones, by signal(7). They are
// the same on AMD64 and ARM64.
package signals

import (
	"strings"
	"syscall"
)

// names are in the order of the numbers, from 1 on.
const names = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT" +
	" CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"

// Name is a signal's name, "SIGTERM", and empty if it has none.
func Name(sig syscall.Signal) string {
	for i, name := range strings.Fields(names) {
		if syscall.Signal(i+1) == sig {
			return "SIG" + name
		}
	}
	return ""
}

// Number is the signal of a name, "SIGTERM", and 0 if there is none.
func Number(name string) syscall.Signal {
	for i, n := range strings.Fields(names) {
		if "SIG"+n == name {
			return syscall.Signal(i + 1)
		}
	}
	return 0
}
