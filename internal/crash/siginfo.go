package crash

import (
	"encoding/binary"
	"strconv"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// A siginfo is what the kernel says of a signal, sigaction(2).
type siginfo struct {
	_            incomparable
	signal, code int
	address      uint64 // of a fault
	pid          int    // of the sender
	uid          uint32
	call         int // the system call that is not allowed
}

func parseSiginfo(b []byte) (s siginfo) {
	le := binary.LittleEndian
	if len(b) < 32 {
		return s
	}
	s.signal, s.code = int(int32(le.Uint32(b))), int(int32(le.Uint32(b[8:])))
	s.address = le.Uint64(b[16:])
	s.pid, s.uid = int(int32(le.Uint32(b[16:]))), le.Uint32(b[20:])
	s.call = int(int32(le.Uint32(b[24:])))
	return s
}

// signalWords are the signals that report a crash, by their numbers on Linux.
const signalWords = `3 quit
4 illegal instruction
5 trap
6 aborted
7 bus error
8 arithmetic error
11 segmentation fault
24 CPU time limit exceeded
25 file size limit exceeded
31 bad system call`

// inWords is a signal that reports a crash in words, empty for others.
func inWords(sig syscall.Signal) string {
	words, _ := word(signalWords, strconv.Itoa(int(sig)))
	return words
}

// causes are what the codes of a signal mean, by the numbers of both.
const causes = `11.1 SEGV_MAPERR: nothing is mapped there
11.2 SEGV_ACCERR: that is not permitted there
11.3 SEGV_BNDERR: outside the bounds of an object
11.4 SEGV_PKUERR: a protection key forbids it
11.8 SEGV_MTEAERR: memory tags differ, found late
11.9 SEGV_MTESERR: memory tags differ
7.1 BUS_ADRALN: the address is not aligned
7.2 BUS_ADRERR: there is no memory behind it, as past the end of a mapped file
7.3 BUS_OBJERR: a hardware error
7.4 BUS_MCEERR_AR: a memory error in what was read
7.5 BUS_MCEERR_AO: a memory error was found
8.1 FPE_INTDIV: an integer was divided by zero
8.2 FPE_INTOVF: an integer overflow
8.3 FPE_FLTDIV: a number was divided by zero
8.4 FPE_FLTOVF: a floating-point overflow
8.5 FPE_FLTUND: a floating-point underflow
8.6 FPE_FLTRES: an inexact floating-point result
8.7 FPE_FLTINV: an invalid floating-point operation
8.8 FPE_FLTSUB: a subscript out of range
4.1 ILL_ILLOPC: no such instruction
4.2 ILL_ILLOPN: no such operand
4.3 ILL_ILLADR: no such addressing mode
4.4 ILL_ILLTRP: a trap that is not permitted
4.5 ILL_PRVOPC: a privileged instruction
4.6 ILL_PRVREG: a privileged register
4.7 ILL_COPROC: a coprocessor error
4.8 ILL_BADSTK: an internal stack error
5.1 TRAP_BRKPT: a breakpoint instruction
5.2 TRAP_TRACE: a traced step
5.4 TRAP_HWBKPT: a hardware breakpoint
31.1 SYS_SECCOMP: seccomp forbids it`

// String is the cause in words.
func (s siginfo) String() string {
	sig := syscall.Signal(s.signal)
	who := "process " + strconv.Itoa(s.pid) + " (uid " + strconv.Itoa(int(s.uid)) + ")"
	switch s.code {
	case 0:
		return "SI_USER: sent by " + who + " with kill"
	case -1:
		return "SI_QUEUE: sent by " + who + " with sigqueue"
	case -6:
		return "SI_TKILL: raised by " + who
	case 0x80:
		if sig == syscall.SIGSEGV {
			return "SI_KERNEL: the address is not one that there can be"
		}
		return "SI_KERNEL: raised by the kernel"
	}
	code := strconv.Itoa(s.code)
	text, ok := word(causes, strconv.Itoa(s.signal)+"."+code)
	if !ok {
		text = "si_code " + code + ": an unknown cause"
	}
	address := "0x" + strconv.FormatUint(s.address, 16)
	switch sig {
	case syscall.SIGSEGV, syscall.SIGBUS:
		text += "; the address is " + address
	case syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP:
		text += "; the instruction is at " + address
	case syscall.SIGSYS:
		text += "; the call's number is " + strconv.Itoa(s.call) + ", at " + address
	}
	return text
}

// describeSignal is a signal's name, with words where there are some.
func describeSignal(sig syscall.Signal) string {
	name := process.SignalName(sig)
	if words := inWords(sig); words != "" {
		name += " (" + words + ")"
	}
	return name
}
