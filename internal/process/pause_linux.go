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

// errTracing says that this process may not trace its children.
var errTracing = errors.New("ptrace is not permitted")

// NoTracing is the error of an app that cannot be debugged here, and why, if
// that is known.
func NoTracing(why string) *StartError {
	msg := "the app cannot be debugged, because ptrace is not permitted here"
	if why != "" {
		msg += " (" + why + ")"
	}
	msg += ": start the container with --cap-add=SYS_PTRACE (quadlet: AddCapability=SYS_PTRACE)"
	return &StartError{ExitFailed, msg, "if that does not help, see docs/debugging.md: " + tracingLimits()}
}

// tracingLimits tells what is known to limit ptrace.
func tracingLimits() string {
	if text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && len(text) > 0 && text[0] != '0' {
		return "kernel.yama.ptrace_scope is " + string(text[0]) + " on this host"
	}
	if text, err := os.ReadFile("/proc/self/status"); err == nil && bytes.Contains(text, []byte("\nSeccomp:\t2\n")) {
		return "a seccomp filter is in force; the option --security-opt seccomp=unconfined lifts it"
	}
	return "another security module may be in force"
}

// pause sees an app that was started traced to its stop after execve and leaves
// it stopped there, untraced. It runs on the thread that started the app, which
// is its tracer, and with the lock held, or the reaper would take the stop.
func (p *Process) pause() {
	var raw syscall.WaitStatus
	var usage syscall.Rusage
	_, err := syscall.Wait4(p.pid, &raw, 0, &usage)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(p.pid, &raw, 0, &usage)
	}
	if err == nil && !raw.Stopped() { // killed while it was stopped
		p.ended(raw, &usage, nil)
		return
	}
	// If this fails it was killed just now, and is reaped like any other.
	syscall.RawSyscall6(syscall.SYS_PTRACE, syscall.PTRACE_DETACH, uintptr(p.pid), 0, uintptr(syscall.SIGSTOP), 0, 0)
}

// tracingRefused says whether a process of ours may not be started traced. It
// tries with one that does not exist, which is looked at last.
func tracingRefused() bool {
	_, _, err := syscall.StartProcess("/proc/self/no such file", []string{""}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSYS)
}

// State is the state of the app as in proc_pid_stat(5), 'T' if it is stopped, 't'
// if a tracer holds it, 'Z' if it has ended with all of its threads, '?' if that cannot
// be read; 0 if it has been reaped. It is that of one thread: the first, or if that has
// ended another.
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
			continue // it ended meanwhile
		}
		if thread, err := parseStat(text); err == nil && thread.state != 'Z' && thread.state != 'X' {
			return thread.state
		}
	}
	return stat.state
}

// Pending says whether a signal waits for the app to act on it, as each but
// SIGKILL and SIGCONT does while the app is stopped.
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

// Dead says whether the app and all of its threads have ended, reaped or not: a
// tracer that does not look keeps a dead process from being reaped.
func (p *Process) Dead() bool {
	state := p.State()
	return state == 'Z' || state == 0
}

// Capable says whether this process has a capability that it may pass on.
func Capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Permitted&(1<<(capability%32)) != 0
}
