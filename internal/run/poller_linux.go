package run

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// A poller waits for any of a few descriptors to become readable. It is an epoll instance for
// which the runtime's own poller waits, so that no thread blocks in a system call.
type poller struct {
	file   *os.File
	raw    syscall.RawConn
	timer  int // a timerfd: the runtime's timers would wake a second thread, its monitor
	events [4]unix.EpollEvent
	ready  [4]int
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // or the runtime would not poll it
	}
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), timer: -1}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		p.close()
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	// With EPOLLET an expiry is reported once, and need not be read.
	if err := p.control(unix.EPOLL_CTL_ADD, p.timer, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// add makes wait wait for fd, until fd is closed.
func (p *poller) add(fd int) error { return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN) }

// alarm makes wait return the timer's descriptor after d. A new call replaces the last one.
func (p *poller) alarm(d time.Duration) error {
	return unix.TimerfdSettime(p.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil)
}

// mute makes wait wait only for the end of fd; unmute undoes that.
func (p *poller) mute(fd int) error   { return p.control(unix.EPOLL_CTL_MOD, fd, 0) }
func (p *poller) unmute(fd int) error { return p.control(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN) }

func (p *poller) control(op, fd int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	var failed error
	err := p.raw.Control(func(epoll uintptr) {
		failed = sysio.EpollCtl(int(epoll), op, fd, &event)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("watch a pipe: %w", err)
	}
	return nil
}

// wait waits until descriptors are readable or have ended, and returns them in the order in
// which that happened. It returns none after limit, unless that is 0. The result is valid
// until the next call.
func (p *poller) wait(limit time.Duration) ([]int, error) {
	var deadline time.Time
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	if err := p.file.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	var n int
	var failed error
	err := p.raw.Read(func(epoll uintptr) bool {
		n, failed = sysio.EpollWait(int(epoll), p.events[:])
		return n != 0 && !errors.Is(failed, unix.EINTR)
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	for i, event := range p.events[:n] {
		p.ready[i] = int(event.Fd)
	}
	return p.ready[:n], nil
}

func (p *poller) close() {
	if p == nil {
		return
	}
	p.file.Close()
	if p.timer >= 0 {
		unix.Close(p.timer)
	}
}
