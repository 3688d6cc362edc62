package run

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is how many bytes an app can write ahead of us before it waits. The kernel refuses
// this size to a user with many pipes; then it is less.
const pipeSize = 1 << 20

// makePipe makes a pipe. Its reading end does not block.
func makePipe() (r int, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, nil, fmt.Errorf("make a pipe: %w", err)
	}
	w = os.NewFile(uintptr(fds[1]), "|")
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize)
	if err := unix.SetNonblock(fds[0], true); err != nil {
		w.Close()
		unix.Close(fds[0])
		return -1, nil, fmt.Errorf("make a pipe: %w", err)
	}
	return fds[0], w, nil
}

// Size of our terminal. Some programs fold lines at its width.
const (
	ttyRows    = 50
	ttyColumns = 200
)

// makeTTY makes a pseudo-terminal that passes its output on unchanged, like a pipe. Reading
// from r does not block and ends with EIO. The terminal controls no process.
func makeTTY() (r int, w *os.File, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	r, err = unix.Open("/dev/ptmx", flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("make a pseudo-terminal (app.tty): %w", err)
	}
	if w, err = otherSide(r, flags); err != nil {
		unix.Close(r)
		return -1, nil, fmt.Errorf("make a pseudo-terminal (app.tty): %w", err)
	}
	return r, w, nil
}

// otherSide opens the app's side of a pseudo-terminal and sets it up as makeTTY says.
func otherSide(master, flags int) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock it: %w", err)
	}
	// Not by its number under /dev/pts: that may be another container's.
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, uintptr(flags))
	if errno != 0 {
		return nil, fmt.Errorf("open the other side: %w", errno)
	}
	w := os.NewFile(fd, "tty")
	settings, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err == nil {
		settings.Oflag &^= unix.OPOST
		settings.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS, settings)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: ttyRows, Col: ttyColumns})
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("set it up: %w", err)
	}
	return w, nil
}
