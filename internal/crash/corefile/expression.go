package corefile

// evaluate computes a DWARF expression. With pushed, the stack begins with cfa.
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
		case op >= opLit0 && op <= opLit31:
			v = uint64(op - opLit0)
		case op >= opBreg0 && op <= opBreg31, op == opBregx:
			reg := uint64(op - opBreg0)
			if op == opBregx {
				reg = min(cur.uleb(), 1<<10)
			}
			off := cur.sleb()
			v, ok = regs.get(int(reg))
			v += uint64(off)
		case op == opAddr:
			v = cur.u64()
		case op >= opConst1u && op <= opConst8s: // of 1, 2, 4 and 8 bytes; odd ones are signed
			if size := 1 << (op & 7 >> 1); op&1 == 0 {
				v = cur.uint(size)
			} else {
				v = cur.signed(size)
			}
		case op == opConstu:
			v = cur.uleb()
		case op == opConsts:
			v = uint64(cur.sleb())
		case op == opNop:
			continue
		case op == opSkip, op == opBra:
			to := cur.signed(2)
			if op == opBra {
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
		case op == opDup:
			v = stack[top]
		case op == opDrop:
			stack = stack[:top]
			continue
		case op == opOver:
			v = stack[top-1]
		case op == opPick:
			n := int(cur.u8())
			if n > top {
				return 0, false
			}
			v = stack[top-n]
		case op == opSwap:
			stack[top], stack[top-1] = stack[top-1], stack[top]
			continue
		case op == opRot:
			stack[top], stack[top-1], stack[top-2] = stack[top-1], stack[top-2], stack[top]
			continue
		case op == opDeref, op == opDerefSize:
			size := 8
			if op == opDerefSize {
				size = int(cur.u8())
			}
			var b [8]byte
			if size < 1 || size > 8 || t.c.readMemory(b[:size], stack[top]) != size {
				return 0, false
			}
			stack[top] = le.Uint64(b[:])
			continue
		case op == opPlusUconst:
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

// needs returns how many values an operation pops from the stack or reads on it.
func needs(op uint8) int {
	switch op {
	case opDeref, opDerefSize, opDup, opDrop, opBra, opAbs, opNeg, opNot, opPlusUconst:
		return 1
	case opRot:
		return 3
	}
	if op == opOver || op >= opSwap && op <= opNe {
		return 2
	}
	return 0
}

func monadic(op uint8, v uint64) uint64 {
	switch op {
	case opAbs:
		if int64(v) < 0 {
			return -v
		}
	case opNeg:
		return -v
	case opNot:
		return ^v
	}
	return v
}

func dyadic(op uint8, a, b uint64) (uint64, bool) {
	sa, sb := int64(a), int64(b)
	var truth bool
	switch op {
	case opAnd:
		return a & b, true
	case opDiv:
		if sb == 0 || sb == -1 {
			return 0, false
		}
		return uint64(sa / sb), true
	case opMinus:
		return a - b, true
	case opMod:
		if b == 0 {
			return 0, false
		}
		return a % b, true
	case opMul:
		return a * b, true
	case opOr:
		return a | b, true
	case opPlus:
		return a + b, true
	case opShl:
		return a << min(b, 64), true
	case opShr:
		return a >> min(b, 64), true
	case opShra:
		return uint64(sa >> min(b, 63)), true
	case opXor:
		return a ^ b, true
	case opEq:
		truth = sa == sb
	case opGe:
		truth = sa >= sb
	case opGt:
		truth = sa > sb
	case opLe:
		truth = sa <= sb
	case opLt:
		truth = sa < sb
	case opNe:
		truth = sa != sb
	default:
		return 0, false
	}
	if truth {
		return 1, true
	}
	return 0, true
}
