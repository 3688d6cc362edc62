// Package process runs one app: it starts it, owns its wait status, forwards
// signals to it, and ends it with its whole tree.
package process

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Status is how a process ended, as wait(2) told it.
type Status struct {
	raw    syscall.WaitStatus
	maxRSS int64
	limits string
}

// ExitCode is what a shell would show: the process's own exit status, or 128+N
// if signal N ended it.
func (s Status) ExitCode() int {
	if s.raw.Signaled() {
		return 128 + int(s.raw.Signal())
	}
	return s.raw.ExitStatus()
}

// Signal is the signal that ended the process, 0 if it exited by itself.
func (s Status) Signal() syscall.Signal {
	if s.raw.Signaled() {
		return s.raw.Signal()
	}
	return 0
}

// CoreDumped says that the kernel claims to have dumped core.
func (s Status) CoreDumped() bool { return s.raw.CoreDump() }

// MaxRSS is the most memory that the process, or one of the children it waited
// for, has had in RAM at once, in bytes.
func (s Status) MaxRSS() int64 { return s.maxRSS }

// Limits is /proc/PID/limits as the process left it, empty if that could not be read.
func (s Status) Limits() string { return s.limits }

// String is the status in words.
func (s Status) String() string {
	if !s.raw.Signaled() {
		return fmt.Sprintf("exit status %d", s.raw.ExitStatus())
	}
	text := "killed by " + SignalName(s.raw.Signal())
	if s.raw.CoreDump() {
		text += " (core dumped)"
	}
	return text
}

// SignalName is the name of a signal as kill(1) knows it, "SIGTERM".
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if sig >= rtMin {
		return fmt.Sprintf("SIGRTMIN+%d", sig-rtMin)
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// rtMin is the first real-time signal as programs see it: glibc keeps 32 and 33
// for itself.
const rtMin syscall.Signal = 34
