package corefile

// evaluate computes an expression of DWARF.
func (t *frameTable) evaluate(r *rule, regs *Registers, cfa uint64, pushed bool) (uint64, bool) {
	var stack []uint64
	if pushed {
		stack = append(stack, cfa)
	}
	cur := at(t.data.src, r.from, r.to-r.from)
	base := cur.pos
	for steps := 0; cur.left() > 0; steps++ {
		op := cur.u8()
		top := len(stack) - 1
		if steps > 1<<12 || top >= 64 || top+1 < needs(op) {
			return 0, false
		}
		var v uint64 // to be pushed
		ok := true
		switch {
		case op >= 0x30 && op <= 0x4f: // lit0 to lit31
			v = uint64(op - 0x30)
		case op >= 0x70 && op <= 0x8f, op == 0x92: // breg0 to breg31, bregx
			reg := uint64(op - 0x70)
			if op == 0x92 {
				reg = min(cur.uleb(), 1<<10)
			}
			off := cur.sleb()
			v, ok = regs.get(int(reg))
			v += uint64(off)
		case op == 0x03: // addr
			v = cur.u64()
		case op >= 0x08 && op <= 0x0f: // const1u, const1s, and so on to const8s
			if size := 1 << (op & 7 >> 1); op&1 == 0 {
				v = cur.uint(size)
			} else {
				v = cur.signed(size)
			}
		case op == 0x10: // constu
			v = cur.uleb()
		case op == 0x11: // consts
			v = uint64(cur.sleb())
		case op == 0x96: // nop
			continue
		case op == 0x2f, op == 0x28: // skip, bra
			to := cur.signed(2)
			if op == 0x28 {
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
			continue
		case op == 0x12: // dup
			v = stack[top]
		case op == 0x13: // drop
			stack = stack[:top]
			continue
		case op == 0x14: // over
			v = stack[top-1]
		case op == 0x15: // pick
			n := int(cur.u8())
			if n > top {
				return 0, false
			}
			v = stack[top-n]
		case op == 0x16: // swap
			stack[top], stack[top-1] = stack[top-1], stack[top]
			continue
		case op == 0x17: // rot
			stack[top], stack[top-1], stack[top-2] = stack[top-1], stack[top-2], stack[top]
			continue
		case op == 0x06, op == 0x94: // deref, deref_size
			size := 8
			if op == 0x94 {
				size = int(cur.u8())
			}
			var b [8]byte
			if size < 1 || size > 8 || t.c.readMemory(b[:size], stack[top]) != size {
				return 0, false
			}
			stack[top] = le.Uint64(b[:])
			continue
		case op == 0x23: // plus_uconst
			stack[top] += cur.uleb()
			continue
		case needs(op) == 1:
			v = monadic(op, stack[top])
			stack = stack[:top]
		case needs(op) == 2:
			v, ok = dyadic(op, stack[top-1], stack[top])
			stack = stack[:top-1]
		default:
			return 0, false
		}
		if !ok {
			return 0, false
		}
		stack = append(stack, v)
	}
	if cur.bad || len(stack) == 0 {
		return 0, false
	}
	return stack[len(stack)-1], true
}

// needs is how many values an operation takes from the stack, or looks at.
func needs(op uint8) int {
	switch op {
	case 0x06, 0x94, 0x12, 0x13, 0x28, 0x19, 0x1f, 0x20, 0x23:
		return 1
	case 0x17:
		return 3
	}
	if op == 0x14 || op >= 0x16 && op <= 0x2e {
		return 2
	}
	return 0
}

func monadic(op uint8, v uint64) uint64 {
	switch op {
	case 0x19: // abs
		if int64(v) < 0 {
			return -v
		}
	case 0x1f: // neg
		return -v
	case 0x20: // not
		return ^v
	}
	return v
}

func dyadic(op uint8, a, b uint64) (uint64, bool) {
	sa, sb := int64(a), int64(b)
	var truth bool
	switch op {
	case 0x1a:
		return a & b, true
	case 0x1b:
		if sb == 0 || sb == -1 {
			return 0, false
		}
		return uint64(sa / sb), true
	case 0x1c:
		return a - b, true
	case 0x1d:
		if b == 0 {
			return 0, false
		}
		return a % b, true
	case 0x1e:
		return a * b, true
	case 0x21:
		return a | b, true
	case 0x22:
		return a + b, true
	case 0x24:
		return a << min(b, 64), true
	case 0x25:
		return a >> min(b, 64), true
	case 0x26:
		return uint64(sa >> min(b, 63)), true
	case 0x27:
		return a ^ b, true
	case 0x29:
		truth = sa == sb
	case 0x2a:
		truth = sa >= sb
	case 0x2b:
		truth = sa > sb
	case 0x2c:
		truth = sa <= sb
	case 0x2d:
		truth = sa < sb
	case 0x2e:
		truth = sa != sb
	default:
		return 0, false
	}
	if truth {
		return 1, true
	}
	return 0, true
}
