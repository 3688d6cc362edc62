package process

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Supervisor is the one owner of wait(2) in this process. It reaps every
// child, those that are only re-parented to it too, and knows which ended how.
// While there is one, nothing else may wait for children: os/exec's Wait would
// find its child gone.
type Supervisor struct {
	// mu is held while children are reaped and while they are signalled, so
	// that a child that is found alive keeps its pid until it has its signal.
	mu      sync.Mutex
	procs   map[int]*Process // started and not reaped
	foreign map[int]bool     // children there were before us
	reaped  chan struct{}    // closed, and replaced, whenever something was reaped

	sigchld chan os.Signal
	quit    chan struct{}
	done    chan struct{}
}

// New subscribes to SIGCHLD and makes this process the one that orphaned
// descendants are re-parented to. It is called before anything is started, and
// ended with Close.
func New() (*Supervisor, error) {
	s := &Supervisor{
		procs:   make(map[int]*Process),
		foreign: make(map[int]bool),
		reaped:  make(chan struct{}),
		sigchld: make(chan os.Signal, 1),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("become a subreaper: %w", err)
		}
	}
	if !childless() {
		if table, err := readProcs(); err == nil {
			for _, pid := range table.children[os.Getpid()] {
				s.foreign[pid] = true
			}
		}
	}
	signal.Notify(s.sigchld, syscall.SIGCHLD)
	go s.run()
	return s, nil
}

// Close ends the reaping. What still runs is left alone.
func (s *Supervisor) Close() {
	signal.Stop(s.sigchld)
	close(s.quit)
	<-s.done
}

func (s *Supervisor) run() {
	defer close(s.done)
	for {
		select {
		case <-s.sigchld:
			s.reap()
		case <-s.quit:
			return
		}
	}
}

// reap waits for every child that has ended. One SIGCHLD may stand for many.
func (s *Supervisor) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := false
	for {
		var raw syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &raw, syscall.WNOHANG, &usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid == 0 {
			break
		}
		if !raw.Exited() && !raw.Signaled() {
			continue // a stop of a traced child
		}
		any = true
		delete(s.foreign, pid)
		if p := s.procs[pid]; p != nil {
			delete(s.procs, pid)
			p.status = Status{raw, usage.Maxrss << 10}
			if p.cmd.Tool {
				syscall.Kill(-pid, syscall.SIGKILL)
			}
			close(p.exited)
		}
	}
	if any {
		close(s.reaped)
		s.reaped = make(chan struct{})
	}
}

// nextReap is closed when something is reaped after this call.
func (s *Supervisor) nextReap() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reaped
}

// Signals subscribes to every signal that is forwarded to an app, which is all
// that can be caught but these: SIGCHLD and SIGURG are for this process itself
// (the latter is how the Go runtime preempts), SIGTTIN and SIGTTOU come from its
// own use of the terminal, and SIGPIPE from a reader of its output that went
// away, which must not end it. SIGPROF and the real-time signals 32 to
// 34 are handled by the Go runtime and by C libraries and cannot be caught. The channel keeps what comes before anybody
// reads it, in order; stop ends the subscription.
func Signals() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 64)
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG,
			syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE, syscall.SIGPROF, 32, 33, 34:
		default:
			signal.Notify(c, n)
		}
	}
	// Notify, and not Ignore, because the app would inherit the latter.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	return c, func() { signal.Stop(c); signal.Stop(pipe) }
}
