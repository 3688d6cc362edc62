package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Command says what to start.
type Command struct {
	Path  string   // of the file to execute, from Resolve
	Argv0 string   // the app's argv[0]; Path if empty
	Args  []string // without argv[0]
	Dir   string   // working directory of the app; ours if empty
	Env   []string // the app's whole environment
	User  *User    // nil: our own user

	Stdin, Stdout, Stderr *os.File // the app's ends; the caller closes them

	StopSignal  syscall.Signal
	StopTimeout time.Duration // from StopSignal to SIGKILL

	// Core lets the app dump core: its soft limit for cores is raised to the hard limit.
	Core bool

	// Tool says that this is a tool of ours beside the app. At its end only the rest of its
	// process group is killed, not orphans: those may be the app's.
	Tool bool

	// Confined prevents the process from gaining privileges.
	Confined bool

	// Paused makes Start return when the app is suspended (state T) after execve,
	// before it or its loader has run an instruction. SIGCONT continues it.
	Paused bool

	// Release, if not nil, is called in the background after the first Stop, which then sends no
	// stop signal: Release must call send, after it has made a debugger release the app, which
	// would hold the signal back. A further Stop sends at once. SIGKILL waits until Release
	// returns, which must take seconds only.
	Release func(send func())

	// Ambient are capabilities that the app keeps when it becomes User.
	Ambient []uintptr
}

// A Process is an app that was started, and its tree: all of its descendants, also orphaned
// ones and those in other sessions and groups.
type Process struct {
	s   *Supervisor
	cmd Command
	pid int
	tty *os.File // the app's standard input if that is our controlling terminal

	suspensions chan syscall.Signal // signals that have suspended the app

	exited chan struct{} // closed when status is set
	status Status
	gone   chan struct{} // closed when the tree is gone, too, or given up; see endTree
	killed procTable     // descendants that Kill has killed; set before exited is closed

	stopOnce sync.Once
	stopping chan struct{} // closed by the first Stop
	deadline time.Time     // when SIGKILL is due; set before stopping is closed
}

// Start starts the app in a process group of its own. The app does not outlive this process,
// unless it changes its user itself or executes a file that gives it one or capabilities: that
// clears Pdeathsig. If standard input is our terminal, the app's group becomes the foreground
// group, so that the terminal's signals reach the app and not us.
// Its errors are *StartErrors.
func (s *Supervisor) Start(cmd Command) (*Process, error) {
	if cmd.Dir != "" {
		info, err := os.Stat(cmd.Dir)
		if errors.Is(err, fs.ErrPermission) {
			return nil, closedDir(cmd.Dir)
		}
		if err != nil || !info.IsDir() {
			return nil, &StartError{ExitFailed, fmt.Sprintf("the directory %s to start in does not exist", cmd.Dir), "see app.dir"}
		}
	}
	p := &Process{
		s: s, cmd: cmd,
		suspensions: make(chan syscall.Signal, 1),
		exited:      make(chan struct{}),
		gone:        make(chan struct{}),
		stopping:    make(chan struct{}),
	}
	attr := &syscall.ProcAttr{
		Dir:   cmd.Dir,
		Env:   cmd.Env,
		Files: []uintptr{cmd.Stdin.Fd(), cmd.Stdout.Fd(), cmd.Stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, AmbientCaps: cmd.Ambient, Ptrace: cmd.Paused},
	}
	if u := cmd.User; u != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	p.tty = controlling(cmd.Stdin)
	if p.tty != nil && inForeground(p.tty) {
		attr.Sys.Foreground, attr.Sys.Ctty = true, int(cmd.Stdin.Fd())
	}
	argv0 := cmd.Argv0
	if argv0 == "" {
		argv0 = cmd.Path
	}

	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the app ends, not when the
		// process does. So this thread lasts as long as the app.
		runtime.LockOSThread()
		if cmd.Confined {
			// The thread cannot undo this. It stays locked, so it ends with the goroutine.
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				started <- fmt.Errorf("forbid new privileges: %w", err)
				return
			}
		} else {
			defer runtime.UnlockOSThread()
		}
		// The reaper must not see the app's end before the app is in s.procs.
		s.mu.Lock()
		restore := func() {}
		if cmd.Core {
			restore = raiseCoreLimit()
		}
		pid, _, err := syscall.StartProcess(cmd.Path, append([]string{argv0}, cmd.Args...), attr)
		restore()
		if err == nil {
			p.pid = pid
			s.procs[pid] = p
			if cmd.Paused {
				p.pause()
			}
		} else if cmd.Paused && tracingRefused() {
			err = NoTracing("")
		} else if cmd.Dir != "" && errors.Is(err, fs.ErrPermission) && dirRefused(attr) {
			err = closedDir(cmd.Dir)
		}
		s.mu.Unlock()
		started <- err
		if err == nil {
			<-p.exited
		}
	}()
	if err := <-started; err != nil {
		if p.tty != nil {
			regainTerminal(p.tty) // the child had it before it failed to execute the file
		}
		var known *StartError
		if errors.As(err, &known) {
			return nil, known
		}
		if errors.Is(err, syscall.EPERM) && cmd.User != nil {
			return nil, &StartError{ExitFailed, fmt.Sprintf("cannot become user %s: %v", cmd.User.Name, err), "run as root (with CAP_SETUID and CAP_SETGID), or leave app.user out"}
		}
		return nil, describe(cmd.Path, err)
	}
	if !cmd.Tool {
		go p.followSuspensions()
	}
	go p.supervise()
	return p, nil
}

