// Package process runs one app: it starts it, owns its wait status, forwards
// signals to it, and ends it with its whole tree.
package process

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Status says how a process ended, from wait(2).
type Status struct {
	raw    syscall.WaitStatus
	maxRSS int64
	limits string
}

// ExitCode returns what a shell would show: the process's own exit status, or 128+N if signal
// N ended it.
func (s Status) ExitCode() int {
	if s.raw.Signaled() {
		return 128 + int(s.raw.Signal())
	}
	return s.raw.ExitStatus()
}

// Signal returns the signal that ended the process, 0 if it exited by itself.
func (s Status) Signal() syscall.Signal {
	if s.raw.Signaled() {
		return s.raw.Signal()
	}
	return 0
}

// CoreDumped reports whether the kernel claims to have dumped core.
func (s Status) CoreDumped() bool { return s.raw.CoreDump() }

// MaxRSS returns the largest resident set of the process, or of a child that it waited for, in
// bytes.
func (s Status) MaxRSS() int64 { return s.maxRSS }

// Limits returns /proc/PID/limits at the process's end, "" if it could not be read.
func (s Status) Limits() string { return s.limits }

// String describes the status.
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

// SignalName returns the name of a signal, as in "SIGTERM".
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if sig >= rtMin {
		return fmt.Sprintf("SIGRTMIN+%d", sig-rtMin)
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// rtMin is the first real-time signal for programs: glibc reserves 32 and 33.
const rtMin syscall.Signal = 34
