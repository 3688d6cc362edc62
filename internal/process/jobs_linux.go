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

// Job control. The app is in a process group of its own, so a shell that has stopped
// or continues us knows nothing of it. We do to ourselves what a stop did to the app,
// and to the app what the shell does to us:
//
//	running ── the app stops ──▶ we take the terminal, stop ourselves ──▶ stopped
//	stopped ── SIGCONT comes ──▶ we hand the terminal over, continue the app ──▶ running
//
// An app that stops for a terminal that we have meanwhile gets it at once. Where no process could continue us, the kernel does not stop us, and the app goes on at
// once.

// stopAgain is how soon after it was continued an app that stops again has to wait: it
// may do nothing else, as one that reads from a terminal that it cannot have.
const stopAgain = time.Second

// followStops sees to the stops of the app until it has ended.
func (p *Process) followStops() {
	var continued time.Time
	for {
		select {
		case <-p.exited:
			return
		case sig := <-p.stops:
			if !p.stop(sig) {
				continue
			}
			if pause := time.Until(continued.Add(stopAgain)); sig != syscall.SIGTSTP && pause > 0 {
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

// stop stops this process after the app was stopped by sig, and says whether the app
// is to be continued then, which is when this process was continued. A SIGSTOP was
// meant for the app and is left to who sent it, unless the app has the terminal: then
// only a shell above us can give it to anybody.
func (p *Process) stop(sig syscall.Signal) (resume bool) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	leader := os.Getpid() == 1 || isSessionLeader()
	if p.s.procs[p.pid] != p || isTraced(p.pid) || sig == syscall.SIGSTOP && (p.cmd.Paused || leader || !p.hasTerminal()) {
		return false
	}
	if stat, err := readStat(p.pid); err == nil && stat.state != 'T' {
		return false // it goes on already
	}
	if leader || p.Stopped() {
		return true
	}
	// The app wanted the terminal from the background, and a shell has given it to us
	// since, as fg does to a job that it believes to be running.
	if (sig == syscall.SIGTTIN || sig == syscall.SIGTTOU) && p.tty != nil && inForeground(p.tty) {
		return true
	}
	if p.hasTerminal() {
		setForeground(p.tty, unix.Getpgrp())
	}
	if sig == syscall.SIGSTOP {
		sig = syscall.SIGTSTP // the kernel drops it where no process could continue us
	}
	suspend(sig)
	return true
}

// resume hands the terminal over if it is ours to give, and continues the app.
func (p *Process) resume() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] != p {
		return
	}
	if p.tty != nil && inForeground(p.tty) {
		setForeground(p.tty, p.pid)
	}
	to := -p.pid // once, because the app may count them
	if p.cmd.Paused {
		to = p.pid
	}
	syscall.Kill(to, syscall.SIGCONT)
}

// suspend stops this process and its group as sig does by default, and returns when it
// was continued. No process could continue an orphaned process group: the kernel does not
// stop it, and suspend returns at once. The caller must not start a process meanwhile.
func suspend(sig syscall.Signal) {
	old, err := setAction(sig, &sigaction{handler: sigIgnore})
	if err != nil {
		return
	}
	defer setAction(sig, &old)
	// By default nothing but the continuing is done at SIGCONT, which is forwarded
	// otherwise: it would continue an app that has stopped again meanwhile.
	if old, err := setAction(syscall.SIGCONT, &sigaction{handler: sigDefault}); err == nil {
		defer setAction(syscall.SIGCONT, &old)
	}
	syscall.Kill(0, sig) // to the others in the group: a shell waits for all of a job
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

// isTraced says whether a debugger holds a process. Its stops are the debugger's.
func isTraced(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	_, tracer, found := bytes.Cut(text, []byte("\nTracerPid:\t"))
	return err == nil && found && !bytes.HasPrefix(tracer, []byte("0\n"))
}

// controlling returns f if it is the terminal that controls this process, else nil.
func controlling(f *os.File) *os.File {
	if _, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP); err != nil {
		return nil
	}
	return f
}

// inForeground says whether we are in the foreground of a terminal.
func inForeground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// hasTerminal says whether the app's group is in the foreground of our terminal.
func (p *Process) hasTerminal() bool {
	if p.tty == nil {
		return false
	}
	group, err := unix.IoctlGetInt(int(p.tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == p.pid
}

// regainTerminal makes our group the foreground group again if the app's tree, of which
// nothing is left, had the terminal.
func regainTerminal(tty *os.File) {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	if err == nil && group > 0 && errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		setForeground(tty, unix.Getpgrp())
	}
}

// setForeground makes group the foreground group of a terminal, from the background
// too.
func setForeground(tty *os.File, group int) {
	unstoppable(func() { unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSPGRP, group) })
}
