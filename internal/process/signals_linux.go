package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals have handlers of our own, in assembly. os/signal does not give the sender, which
// distinguishes a signal for the app from one that this process caused itself. Nor does it
// catch SIGPROF and SIGRTMIN.
var (
	// signalPipe is the pipe into which the handler writes. It is never closed, because a
	// handler may run at any time.
	//
	//lint:ignore U1000 the handler reads it, in assembly
	signalPipe int32 = -1

	handlerPC, restorerPC uintptr // in handler_linux_*.s
)

// infoSize is how many bytes of a siginfo_t, sigaction(2), the handler writes: signal, error
// and code as int32, a gap, the sender's process ID and user as int32.
const infoSize = 24

// siKernel is the si_code of a signal that the kernel itself sent.
const siKernel = 0x80

// A sigaction is the kernel's struct sigaction on 64-bit machines.
type sigaction struct {
	handler, flags, restorer, mask uintptr
}

const (
	sigDefault, sigIgnore = 0, 1 // SIG_DFL and SIG_IGN

	handlerFlags = 0x4 | 0x04000000 | 0x08000000 | 0x10000000 // SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART
)

// setAction sets the action for a signal, unless action is nil, and returns the old one.
func setAction(sig syscall.Signal, action *sigaction) (old sigaction, err error) {
	const setSize = 8
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(&old)), setSize, 0, 0)
	if errno != 0 {
		return old, errno
	}
	return old, nil
}

// Signals subscribes to every signal that is forwarded to an app: all that can be caught but
// SIGCHLD, SIGURG (by which the Go runtime preempts) and 33 (by which the Go runtime and C
// libraries reach their threads). Signals that this process causes itself are left out; see
// caused. Signals that were ignored when the process started stay ignored, and the app
// inherits that; see inheritIgnored.
//
// What a key at the terminal caused comes as a KeySignal.
//
// Signals wait, in order, until they are read from the channel. stop ends the subscription.
// There may be one at a time.
func Signals() (signals <-chan os.Signal, stop func(), err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, nil, fmt.Errorf("make a pipe for signals: %w", err)
	}
	signalPipe = int32(ends[1])
	from := os.NewFile(uintptr(ends[0]), "signals")
	inheritIgnored()

	c := make(chan os.Signal, 64)
	// os/signal must have SIGPIPE, too, or the os package would end this process when it writes
	// to a standard stream without a reader.
	pipe := make(chan os.Signal, 1)
	old := make(map[syscall.Signal]sigaction)
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, 33:
			continue
		case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS:
			signal.Notify(c, n) // os/signal leaves faults of this program to the runtime
			continue
		}
		before, err := setAction(n, nil)
		if err != nil || before.handler == sigIgnore {
			continue
		}
		if n == syscall.SIGPIPE {
			signal.Notify(pipe, n)
		}
		old[n] = before
		setAction(n, &sigaction{handler: handlerPC, flags: handlerFlags, restorer: restorerPC, mask: ^uintptr(0)})
	}
	done := make(chan struct{})
	go receive(from, c, done)
	return c, func() {
		signal.Stop(c)
		for n, action := range old {
			setAction(n, &action)
		}
		close(done)
		from.Close()
	}, nil
}

// A KeySignal was caused by a key at the terminal (Ctrl-C, Ctrl-\), for every process of the
// job. It came to this process because that has the terminal and the app has not: the app's
// input is something else, or the app is only about to start.
type KeySignal syscall.Signal

func (t KeySignal) String() string { return SignalName(syscall.Signal(t)) + " typed at the terminal" }

// Signal makes a KeySignal an os.Signal.
func (KeySignal) Signal() {}

// Number returns a signal's number, and whether a key at the terminal caused it.
func Number(sig os.Signal) (number syscall.Signal, byKey bool) {
	if t, ok := sig.(KeySignal); ok {
		return syscall.Signal(t), true
	}
	return sig.(syscall.Signal), false
}

// receive sends the signals that the handler writes to a channel, until from is closed.
func receive(from *os.File, to chan<- os.Signal, done <-chan struct{}) {
	var infos [64 * infoSize]byte
	for {
		n, err := from.Read(infos[:])
		if err != nil {
			return
		}
		for info := infos[:n]; len(info) >= infoSize; info = info[infoSize:] {
			field := func(at int) int32 { return int32(binary.NativeEndian.Uint32(info[at:])) }
			sig := syscall.Signal(field(0))
			if caused(sig, field(8), int(field(16))) {
				continue
			}
			var news os.Signal = sig
			if field(8) == siKernel && (sig == syscall.SIGINT || sig == syscall.SIGQUIT) {
				news = KeySignal(sig)
			}
			select {
			case to <- news:
			case <-done:
				return
			}
		}
	}
}

// caused reports whether this process raised a signal itself, for example by a write. Such a
// signal is not for the app. code and pid are from the signal's siginfo.
func caused(sig syscall.Signal, code int32, pid int) bool {
	if code <= 0 && pid == os.Getpid() {
		return true // SIGPIPE and SIGXFSZ look as if we had sent them by kill(2)
	}
	switch sig {
	case syscall.SIGXCPU, syscall.SIGTTIN, syscall.SIGTTOU:
		return code == siKernel
	}
	return false
}

// inheritIgnored ignores SIGQUIT if SIGINT is ignored: a shell without job control starts its
// background processes with both ignored. The Go runtime installs its handlers before our code
// runs; it leaves SIGHUP, SIGINT and the terminal's stops ignored, and hides whether others were.
func inheritIgnored() {
	if interrupt, err := setAction(syscall.SIGINT, nil); err == nil && interrupt.handler == sigIgnore {
		signal.Ignore(syscall.SIGQUIT)
	}
}

// A terminal is an output to which a process in its background may write, like a shell's command
// with &. Even if the terminal stops such processes (stty tostop), a Write fails or succeeds, and stops
// no process. A Write also succeeds if a program that shares the terminal or pipe, such as the app that
// reads the terminal, has made it non-blocking.
type terminal struct{ file *os.File } // not embedded: its WriteString would not be ours

// Terminal returns a writer to f, which may be a terminal that has stopped this process's writes, or
// non-blocking.
func Terminal(f *os.File) io.Writer {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f
	}
	return terminal{f}
}

func (t terminal) Write(b []byte) (n int, err error) {
	for {
		var some int
		unstoppable(func() { some, err = t.file.Write(b[n:]) })
		if n += some; !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		unix.Poll([]unix.PollFd{{Fd: int32(t.file.Fd()), Events: unix.POLLOUT}}, -1)
	}
}

// unstoppable runs f with SIGTTOU blocked, so that a process in the background can change the
// terminal and write to it.
func unstoppable(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old unix.Sigset_t
	set := unix.Sigset_t{Val: [16]uint64{1 << (syscall.SIGTTOU - 1)}}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err == nil {
		defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	}
	f()
}
