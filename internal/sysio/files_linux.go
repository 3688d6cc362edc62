package sysio

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadFile is os.ReadFile for the files of /proc and of cgroups, which do not block. It makes
// four system calls; os.ReadFile makes eleven, to find out what file it is.
func ReadFile(name string) ([]byte, error) {
	fd, err := open(name, 0)
	if err != nil {
		return nil, err
	}
	defer shut(fd)
	b := make([]byte, 0, 2048)
	for {
		n, err := Read(fd, b[len(b):cap(b)])
		if n <= 0 {
			return b, err
		}
		if b = b[:len(b)+n]; len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
	}
}

// Names returns the names in a directory of /proc, in any order. On an error, names may be
// incomplete.
func Names(dir string) (names []string, err error) {
	fd, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer shut(fd)
	b := make([]byte, 2048)
	for {
		n, err := transfer(unix.SYS_GETDENTS64, fd, b)
		if n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(b[:n], -1, names)
	}
}

func open(name string, flags int) (int, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return -1, err
	}
	at := unix.AT_FDCWD
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)), uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
	return result(fd, errno)
}

func shut(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
