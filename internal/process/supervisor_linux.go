package process

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Supervisor is the only caller of wait(2) in this process. It reaps every child, also those
// that are re-parented to it, and records how each Process ended. Nothing else may wait for
// children meanwhile: os/exec's Wait would find its child gone.
type Supervisor struct {
	// mu is held while children are reaped or signalled. So no child is reaped just before it is
	// signalled, and no signal reaches another process that has got its pid.
	mu      sync.Mutex
	procs   map[int]*Process // started and not reaped
	foreign map[int]bool     // children that existed before New
	reaped  chan struct{}    // closed, and replaced, whenever a child was reaped

	sigchld chan os.Signal
	quit    chan struct{}
	done    chan struct{}
}

// New returns a running Supervisor and makes this process the subreaper of orphaned
// descendants. Call it before starting any process; Close ends it.
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

// Close ends the reaping. It leaves running processes alone.
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
		pid := changed()
		if pid == 0 {
			break
		}
		p := s.procs[pid]
		var limits []byte
		if p != nil && !p.cmd.Tool {
			limits, _ = os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid)) // a zombie still has them
		}
		var raw syscall.WaitStatus
		var usage syscall.Rusage
		if got, err := syscall.Wait4(pid, &raw, syscall.WNOHANG|syscall.WUNTRACED, &usage); err != nil || got == 0 {
			continue // a suspended child was continued already
		}
		if raw.Stopped() {
			if p != nil && !p.cmd.Tool {
				select {
				case p.suspensions <- raw.StopSignal():
				default: // followSuspensions has not handled the last one yet
				}
			}
			continue
		}
		any = true
		delete(s.foreign, pid)
		if p != nil {
			p.ended(raw, &usage, limits)
		}
	}
	if any {
		close(s.reaped)
		s.reaped = make(chan struct{})
	}
}

// changed returns the pid of a child that has ended or was suspended and was not waited for yet,
// or 0.
func changed() int {
	// siginfo_t of waitid(2) on 64-bit machines; x/sys has only the first three fields.
	var info struct {
		signo, errno, code, _ int32
		pid                   int32
		_                     [108]byte
	}
	const events = unix.WEXITED | unix.WSTOPPED | unix.WNOHANG | unix.WNOWAIT
	if err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), events, nil); err != nil {
		return 0
	}
	return int(info.pid)
}

// ended records how a process ended that has just been reaped, and kills the rest of a tool's
// group. The caller holds the lock.
func (p *Process) ended(raw syscall.WaitStatus, usage *syscall.Rusage, limits []byte) {
	delete(p.s.procs, p.pid)
	p.status = Status{raw, usage.Maxrss << 10, string(limits)}
	if p.cmd.Tool {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	close(p.exited)
}

// nextReap returns a channel that is closed when a child is reaped after this call.
func (s *Supervisor) nextReap() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reaped
}
