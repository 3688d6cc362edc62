package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// NoTracing returns the error for an app that cannot be debugged here. why, if not empty, is
// the reason.
func NoTracing(why string) *StartError {
	msg := "the app cannot be debugged, because ptrace is not permitted here"
	if why != "" {
		msg += " (" + why + ")"
	}
	msg += ": start the container with --cap-add=SYS_PTRACE (quadlet: AddCapability=SYS_PTRACE)"
	return &StartError{ExitFailed, msg, "if that does not help, see docs/debugging.md: " + tracingLimits()}
}

// tracingLimits describes what limits ptrace here.
func tracingLimits() string {
	if text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && len(text) > 0 && text[0] != '0' {
		return "kernel.yama.ptrace_scope is " + string(text[0]) + " on this host"
	}
	if text, err := os.ReadFile("/proc/self/status"); err == nil && bytes.Contains(text, []byte("\nSeccomp:\t2\n")) {
		return "a seccomp filter is in force; the option --security-opt seccomp=unconfined lifts it"
	}
	return "another security module may be in force"
}

// pause waits until an app that was started traced is suspended after execve, and detaches from
// it so that it stays suspended. It must run on the thread that started the app, its tracer. The
// caller holds the lock, or the reaper would consume the suspension.
func (p *Process) pause() {
	var raw syscall.WaitStatus
	var usage syscall.Rusage
	_, err := syscall.Wait4(p.pid, &raw, 0, &usage)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(p.pid, &raw, 0, &usage)
	}
	if err == nil && !raw.Stopped() { // the app was killed before it stopped
		p.ended(raw, &usage, nil)
		return
	}
	// This fails if the app was killed just now; then it is reaped like any other.
	syscall.RawSyscall6(syscall.SYS_PTRACE, syscall.PTRACE_DETACH, uintptr(p.pid), 0, uintptr(syscall.SIGSTOP), 0, 0)
}

// tracingRefused reports whether we may not start a traced process. It tries with a file that
// does not exist: the kernel checks ptrace before the file.
func tracingRefused() bool {
	_, _, err := syscall.StartProcess("/proc/self/no such file", []string{""}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSYS)
}

// State returns the state of the app as in proc_pid_stat(5): 'T' if it is stopped, 't' if a
// tracer holds it, 'Z' if all of its threads have ended. It is '?' if the state cannot be
// read, and 0 if the app has been reaped. It is the state of the first thread, or of another
// one if that has ended.
func (p *Process) State() byte {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] != p {
		return 0
	}
	stat, err := readStat(p.pid)
	if err != nil {
		return '?'
	}
	if stat.state != 'Z' {
		return stat.state
	}
	tasks := filepath.Join("/proc", strconv.Itoa(p.pid), "task")
	threads, _ := os.ReadDir(tasks)
	for _, t := range threads {
		text, err := os.ReadFile(filepath.Join(tasks, t.Name(), "stat"))
		if err != nil {
			continue // the thread ended meanwhile
		}
		if thread, err := parseStat(text); err == nil && thread.state != 'Z' && thread.state != 'X' {
			return thread.state
		}
	}
	return stat.state
}

// Pending reports whether one of the signals waits for the app to act on it. While the app is
// stopped, all but SIGKILL and SIGCONT wait.
func (p *Process) Pending(signals ...syscall.Signal) bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] != p {
		return false
	}
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "status"))
	if err != nil {
		return false
	}
	_, mask, _ := bytes.Cut(text, []byte("\nShdPnd:\t"))
	mask, _, _ = bytes.Cut(mask, []byte("\n"))
	pending, err := strconv.ParseUint(string(mask), 16, 64)
	return err == nil && slices.ContainsFunc(signals, func(sig syscall.Signal) bool { return pending&(1<<(sig-1)) != 0 })
}

// Dead reports whether the app and all of its threads have ended. It may not have been reaped:
// a tracer that does not wait for a dead process prevents that.
func (p *Process) Dead() bool {
	state := p.State()
	return state == 'Z' || state == 0
}

// Capable reports whether this process has a capability in its permitted set.
func Capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Permitted&(1<<(capability%32)) != 0
}
