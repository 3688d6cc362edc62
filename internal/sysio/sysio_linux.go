// Package sysio makes the system calls of wrapp's busy path without telling Go's scheduler,
// so its descriptors must not block. A goroutine that announces a system call may lose its
// processor meanwhile, which wakes two threads: one to run the other goroutines and the
// scheduler's monitor. docs/adr/0005 measures the cost.
package sysio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from a descriptor that does not block; see read(2).
func Read(fd int, b []byte) (int, error) { return transfer(unix.SYS_READ, fd, b) }

// Write writes to a descriptor that does not block; see write(2).
func Write(fd int, b []byte) (int, error) { return transfer(unix.SYS_WRITE, fd, b) }

func transfer(call uintptr, fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// EpollWait returns the events that are ready now: epoll_wait(2) with a timeout of 0.
func EpollWait(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return result(n, errno)
}

// EpollCtl is epoll_ctl(2).
func EpollCtl(epoll, op, fd int, event *unix.EpollEvent) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(event)), 0, 0)
	_, err := result(0, errno)
	return err
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
