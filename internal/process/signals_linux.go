package process

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals have handlers of our own, in assembly, because os/signal does not say who
// sent a signal, which tells what another process wants of the app from what this
// process caused itself, and because it catches neither SIGPROF nor SIGRTMIN.
var (
	// signalPipe is where the handler writes, a pipe that is never closed, because a
	// handler may run at any time. The C calling convention is all that it knows.
	//
	//lint:ignore U1000 the handler reads it, in assembly
	signalPipe int32 = -1

	handlerPC, restorerPC uintptr // in handler_linux_*.s
)

// infoSize is how much of a siginfo_t, sigaction(2), the handler passes on: signal,
// error and code as int32, a gap, the sender's process ID and user as int32.
const infoSize = 24

// siKernel is the si_code of a signal that the kernel itself sent.
const siKernel = 0x80

// A sigaction is the kernel's struct sigaction of 64-bit machines.
type sigaction struct {
	handler, flags, restorer, mask uintptr
}

const (
	sigDefault, sigIgnore = 0, 1 // SIG_DFL and SIG_IGN

	handlerFlags = 0x4 | 0x04000000 | 0x08000000 | 0x10000000 // SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART
)

// setAction sets what is done at a signal, unless action is nil, and returns what was
// done before.
func setAction(sig syscall.Signal, action *sigaction) (old sigaction, err error) {
	const setSize = 8
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(&old)), setSize, 0, 0)
	if errno != 0 {
		return old, errno
	}
	return old, nil
}

// Signals subscribes to every signal that is forwarded to an app, which is all
// that can be caught but SIGCHLD and SIGURG, which are for this process itself
// (the latter is how the Go runtime preempts), and 33, by which the Go runtime
// and C libraries reach their threads. What this process causes itself is left
// out: see caused. What was ignored when the process started stays ignored, and
// the app inherits that; see keepIgnored.
//
// What was typed at the terminal comes as a Typed.
//
// The channel keeps what comes before anybody reads it, in order; stop ends the
// subscription. There is one at a time.
func Signals() (signals <-chan os.Signal, stop func(), err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, nil, fmt.Errorf("make a pipe for signals: %w", err)
	}
	signalPipe = int32(ends[1])
	from := os.NewFile(uintptr(ends[0]), "signals")
	keepIgnored()

	c := make(chan os.Signal, 64)
	// SIGPIPE is subscribed to as well, or the os package would end this process when
	// it writes to a standard stream without a reader.
	pipe := make(chan os.Signal, 1)
	old := make(map[syscall.Signal]sigaction)
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, 33:
			continue
		case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS:
			signal.Notify(c, n) // which leaves faults of this program to the runtime
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

// A Typed signal was typed at the terminal, for every process of the job. It came to this
// process because that has the terminal and the app has not: the app's input is something
// else, or the app is only about to start.
type Typed syscall.Signal

func (t Typed) String() string { return SignalName(syscall.Signal(t)) + " typed at the terminal" }

// Signal makes a Typed an os.Signal.
func (Typed) Signal() {}

// Number returns a signal's number, and whether it was typed.
func Number(sig os.Signal) (number syscall.Signal, typed bool) {
	if t, ok := sig.(Typed); ok {
		return syscall.Signal(t), true
	}
	return sig.(syscall.Signal), false
}

// receive passes on what the handler writes, until from is closed.
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
				news = Typed(sig)
			}
			select {
			case to <- news:
			case <-done:
				return
			}
		}
	}
}

// caused says whether this process raised a signal itself, by what it wrote, where, or how
// much. Such a signal is not for the app. code and pid are those of the signal's siginfo.
func caused(sig syscall.Signal, code int32, pid int) bool {
	if code <= 0 && pid == os.Getpid() {
		return true // SIGPIPE and SIGXFSZ come as if sent by kill(2)
	}
	switch sig {
	case syscall.SIGXCPU, syscall.SIGTTIN, syscall.SIGTTOU:
		return code == siKernel
	}
	return false
}

// keepIgnored keeps ignored the signals that were ignored when this process started, where
// that is known: before any code of ours runs the Go runtime has put its own handlers in
// place, but for SIGHUP, SIGINT and the terminal's stops where these are ignored. A
// shell without job control has its background processes ignore SIGINT and SIGQUIT
// together.
func keepIgnored() {
	if interrupt, err := setAction(syscall.SIGINT, nil); err == nil && interrupt.handler == sigIgnore {
		signal.Ignore(syscall.SIGQUIT)
	}
}

// A terminal is written to by a process in its background, too, as a shell's command
// with & is. Where the terminal is set to stop those (stty tostop), a Write fails or
// goes through, and stops no process.
type terminal struct{ *os.File }

// Terminal returns f as it is to be written to by a process that must not be stopped
// for that.
func Terminal(f *os.File) io.Writer {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return f
	}
	return terminal{f}
}

func (t terminal) Write(b []byte) (n int, err error) {
	unstoppable(func() { n, err = t.File.Write(b) })
	return n, err
}

// unstoppable runs f with SIGTTOU blocked, which is what allows a process in the
// background to change the terminal and to write to it.
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
