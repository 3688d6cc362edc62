package crash

import (
	"encoding/binary"
	"strconv"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// A siginfo is the kernel's description of a signal, sigaction(2).
type siginfo struct {
	signal, code int
	address      uint64 // of a fault
	pid          int    // of the sender
	uid          uint32
	call         int // number of the forbidden system call
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

// signalWords describes the signals that make a death a crash.
var signalWords = map[syscall.Signal]string{
	syscall.SIGQUIT: "quit",
	syscall.SIGILL:  "illegal instruction",
	syscall.SIGTRAP: "trap",
	syscall.SIGABRT: "aborted",
	syscall.SIGBUS:  "bus error",
	syscall.SIGFPE:  "arithmetic error",
	syscall.SIGSEGV: "segmentation fault",
	syscall.SIGXCPU: "CPU time limit exceeded",
	syscall.SIGXFSZ: "file size limit exceeded",
	syscall.SIGSYS:  "bad system call",
}

// causes describes a signal's codes, by their numbers on Linux.
var causes = map[syscall.Signal]map[int]string{
	syscall.SIGSEGV: {
		1: "SEGV_MAPERR: nothing is mapped there",
		2: "SEGV_ACCERR: that is not permitted there",
		3: "SEGV_BNDERR: outside the bounds of an object",
		4: "SEGV_PKUERR: a protection key forbids it",
		8: "SEGV_MTEAERR: memory tags differ, found late",
		9: "SEGV_MTESERR: memory tags differ",
	},
	syscall.SIGBUS: {
		1: "BUS_ADRALN: the address is not aligned",
		2: "BUS_ADRERR: there is no memory behind it, as past the end of a mapped file",
		3: "BUS_OBJERR: a hardware error",
		4: "BUS_MCEERR_AR: a memory error in what was read",
		5: "BUS_MCEERR_AO: a memory error was found",
	},
	syscall.SIGFPE: {
		1: "FPE_INTDIV: an integer was divided by zero",
		2: "FPE_INTOVF: an integer overflow",
		3: "FPE_FLTDIV: a number was divided by zero",
		4: "FPE_FLTOVF: a floating-point overflow",
		5: "FPE_FLTUND: a floating-point underflow",
		6: "FPE_FLTRES: an inexact floating-point result",
		7: "FPE_FLTINV: an invalid floating-point operation",
		8: "FPE_FLTSUB: a subscript out of range",
	},
	syscall.SIGILL: {
		1: "ILL_ILLOPC: no such instruction",
		2: "ILL_ILLOPN: no such operand",
		3: "ILL_ILLADR: no such addressing mode",
		4: "ILL_ILLTRP: a trap that is not permitted",
		5: "ILL_PRVOPC: a privileged instruction",
		6: "ILL_PRVREG: a privileged register",
		7: "ILL_COPROC: a coprocessor error",
		8: "ILL_BADSTK: an internal stack error",
	},
	syscall.SIGTRAP: {
		1: "TRAP_BRKPT: a breakpoint instruction",
		2: "TRAP_TRACE: a traced step",
		4: "TRAP_HWBKPT: a hardware breakpoint",
	},
	syscall.SIGSYS: {
		1: "SYS_SECCOMP: seccomp forbids it",
	},
}

// String describes the cause.
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
			return "SI_KERNEL: the address is not a valid one"
		}
		return "SI_KERNEL: raised by the kernel"
	}
	text, ok := causes[sig][s.code]
	if !ok {
		text = "si_code " + strconv.Itoa(s.code) + ": an unknown cause"
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

// describeSignal returns a signal's name, with its description if signalWords has one.
func describeSignal(sig syscall.Signal) string {
	name := process.SignalName(sig)
	if words := signalWords[sig]; words != "" {
		name += " (" + words + ")"
	}
	return name
}
