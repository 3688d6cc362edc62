#include "textflag.h"

// The kernel calls handler by the C calling convention: the signal's number is in
// DI, its siginfo in SI. It writes the part of it that Signals reads to signalPipe.
// A return goes to restorer, which puts every register back.
TEXT ·handler(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL ·signalPipe(SB), DI
	MOVL $24, DX // infoSize
	MOVL $1, AX  // write
	SYSCALL
	RET

TEXT ·restorer(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT  $3

DATA ·handlerPC+0(SB)/8, $·handler(SB)
GLOBL ·handlerPC(SB), NOPTR, $8
DATA ·restorerPC+0(SB)/8, $·restorer(SB)
GLOBL ·restorerPC(SB), NOPTR, $8
