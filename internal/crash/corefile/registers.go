package corefile

// DWARF's numbers of registers. On amd64 the program counter's is that of the return
// address column.
const (
	amd64AX = 0
	amd64DX = 1
	amd64CX = 2
	amd64BX = 3
	amd64SI = 4
	amd64DI = 5
	amd64BP = 6
	amd64SP = 7
	amd64PC = 16 // 8 to 15 are r8 to r15

	arm64FP = 29
	arm64LR = 30
	arm64SP = 31
	arm64PC = 32

	registerCount = 33
)

// Registers are the general registers of a thread, or those known in an outer frame.
type Registers struct {
	arch  Arch
	value [registerCount]uint64
	known uint64 // a bit for each register
	flags uint64 // eflags or pstate
}

func (r *Registers) set(n int, v uint64) {
	if uint(n) < registerCount {
		r.value[n] = v
		r.known |= 1 << n
	}
}

func (r *Registers) forget(n int) {
	if uint(n) < registerCount {
		r.known &^= 1 << n
	}
}

// get returns the value of a register, and whether it is known.
func (r *Registers) get(n int) (uint64, bool) {
	if uint(n) >= registerCount || r.known&(1<<n) == 0 {
		return 0, false
	}
	return r.value[n], true
}

func (r *Registers) pcColumn() int {
	if r.arch == ARM64 {
		return arm64PC
	}
	return amd64PC
}

func (r *Registers) spColumn() int {
	if r.arch == ARM64 {
		return arm64SP
	}
	return amd64SP
}

func (r *Registers) fpColumn() int {
	if r.arch == ARM64 {
		return arm64FP
	}
	return amd64BP
}

// PC returns the program counter.
func (r *Registers) PC() uint64 { return r.value[r.pcColumn()] }

// SP returns the stack pointer.
func (r *Registers) SP() uint64 { return r.value[r.spColumn()] }
