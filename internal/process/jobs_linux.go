package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Job control. The app is in a process group of its own, so a shell that suspends or continues
// us does not know the app. When the app is suspended, we suspend ourselves. When the shell
// continues us, we continue the app:
//
//	running ── the app is suspended ──▶ we take the terminal, suspend ourselves ──▶ suspended
//	suspended ──── SIGCONT comes ────▶ we hand the terminal over, continue the app ──▶ running
//
// If the app is suspended because it lacks the terminal, and we have it by now, the app gets it
// at once. If no process could continue us, the kernel does not suspend us, and the app
// continues at once. "Stop" means the end of the app; see Process.Stop.

// suspendAgain is the least time between two continuations of an app that is suspended again
// and again, like one that reads from a terminal that it cannot have.
const suspendAgain = time.Second

// followSuspensions handles the suspensions of the app until it has ended.
func (p *Process) followSuspensions() {
	var continued time.Time
	for {
		select {
		case <-p.exited:
			return
		case sig := <-p.suspensions:
			if !p.suspendWith(sig) {
				continue
			}
			if pause := time.Until(continued.Add(suspendAgain)); sig != syscall.SIGTSTP && pause > 0 {
				select {
				case <-p.exited:
					return
				case <-p.stopping:
				case <-time.After(pause):
				}
			}
			continued = time.Now()
			p.resume()
		}
	}
}

// suspendWith suspends this process because sig has suspended the app. It returns when this
// process was continued, and reports whether to continue the app. After a SIGSTOP its sender has to
// continue the app, unless the app has the terminal and a shell may be above us, which alone can
// reassign the terminal.
func (p *Process) suspendWith(sig syscall.Signal) (resume bool) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	leader := os.Getpid() == 1 || isSessionLeader()
	if p.s.procs[p.pid] != p || isTraced(p.pid) || sig == syscall.SIGSTOP && (p.cmd.Paused || leader || !p.hasTerminal()) {
		return false
	}
	if stat, err := readStat(p.pid); err == nil && stat.state != 'T' {
		return false // the app was continued already
	}
	if leader || p.Stopped() {
		return true
	}
	// The app was suspended because it lacked the terminal, and a shell has given us the terminal
	// since, as fg does with a job that it believes to be running.
	if (sig == syscall.SIGTTIN || sig == syscall.SIGTTOU) && p.tty != nil && inForeground(p.tty) {
		return true
	}
	if p.hasTerminal() {
		setForeground(p.tty, unix.Getpgrp())
	}
	if sig == syscall.SIGSTOP {
		sig = syscall.SIGTSTP // the kernel ignores it if no process could continue us
	}
	suspend(sig)
	return true
}

// resume continues the app, and hands it the terminal if we are in the foreground.
func (p *Process) resume() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] != p {
		return
	}
	if p.tty != nil && inForeground(p.tty) {
		setForeground(p.tty, p.pid)
	}
	to := -p.pid // one kill only: the app may count the signals
	if p.cmd.Paused {
		to = p.pid
	}
	syscall.Kill(to, syscall.SIGCONT)
}

// suspend suspends this process and its group by sig's default action, and returns when they
// were continued. The kernel does not suspend an orphaned process group, which no process could
// continue: then suspend returns at once. The caller must not start a process meanwhile.
func suspend(sig syscall.Signal) {
	old, err := setAction(sig, &sigaction{handler: sigIgnore})
	if err != nil {
		return
	}
	defer setAction(sig, &old)
	// SIGCONT gets its default action, or our handler would forward it and so continue an app
	// that was suspended again meanwhile.
	if old, err := setAction(syscall.SIGCONT, &sigaction{handler: sigDefault}); err == nil {
		defer setAction(syscall.SIGCONT, &old)
	}
	syscall.Kill(0, sig) // to the others in the group: a shell waits for all processes of a job
	setAction(sig, &sigaction{handler: sigDefault})
	// A signal to this very thread acts before the call returns.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Tgkill(os.Getpid(), unix.Gettid(), sig)
}

func isSessionLeader() bool {
	sid, err := unix.Getsid(0)
	return err == nil && sid == os.Getpid()
}

// isTraced reports whether a process has a debugger, which then suspends it.
func isTraced(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	_, tracer, found := bytes.Cut(text, []byte("\nTracerPid:\t"))
	return err == nil && found && !bytes.HasPrefix(tracer, []byte("0\n"))
}

// controlling returns f if it is our controlling terminal, else nil.
func controlling(f *os.File) *os.File {
	if _, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP); err != nil {
		return nil
	}
	return f
}

// inForeground reports whether we are in the foreground of a terminal.
func inForeground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// hasTerminal reports whether the app's group is in the foreground of our terminal.
func (p *Process) hasTerminal() bool {
	if p.tty == nil {
		return false
	}
	group, err := unix.IoctlGetInt(int(p.tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == p.pid
}

// regainTerminal makes our group the foreground group again if the present one, of the ended
// app's tree, has no process left.
func regainTerminal(tty *os.File) {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	if err == nil && group > 0 && errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		setForeground(tty, unix.Getpgrp())
	}
}

// setForeground makes group the foreground group of a terminal. It works from the background,
// too.
func setForeground(tty *os.File, group int) {
	unstoppable(func() { unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSPGRP, group) })
}
