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
