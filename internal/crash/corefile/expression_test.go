package corefile

import "testing"

// compute evaluates an expression whose registers are their own numbers.
func compute(text string, pushed bool) (uint64, bool) {
	c := &Core{Arch: AMD64, budget: 1 << 20}
	regs := &Registers{arch: AMD64}
	for n := range registerCount {
		regs.set(n, uint64(n))
	}
	t := &frameTable{c: c, data: span{src: &bytesSource{c, []byte(text)}, size: uint64(len(text))}}
	return t.evaluate(&rule{to: uint64(len(text))}, regs, 1000, pushed)
}

func TestExpression(t *testing.T) {
	t.Parallel()
	const minus = 1<<64 - 1
	for _, row := range []struct {
		text string
		want uint64
	}{
		{"", 1000},
		{"\x30", 0},
		{"\x4f", 31},
		{"\x72\x7f", 1},
		{"\x92\x05\x03", 8},
		{"\x03\x01\x02\x03\x04\x05\x06\x07\x08", 0x0807060504030201},
		{"\x08\xff", 255},
		{"\x09\xff", minus},
		{"\x0a\xff\xff", 0xffff},
		{"\x0b\xff\xff", minus},
		{"\x0c\xff\xff\xff\xff", 0xffffffff},
		{"\x0d\xff\xff\xff\xff", minus},
		{"\x0e\xff\xff\xff\xff\xff\xff\xff\xff", minus},
		{"\x0f\xff\xff\xff\xff\xff\xff\xff\xff", minus},
		{"\x10\x80\x01", 128},
		{"\x11\x7f", minus},
		{"\x33\x96", 3},
		{"\x33\x2f\x01\x00\x34", 3},     // skip
		{"\x33\x31\x28\x01\x00\x34", 3}, // bra, taken
		{"\x33\x30\x28\x01\x00\x34", 4}, // and not
		{"\x33\x12\x22", 6},             // dup, plus
		{"\x33\x34\x13", 3},             // drop
		{"\x33\x34\x14", 3},             // over
		{"\x33\x34\x35\x15\x02", 3},     // pick
		{"\x33\x34\x16", 3},             // swap
		{"\x33\x34\x35\x17\x13", 3},     // rot: 5, 3, 4
		{"\x33\x34\x35\x17\x13\x13", 5}, //
		{"\x33\x23\x80\x01", 131},       // plus_uconst
		{"\x11\x7d\x19", 3},             // abs
		{"\x33\x19", 3},                 //
		{"\x33\x1f\x1f", 3},             // neg
		{"\x33\x20", minus - 3},         // not
		{"\x37\x35\x1a", 5},             // and
		{"\x11\x79\x32\x1b", minus - 2}, // div
		{"\x37\x35\x1c", 2},             // minus
		{"\x37\x35\x1d", 2},             // mod
		{"\x37\x35\x1e", 35},            // mul
		{"\x36\x33\x21", 7},             // or
		{"\x33\x34\x24", 48},            // shl
		{"\x11\x7f\x08\x3c\x25", 15},    // shr
		{"\x11\x7f\x08\xff\x25", 0},     //
		{"\x11\x7f\x08\xff\x26", minus}, // shra
		{"\x36\x33\x27", 5},             // xor
		{"\x33\x33\x29", 1},
		{"\x33\x34\x29", 0}, // eq
		{"\x11\x7f\x30\x2a", 0},
		{"\x33\x33\x2a", 1}, // ge
		{"\x30\x11\x7f\x2b", 1},
		{"\x33\x33\x2b", 0}, // gt
		{"\x11\x7f\x30\x2c", 1},
		{"\x34\x33\x2c", 0}, // le
		{"\x11\x7f\x30\x2d", 1},
		{"\x33\x33\x2d", 0}, // lt
		{"\x33\x34\x2e", 1},
		{"\x33\x33\x2e", 0}, // ne
	} {
		if got, ok := compute(row.text, true); !ok || got != row.want {
			t.Errorf("%q is %#x, %t; want %#x", row.text, got, ok, row.want)
		}
	}
	for _, text := range []string{
		"\x33\x34\x18",                 // xderef: there are no other address spaces
		"\x33\x30\x1b", "\x33\x30\x1d", // by zero
		"\x15\x01", "\x06", "\x94\x00", "\x94\x09", "\x2f\xf0\xff", "\x08", "\x33\x17",
	} {
		if got, ok := compute(text, true); ok {
			t.Errorf("%q is %#x", text, got)
		}
	}
}

// TestOperations runs each operation with too few values on the stack.
func TestOperations(t *testing.T) {
	t.Parallel()
	for op := range 256 {
		for n := range 4 {
			text := "\x30\x30\x30"[:n] + string([]byte{byte(op)}) + "\x00\x00\x00\x00\x00\x00\x00\x00"
			compute(text, false)
			if got, ok := compute(text[:n+1], false); ok && n < needs(byte(op)) {
				t.Errorf("%#x with %d values is %d", op, n, got)
			}
		}
	}
}
