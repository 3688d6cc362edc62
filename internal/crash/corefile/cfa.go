package corefile

// A rule says how a register of the caller is found.
type rule struct {
	_        incomparable
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

// rules runs the instructions of f up to pc. It is nil if they make no sense.
func (t *frameTable) rules(f fde, pc uint64) *row {
	var r row
	if !t.run(f, at(t.data.src, f.code, f.cie.end-f.code), &r, nil, pc) {
		return nil
	}
	initial := r
	if !t.run(f, at(t.data.src, f.from, f.to-f.from), &r, &initial, pc) {
		return nil
	}
	return &r
}

func (t *frameTable) run(f fde, cur *cursor, r, initial *row, pc uint64) bool {
	var saved []row
	loc := f.start
	for steps := 0; cur.left() > 0; steps++ {
		if steps > maxSteps {
			return false
		}
		op := cur.u8()
		reg := uint64(op & 0x3f)
		switch op >> 6 {
		case 0:
			reg = 1 << 10 // none
			switch op {
			case 0x05, 0x06, 0x07, 0x08, 0x09, 0x0c, 0x0d, 0x10, 0x11, 0x12, 0x14, 0x15, 0x16, 0x2f:
				reg = min(reg, cur.uleb())
			}
		case 1:
			op = 0x42 // advance_loc
		case 2:
			op = 0x05 // offset
		case 3:
			op = 0x06 // restore
		}
		var v rule // of reg, where there is one
		switch op {
		case 0x00, 0x2d: // nop; AARCH64_negate_ra_state: signed addresses are recognised by their bits
			continue
		case 0x01: // set_loc
			to, ok := t.pointer(cur, f.encoding)
			if !ok {
				return false
			}
			if loc = to; t.debug {
				loc += t.bias
			}
			if loc > pc {
				return true
			}
			continue
		case 0x42, 0x02, 0x03, 0x04: // advance_loc, and with 1, 2, 4 bytes
			n := reg
			if op != 0x42 {
				n = cur.uint(1 << (op - 2))
			}
			if loc += n * f.codeAlign; loc > pc {
				return true
			}
			continue
		case 0x05: // offset_extended
			v.kind, v.off = ruleOffset, int64(cur.uleb())*f.dataAlign
		case 0x06: // restore_extended
			if initial == nil || reg >= uint64(len(r.regs)) {
				continue
			}
			v = initial.regs[reg]
		case 0x07: // undefined
			v.kind = ruleUndefined
		case 0x08: // same_value
		case 0x09: // register
			v.kind, v.reg = ruleRegister, int(min(cur.uleb(), 1<<10))
		case 0x0a: // remember_state
			if len(saved) >= 16 || !t.c.spend(1<<10) {
				return false
			}
			saved = append(saved, *r)
			continue
		case 0x0b: // restore_state
			if len(saved) == 0 {
				return false
			}
			*r = saved[len(saved)-1]
			saved = saved[:len(saved)-1]
			continue
		case 0x0c: // def_cfa
			r.cfa = rule{kind: ruleRegister, reg: int(reg), off: int64(cur.uleb())}
			continue
		case 0x0d: // def_cfa_register
			r.cfa.kind, r.cfa.reg = ruleRegister, int(reg)
			continue
		case 0x0e: // def_cfa_offset
			r.cfa.off = int64(cur.uleb())
			continue
		case 0x0f: // def_cfa_expression
			r.cfa = rule{kind: ruleExpression}
			r.cfa.from, r.cfa.to = cur.block()
			continue
		case 0x10: // expression
			v.kind = ruleExpression
			v.from, v.to = cur.block()
		case 0x16: // val_expression
			v.kind = ruleValueExpression
			v.from, v.to = cur.block()
		case 0x11: // offset_extended_sf
			v.kind, v.off = ruleOffset, cur.sleb()*f.dataAlign
		case 0x12: // def_cfa_sf
			r.cfa = rule{kind: ruleRegister, reg: int(reg), off: cur.sleb() * f.dataAlign}
			continue
		case 0x13: // def_cfa_offset_sf
			r.cfa.off = cur.sleb() * f.dataAlign
			continue
		case 0x14: // val_offset
			v.kind, v.off = ruleValue, int64(cur.uleb())*f.dataAlign
		case 0x15: // val_offset_sf
			v.kind, v.off = ruleValue, cur.sleb()*f.dataAlign
		case 0x2e: // GNU_args_size
			cur.uleb()
			continue
		case 0x2f: // GNU_negative_offset_extended
			v.kind, v.off = ruleOffset, -int64(cur.uleb())*f.dataAlign
		default:
			return false
		}
		if reg < uint64(len(r.regs)) {
			r.regs[reg] = v
		}
	}
	return !cur.bad
}

// apply makes registers those of the caller. If it is false, it has left them as
// they were.
func (t *frameTable) apply(f fde, r *row, regs *Registers) bool {
	var cfa uint64
	var ok bool
	switch r.cfa.kind {
	case ruleRegister:
		cfa, ok = regs.get(r.cfa.reg)
		cfa += uint64(r.cfa.off)
	case ruleExpression:
		cfa, ok = t.evaluate(&r.cfa, regs, 0, false)
	}
	if !ok {
		return false
	}
	caller := *regs
	caller.set(regs.spColumn(), cfa)
	for n := range registerCount {
		v := &r.regs[n]
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
		case ruleExpression, ruleValueExpression:
			value, known = t.evaluate(v, regs, cfa, true)
			if known && v.kind == ruleExpression {
				value, known = t.c.word(value)
			}
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
	if known {
		caller.set(regs.pcColumn(), pc)
	} else {
		caller.forget(regs.pcColumn())
	}
	*regs = caller
	return true
}
