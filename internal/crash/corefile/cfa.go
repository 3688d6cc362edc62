package corefile

// A rule says how to find a register of the caller.
type rule struct {
	kind     uint8
	reg      int
	off      int64
	from, to uint64 // of an expression
}

const (
	ruleNone      = iota // the register is unchanged
	ruleUndefined        // the register is lost; for the return address: there is no caller
	ruleOffset           // saved at the frame's address plus off
	ruleValue            // the frame's address plus off
	ruleRegister         // in another register; for the frame's address, plus off
	ruleExpression
	ruleValueExpression
)

// A row has the rules at one address.
type row struct {
	cfa  rule
	regs [registerCount + 2]rule // and two of arm64: ELR_mode, RA_SIGN_STATE
}

const maxSteps = 1 << 16 // of any one list or program in a file

// rules runs the instructions of f up to pc. It returns nil if they are invalid.
func (t *frameTable) rules(f fde, pc uint64) *row {
	var r row
	if !t.run(f, at(t.data.src, f.code, f.codeEnd-f.code), &r, nil, pc) {
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
		operand := uint64(op & 0x3f)
		reg := uint64(1 << 10) // none
		switch op & 0xc0 {
		case cfaAdvanceLoc:
			op = cfaAdvanceLoc
		case cfaOffset:
			op, reg = cfaOffsetExtended, operand
		case cfaRestore:
			op, reg = cfaRestoreExtended, operand
		default:
			switch op {
			case cfaOffsetExtended, cfaRestoreExtended, cfaUndefined, cfaSameValue, cfaRegister, cfaDefCFA, cfaDefCFARegister,
				cfaExpression, cfaOffsetExtendedSF, cfaDefCFASF, cfaValOffset, cfaValOffsetSF, cfaValExpression, cfaGNUNegativeOffset:
				reg = min(reg, cur.uleb())
			}
		}
		var v rule // of reg, if the instruction has one
		switch op {
		case cfaNop, cfaNegateRAState: // signed addresses are recognised by their bits
			continue
		case cfaSetLoc:
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
		case cfaAdvanceLoc, cfaAdvanceLoc1, cfaAdvanceLoc2, cfaAdvanceLoc4:
			n := operand
			if op != cfaAdvanceLoc {
				n = cur.uint(1 << (op - cfaAdvanceLoc1))
			}
			if loc += n * f.codeAlign; loc > pc {
				return true
			}
			continue
		case cfaOffsetExtended:
			v.kind, v.off = ruleOffset, int64(cur.uleb())*f.dataAlign
		case cfaRestoreExtended:
			if initial == nil || reg >= uint64(len(r.regs)) {
				continue
			}
			v = initial.regs[reg]
		case cfaUndefined:
			v.kind = ruleUndefined
		case cfaSameValue:
		case cfaRegister:
			v.kind, v.reg = ruleRegister, int(min(cur.uleb(), 1<<10))
		case cfaRememberState:
			if len(saved) >= 16 || !t.c.spend(1<<10) {
				return false
			}
			saved = append(saved, *r)
			continue
		case cfaRestoreState:
			if len(saved) == 0 {
				return false
			}
			*r = saved[len(saved)-1]
			saved = saved[:len(saved)-1]
			continue
		case cfaDefCFA:
			r.cfa = rule{kind: ruleRegister, reg: int(reg), off: int64(cur.uleb())}
			continue
		case cfaDefCFARegister:
			r.cfa.kind, r.cfa.reg = ruleRegister, int(reg)
			continue
		case cfaDefCFAOffset:
			r.cfa.off = int64(cur.uleb())
			continue
		case cfaDefCFAExpression:
			r.cfa = rule{kind: ruleExpression}
			r.cfa.from, r.cfa.to = cur.block()
			continue
		case cfaExpression:
			v.kind = ruleExpression
			v.from, v.to = cur.block()
		case cfaValExpression:
			v.kind = ruleValueExpression
			v.from, v.to = cur.block()
		case cfaOffsetExtendedSF:
			v.kind, v.off = ruleOffset, cur.sleb()*f.dataAlign
		case cfaDefCFASF:
			r.cfa = rule{kind: ruleRegister, reg: int(reg), off: cur.sleb() * f.dataAlign}
			continue
		case cfaDefCFAOffsetSF:
			r.cfa.off = cur.sleb() * f.dataAlign
			continue
		case cfaValOffset:
			v.kind, v.off = ruleValue, int64(cur.uleb())*f.dataAlign
		case cfaValOffsetSF:
			v.kind, v.off = ruleValue, cur.sleb()*f.dataAlign
		case cfaGNUArgsSize:
			cur.uleb()
			continue
		case cfaGNUNegativeOffset:
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

// apply replaces the registers by the caller's. If it returns false, they are unchanged.
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
