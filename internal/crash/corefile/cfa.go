package corefile

// A rule says how a register of the caller is found.
type rule struct {
	kind     uint8
	reg      int
	off      int64
	from, to uint64 // of an expression
}

const (
	ruleNone      = iota // nothing was said: the register is unchanged
	ruleUndefined        // it is lost; for the return address: there is no caller
	ruleOffset           // saved at the frame's address plus off
	ruleValue            // it is the frame's address plus off
	ruleRegister         // it is in another register; for the frame's address, plus off
	ruleExpression
	ruleValueExpression
)

// A row is the rules at one address.
type row struct {
	cfa  rule
	regs [registerCount + 2]rule // and two of arm64: ELR_mode, RA_SIGN_STATE
}

const maxSteps = 1 << 16 // of any one list or program of the file's

// rules runs the instructions of f up to pc.
func (t *frameTable) rules(f fde, pc uint64) (row, bool) {
	var r, initial row
	cur := at(t.data.src, f.code, f.cie.end-f.code)
	loc := f.start
	if !t.run(f, &cur, &r, nil, &loc, pc) {
		return r, false
	}
	initial = r
	loc = f.start
	cur = at(t.data.src, f.from, f.to-f.from)
	return r, t.run(f, &cur, &r, &initial, &loc, pc)
}

func (t *frameTable) run(f fde, cur *cursor, r, initial *row, loc *uint64, pc uint64) bool {
	var saved []row
	set := func(reg uint64, v rule) {
		if reg < uint64(len(r.regs)) {
			r.regs[reg] = v
		}
	}
	expression := func() (from, to uint64) {
		n := cur.uleb()
		from = cur.pos
		cur.skip(n)
		return from, cur.pos
	}
	advance := func(n uint64) bool {
		*loc += n * f.codeAlign
		return *loc <= pc
	}
	for steps := 0; cur.left() > 0; steps++ {
		if steps > maxSteps {
			return false
		}
		op := cur.u8()
		low := uint64(op & 0x3f)
		switch op & 0xc0 {
		case 0x40: // advance_loc
			if !advance(low) {
				return true
			}
			continue
		case 0x80: // offset
			set(low, rule{kind: ruleOffset, off: int64(cur.uleb()) * f.dataAlign})
			continue
		case 0xc0: // restore
			if initial != nil && low < uint64(len(r.regs)) {
				r.regs[low] = initial.regs[low]
			}
			continue
		}
		switch op {
		case 0x00: // nop
		case 0x01: // set_loc
			v, ok := t.pointer(cur, f.encoding)
			if !ok {
				return false
			}
			if t.debug {
				v += t.bias
			}
			if *loc = v; v > pc {
				return true
			}
		case 0x02, 0x03, 0x04: // advance_loc1, 2, 4
			if !advance(cur.uint(1 << (op - 2))) {
				return true
			}
		case 0x05: // offset_extended
			reg := cur.uleb()
			set(reg, rule{kind: ruleOffset, off: int64(cur.uleb()) * f.dataAlign})
		case 0x06: // restore_extended
			if reg := cur.uleb(); initial != nil && reg < uint64(len(r.regs)) {
				r.regs[reg] = initial.regs[reg]
			}
		case 0x07: // undefined
			set(cur.uleb(), rule{kind: ruleUndefined})
		case 0x08: // same_value
			set(cur.uleb(), rule{})
		case 0x09: // register
			reg := cur.uleb()
			set(reg, rule{kind: ruleRegister, reg: int(min(cur.uleb(), 1<<10))})
		case 0x0a: // remember_state
			if len(saved) >= 16 || !t.c.spend(1<<10) {
				return false
			}
			saved = append(saved, *r)
		case 0x0b: // restore_state
			if len(saved) == 0 {
				return false
			}
			*r = saved[len(saved)-1]
			saved = saved[:len(saved)-1]
		case 0x0c: // def_cfa
			reg := int(min(cur.uleb(), 1<<10))
			r.cfa = rule{kind: ruleRegister, reg: reg, off: int64(cur.uleb())}
		case 0x0d: // def_cfa_register
			r.cfa.kind, r.cfa.reg = ruleRegister, int(min(cur.uleb(), 1<<10))
		case 0x0e: // def_cfa_offset
			r.cfa.off = int64(cur.uleb())
		case 0x0f: // def_cfa_expression
			r.cfa = rule{kind: ruleExpression}
			r.cfa.from, r.cfa.to = expression()
		case 0x10, 0x16: // expression, val_expression
			reg := cur.uleb()
			v := rule{kind: ruleExpression}
			if op == 0x16 {
				v.kind = ruleValueExpression
			}
			v.from, v.to = expression()
			set(reg, v)
		case 0x11: // offset_extended_sf
			reg := cur.uleb()
			set(reg, rule{kind: ruleOffset, off: cur.sleb() * f.dataAlign})
		case 0x12: // def_cfa_sf
			reg := int(min(cur.uleb(), 1<<10))
			r.cfa = rule{kind: ruleRegister, reg: reg, off: cur.sleb() * f.dataAlign}
		case 0x13: // def_cfa_offset_sf
			r.cfa.off = cur.sleb() * f.dataAlign
		case 0x14: // val_offset
			reg := cur.uleb()
			set(reg, rule{kind: ruleValue, off: int64(cur.uleb()) * f.dataAlign})
		case 0x15: // val_offset_sf
			reg := cur.uleb()
			set(reg, rule{kind: ruleValue, off: cur.sleb() * f.dataAlign})
		case 0x2d: // AARCH64_negate_ra_state: signed addresses are recognised by their bits
		case 0x2e: // GNU_args_size
			cur.uleb()
		case 0x2f: // GNU_negative_offset_extended
			reg := cur.uleb()
			set(reg, rule{kind: ruleOffset, off: -int64(cur.uleb()) * f.dataAlign})
		default:
			return false
		}
	}
	return !cur.bad
}

// apply computes the caller's registers, and the frame's address.
func (t *frameTable) apply(f fde, r *row, regs *Registers) (caller Registers, cfa uint64, ok bool) {
	switch r.cfa.kind {
	case ruleRegister:
		v, known := regs.get(r.cfa.reg)
		if !known {
			return caller, 0, false
		}
		cfa = v + uint64(r.cfa.off)
	case ruleExpression:
		if cfa, ok = t.evaluate(r.cfa, regs, 0, false); !ok {
			return caller, 0, false
		}
	default:
		return caller, 0, false
	}
	caller = *regs
	caller.set(regs.spColumn(), cfa)
	for n := range registerCount {
		v := r.regs[n]
		var value uint64
		known := true
		switch v.kind {
		case ruleNone:
			continue
		case ruleUndefined:
			known = false
		case ruleOffset:
			value, known = t.c.word(cfa + uint64(v.off))
		case ruleValue:
			value = cfa + uint64(v.off)
		case ruleRegister:
			value, known = regs.get(v.reg)
		case ruleExpression:
			if value, known = t.evaluate(v, regs, cfa, true); known {
				value, known = t.c.word(value)
			}
		case ruleValueExpression:
			value, known = t.evaluate(v, regs, cfa, true)
		}
		if known {
			caller.set(n, value)
		} else {
			caller.forget(n)
		}
	}
	pc, known := caller.get(f.raColumn)
	if known && regs.arch == AMD64 && r.regs[amd64PC].kind == ruleNone {
		known = false // the callee's own, not a return address
	}
	if !known {
		caller.forget(regs.pcColumn())
		return caller, cfa, true
	}
	caller.set(regs.pcColumn(), pc)
	return caller, cfa, true
}

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
