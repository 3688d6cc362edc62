package corefile

// evaluate computes an expression of DWARF.
func (t *frameTable) evaluate(v rule, regs *Registers, cfa uint64, pushed bool) (uint64, bool) {
	var stack []uint64
	if pushed {
		stack = append(stack, cfa)
	}
	cur := at(t.data.src, v.from, v.to-v.from)
	base := cur.pos
	need := func(n int) bool { return len(stack) >= n }
	push := func(v uint64) { stack = append(stack, v) }
	for steps := 0; cur.left() > 0; steps++ {
		if steps > 1<<12 || len(stack) > 64 {
			return 0, false
		}
		op := cur.u8()
		top := len(stack) - 1
		switch {
		case op >= 0x30 && op <= 0x4f: // lit0 to lit31
			push(uint64(op - 0x30))
		case op >= 0x70 && op <= 0x8f: // breg0 to breg31
			off := cur.sleb()
			r, ok := regs.get(int(op - 0x70))
			if !ok {
				return 0, false
			}
			push(r + uint64(off))
		case op == 0x92: // bregx
			reg := cur.uleb()
			off := cur.sleb()
			r, ok := regs.get(int(min(reg, 1<<10)))
			if !ok {
				return 0, false
			}
			push(r + uint64(off))
		case op == 0x03, op == 0x0e, op == 0x0f: // addr, const8u, const8s
			push(cur.u64())
		case op == 0x08:
			push(uint64(cur.u8()))
		case op == 0x09:
			push(uint64(int64(int8(cur.u8()))))
		case op == 0x0a:
			push(uint64(cur.u16()))
		case op == 0x0b:
			push(uint64(int64(int16(cur.u16()))))
		case op == 0x0c:
			push(uint64(cur.u32()))
		case op == 0x0d:
			push(uint64(int64(int32(cur.u32()))))
		case op == 0x10:
			push(cur.uleb())
		case op == 0x11:
			push(uint64(cur.sleb()))
		case op == 0x96: // nop
		case op == 0x2f, op == 0x28: // skip, bra
			to := uint64(int64(int16(cur.u16())))
			if op == 0x28 {
				if !need(1) {
					return 0, false
				}
				taken := stack[top] != 0
				stack = stack[:top]
				if !taken {
					continue
				}
			}
			if to += cur.pos; to < base {
				return 0, false
			}
			cur.seek(to)
		case op == 0x12: // dup
			if !need(1) {
				return 0, false
			}
			push(stack[top])
		case op == 0x13: // drop
			if !need(1) {
				return 0, false
			}
			stack = stack[:top]
		case op == 0x14: // over
			if !need(2) {
				return 0, false
			}
			push(stack[top-1])
		case op == 0x15: // pick
			n := int(cur.u8())
			if !need(n + 1) {
				return 0, false
			}
			push(stack[top-n])
		case op == 0x16: // swap
			if !need(2) {
				return 0, false
			}
			stack[top], stack[top-1] = stack[top-1], stack[top]
		case op == 0x17: // rot
			if !need(3) {
				return 0, false
			}
			stack[top], stack[top-1], stack[top-2] = stack[top-1], stack[top-2], stack[top]
		case op == 0x06, op == 0x94: // deref, deref_size
			size := 8
			if op == 0x94 {
				size = int(cur.u8())
			}
			if !need(1) || size < 1 || size > 8 {
				return 0, false
			}
			var b [8]byte
			if t.c.readMemory(b[:size], stack[top]) != size {
				return 0, false
			}
			stack[top] = le.Uint64(b[:])
		default:
			var ok bool
			if stack, ok = arithmetic(op, stack, &cur); !ok {
				return 0, false
			}
		}
	}
	if cur.bad || len(stack) == 0 {
		return 0, false
	}
	return stack[len(stack)-1], true
}

// arithmetic does the operations that only look at the stack.
func arithmetic(op uint8, stack []uint64, cur *cursor) ([]uint64, bool) {
	top := len(stack) - 1
	if top < 0 {
		return nil, false
	}
	switch op {
	case 0x19: // abs
		if int64(stack[top]) < 0 {
			stack[top] = -stack[top]
		}
		return stack, true
	case 0x1f: // neg
		stack[top] = -stack[top]
		return stack, true
	case 0x20: // not
		stack[top] = ^stack[top]
		return stack, true
	case 0x23: // plus_uconst
		stack[top] += cur.uleb()
		return stack, true
	}
	if top < 1 {
		return nil, false
	}
	a, b := stack[top-1], stack[top]
	sa, sb := int64(a), int64(b)
	var v uint64
	truth := func(t bool) {
		if t {
			v = 1
		}
	}
	switch op {
	case 0x1a:
		v = a & b
	case 0x1b:
		if sb == 0 || sb == -1 {
			return nil, false
		}
		v = uint64(sa / sb)
	case 0x1c:
		v = a - b
	case 0x1d:
		if b == 0 {
			return nil, false
		}
		v = a % b
	case 0x1e:
		v = a * b
	case 0x21:
		v = a | b
	case 0x22:
		v = a + b
	case 0x24:
		v = a << min(b, 64)
	case 0x25:
		v = a >> min(b, 64)
	case 0x26:
		v = uint64(sa >> min(b, 63))
	case 0x27:
		v = a ^ b
	case 0x29:
		truth(sa == sb)
	case 0x2a:
		truth(sa >= sb)
	case 0x2b:
		truth(sa > sb)
	case 0x2c:
		truth(sa <= sb)
	case 0x2d:
		truth(sa < sb)
	case 0x2e:
		truth(sa != sb)
	default:
		return nil, false
	}
	stack[top-1] = v
	return stack[:top], true
}
