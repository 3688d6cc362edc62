package corefile

import "fmt"

// The numbers DWARF gives to registers. On arm64 the program counter has one
// too, on amd64 it is the column of the return address.
const (
	amd64BP = 6
	amd64SP = 7
	amd64PC = 16
	arm64FP = 29
	arm64LR = 30
	arm64SP = 31
	arm64PC = 32

	registerCount = 33
)

var amd64Names = [...]string{
	"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
}

// Registers are the general registers of a thread, or what is known of them in
// a frame further up. The methods are not inlined for the binary's size, as with
// cursor.
type Registers struct {
	arch  Arch
	value [registerCount]uint64
	known uint64 // a bit for each register
	flags uint64 // eflags or pstate
}

//go:noinline
func (r *Registers) set(n int, v uint64) {
	if uint(n) < registerCount {
		r.value[n] = v
		r.known |= 1 << n
	}
}

//go:noinline
func (r *Registers) forget(n int) {
	if uint(n) < registerCount {
		r.known &^= 1 << n
	}
}

// get is the value of a register, and whether it is known.
//
//go:noinline
func (r *Registers) get(n int) (uint64, bool) {
	if uint(n) >= registerCount || r.known&(1<<n) == 0 {
		return 0, false
	}
	return r.value[n], true
}

//go:noinline
func (r *Registers) pcColumn() int {
	if r.arch == ARM64 {
		return arm64PC
	}
	return amd64PC
}

//go:noinline
func (r *Registers) spColumn() int {
	if r.arch == ARM64 {
		return arm64SP
	}
	return amd64SP
}

//go:noinline
func (r *Registers) fpColumn() int {
	if r.arch == ARM64 {
		return arm64FP
	}
	return amd64BP
}

// PC is the program counter.
//
//go:noinline
func (r *Registers) PC() uint64 { return r.value[r.pcColumn()] }

// SP is the stack pointer.
//
//go:noinline
func (r *Registers) SP() uint64 { return r.value[r.spColumn()] }

// A Register is a register's name and value.
type Register struct {
	Name  string
	Value uint64
}

// All are the registers in the order a debugger lists them.
func (r *Registers) All() []Register {
	var all []Register
	if r.arch == ARM64 {
		for n := range 31 {
			all = append(all, Register{fmt.Sprintf("x%d", n), r.value[n]})
		}
		return append(all, Register{"sp", r.value[arm64SP]}, Register{"pc", r.value[arm64PC]}, Register{"cpsr", r.flags})
	}
	for _, n := range [...]int{0, 3, 2, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16} {
		all = append(all, Register{amd64Names[n], r.value[n]})
	}
	return append(all, Register{"eflags", r.flags})
}
