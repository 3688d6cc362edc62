package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Command says what to start. Stdin, Stdout and Stderr are the app's ends and
// stay the caller's to close.
type Command struct {
	Path  string   // of the file to execute, from Resolve
	Argv0 string   // what the app sees as its own name; Path if empty
	Args  []string // the arguments, passed as they are
	Dir   string   // where the app starts; here if empty
	Env   []string // all of the app's environment
	User  *User    // nil: our own user

	Stdin, Stdout, Stderr *os.File

	StopSignal  syscall.Signal
	StopTimeout time.Duration // from StopSignal to SIGKILL

	// Core lets the app dump core: its soft limit for cores is raised to the hard limit.
	Core bool

	// Tool says that this is a tool of ours beside the app: when it has ended,
	// nothing is ended with it but what is left of its process group. Orphans may
	// be the app's.
	Tool bool

	// Confined says that it can gain no privileges.
	Confined bool

	// Paused has Start return when the app is stopped (state T) after execve,
	// before it or its loader has run an instruction. SIGCONT lets it go.
	Paused bool

	// Release, if there is one, is called at the first Stop in place of sending
	// the stop signal, which it is to do by calling send: a debugger that holds
	// the app would hold the signal back. It returns within seconds.
	Release func(send func())

	// Ambient are capabilities that it keeps when it becomes User.
	Ambient []uintptr
}

// A Process is an app that was started, and its tree: all that it started in
// turn, wherever that has gone.
type Process struct {
	s   *Supervisor
	cmd Command
	pid int
	tty *os.File // the app's standard input if that is the terminal that controls us

	stops chan syscall.Signal // what has stopped the app

	exited chan struct{} // closed when status is there
	status Status
	gone   chan struct{} // closed when the tree is gone too
	killed procTable     // what Kill has killed below it; set before exited is closed

	stopOnce sync.Once
	stopping chan struct{} // closed by the first Stop
	deadline time.Time     // when SIGKILL is due; set before stopping is closed
}

// Start starts the app in a process group of its own. The app does not outlive
// this process. If standard input is our terminal, the app's group becomes the
// foreground group, so that the terminal's signals reach the app and not us.
// Errors are *StartErrors.
func (s *Supervisor) Start(cmd Command) (*Process, error) {
	if cmd.Dir != "" {
		if info, err := os.Stat(cmd.Dir); err != nil || !info.IsDir() {
			return nil, &StartError{ExitFailed, fmt.Sprintf("the directory %s to start in does not exist", cmd.Dir), "see app.dir"}
		}
	}
	p := &Process{
		s: s, cmd: cmd,
		stops:    make(chan syscall.Signal, 1),
		exited:   make(chan struct{}),
		gone:     make(chan struct{}),
		stopping: make(chan struct{}),
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
		// Pdeathsig is sent when the thread ends that started the app, not when
		// the process does: this one has to last.
		runtime.LockOSThread()
		if cmd.Confined {
			// The thread keeps this for good, so it is not unlocked and ends
			// with the goroutine.
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				started <- fmt.Errorf("give up new privileges: %w", err)
				return
			}
		} else {
			defer runtime.UnlockOSThread()
		}
		// The reaper must not see the app's end before the app is known here.
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
			err = errTracing
		}
		s.mu.Unlock()
		started <- err
		if err == nil {
			<-p.exited
		}
	}()
	if err := <-started; err != nil {
		if errors.Is(err, errTracing) {
			return nil, NoTracing("")
		}
		if errors.Is(err, syscall.EPERM) && cmd.User != nil {
			return nil, &StartError{ExitFailed, fmt.Sprintf("cannot become user %s: %v", cmd.User.Name, err), "run as root (with CAP_SETUID and CAP_SETGID), or leave app.user out"}
		}
		return nil, describe(cmd.Path, err)
	}
	if !cmd.Tool {
		go p.followStops()
	}
	go p.supervise()
	return p, nil
}

// PID is the app's process ID, which is its process group's too.
func (p *Process) PID() int { return p.pid }

// Exited is closed when the app itself has ended and Status is known.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Status is how the app ended. It may be called once Exited is closed.
func (p *Process) Status() Status { return p.status }

// Gone is closed when the app has ended and nothing of its tree is left.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Pass passes a signal from Signals on to the app: a typed one to its whole group, as the
// terminal does, any other as Forward does.
func (p *Process) Pass(sig os.Signal) {
	if number, typed := Number(sig); typed {
		p.signalGroup(number)
	} else {
		p.Forward(number)
	}
}

// Forward passes a signal on to the app, as if it had been sent there. SIGTERM
// is Stop. SIGCONT and SIGTSTP are job control: they go to the app's whole group, and the
// former gives it the terminal if that is ours to give.
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

// Stop sends the app its stop signal, and SIGKILL if it is still there after
// the stop timeout, counted from the first Stop. The rest of the tree is ended
// in the same way once the app has ended. Stop does not wait.
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
	p.signal(syscall.SIGCONT) // a stopped process acts on no other signal
}

// Stopped says whether Stop was called.
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

// supervise sees the app to its end, and its tree.
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

// raiseCoreLimit raises the limit for cores to the hard one; restore puts it back.
// A limit belongs to the whole process and is inherited by what it starts, so
// this is done just around the start of the app.
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
