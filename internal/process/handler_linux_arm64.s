#include "textflag.h"

// The kernel calls handler by the C calling convention: the signal's number is in
// R0, its siginfo in R1. It writes the part of it that Signals reads to signalPipe.
// A return goes to restorer, which puts every register back.
TEXT ·handler(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVW ·signalPipe(SB), R0
	MOVD $24, R2 // infoSize
	MOVD $64, R8 // write
	SVC
	RET

TEXT ·restorer(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK

DATA ·handlerPC+0(SB)/8, $·handler(SB)
GLOBL ·handlerPC(SB), NOPTR, $8
DATA ·restorerPC+0(SB)/8, $·restorer(SB)
GLOBL ·restorerPC(SB), NOPTR, $8