// closedDir returns the error for an app.dir that the app's user may not enter.
func closedDir(dir string) *StartError {
	return &StartError{ExitFailed, fmt.Sprintf("the directory %s to start in may not be entered", dir), "see app.dir; chmod +x it and those above it, for the app's user too"}
}

// dirRefused reports whether a process may not begin in attr.Dir. It tries with a file that does
// not exist: the kernel is asked for the directory before the file.
func dirRefused(attr *syscall.ProcAttr) bool {
	_, _, err := syscall.StartProcess("/proc/self/no such file", []string{""}, attr)
	return errors.Is(err, fs.ErrPermission)
}

// PID returns the app's process ID, which is also its process group's.
func (p *Process) PID() int { return p.pid }

// Exited is closed when the app itself has ended and Status is known.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Status returns how the app ended. Call it once Exited is closed.
func (p *Process) Status() Status { return p.status }

// Gone is closed when the app and its whole tree have ended, or killTimeout after SIGKILL to what
// is left of the tree.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Pass passes on a signal received from Signals. A KeySignal goes to the app's whole group, as
// the terminal would send it; any other goes to Forward.
func (p *Process) Pass(sig os.Signal) {
	if number, byKey := Number(sig); byKey {
		p.signalGroup(number)
	} else {
		p.Forward(number)
	}
}

// Forward passes a signal on to the app; docs/restarts.md has a table of signals. SIGTERM is
// Stop. SIGCONT and SIGTSTP are job control: they go to the app's whole group (SIGCONT only to the
// app if Command.Paused), and SIGCONT also hands it the terminal if we are in the foreground.
func (p *Process) Forward(sig syscall.Signal) {
	switch sig {
	case syscall.SIGTERM:
		p.Stop()
	case syscall.SIGCONT:
		p.resume()
	case syscall.SIGTSTP:
		p.signalGroup(sig)
	default:
		p.signal(sig)
	}
}

// Stop sends the app its stop signal, and SIGKILL if it still runs when the stop timeout has
// passed since the first Stop, or dumpTimeout later if it is dumping core. If the app ends before
// the deadline, the rest of the tree then gets the stop signal, and SIGKILL at the deadline;
// else SIGKILL only. Stop does not wait.
func (p *Process) Stop() {
	first := false
	p.stopOnce.Do(func() {
		p.deadline = time.Now().Add(p.cmd.StopTimeout)
		first = true
		close(p.stopping)
	})
	if !first || p.cmd.Release == nil {
		p.sendStop()
	}
}

func (p *Process) sendStop() {
	p.signal(p.cmd.StopSignal)
	p.signal(syscall.SIGCONT) // a suspended process does not act on the stop signal
}

// Stopped reports whether Stop was called.
func (p *Process) Stopped() bool {
	select {
	case <-p.stopping:
		return true
	default:
		return false
	}
}

// signal sends a signal to the app unless it has been reaped.
func (p *Process) signal(sig syscall.Signal) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] == p {
		syscall.Kill(p.pid, sig)
	}
}

// signalGroup sends a signal to the app's process group unless the app has been reaped.
func (p *Process) signalGroup(sig syscall.Signal) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] == p {
		syscall.Kill(-p.pid, sig)
	}
}

// dumpTimeout is how long a stop waits, beyond its own timeout, for the kernel
// to finish writing the core of an app that crashed while it was stopped. A
// SIGKILL during the dump would leave no core and hide the signal.
const dumpTimeout = 30 * time.Second

// supervise waits for the app's end, stops it when asked to, and ends its tree.
func (p *Process) supervise() {
	defer close(p.gone)
	select {
	case <-p.exited:
	case <-p.stopping:
		if p.cmd.Release != nil {
			p.cmd.Release(p.sendStop)
		}
		select {
		case <-p.exited:
		case <-time.After(time.Until(p.deadline)):
			for until := time.Now().Add(dumpTimeout); dumpingCore(p.pid) && time.Now().Before(until); {
				select {
				case <-p.exited:
				case <-time.After(50 * time.Millisecond):
				}
			}
			p.signal(syscall.SIGKILL)
			<-p.exited
		}
	}
	if p.cmd.Tool {
		p.endTool()
		return
	}
	deadline := time.Now().Add(p.cmd.StopTimeout)
	if p.Stopped() {
		deadline = p.deadline
	}
	p.s.endTree(p, deadline)
	if p.tty != nil {
		regainTerminal(p.tty)
	}
}

// raiseCoreLimit raises our soft limit for cores to the hard limit; restore undoes that. All
// children inherit the limit, so it is raised only around the start of the app.
func raiseCoreLimit() (restore func()) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &old); err != nil || old.Cur == old.Max {
		return func() {}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: old.Max, Max: old.Max}); err != nil {
		return func() {}
	}
	return func() { syscall.Setrlimit(syscall.RLIMIT_CORE, &old) }
}
