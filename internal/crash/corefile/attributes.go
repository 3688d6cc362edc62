package corefile

// attr reads an attribute. An unknown form makes the cursor bad, since its length is
// unknown.
func (t *lineTable) attr(cur *cursor, u *unit, s spec) attr {
	v := attr{form: s.form}
	if v.form == formIndirect {
		v.form = uint16(min(cur.uleb(), 0xffff))
	}
	switch v.form {
	case formData1, formFlag, formRef1, formStrx1, formAddrx1:
		v.u = uint64(cur.u8())
	case formData2, formRef2, formStrx2, formAddrx2:
		v.u = uint64(cur.u16())
	case formStrx3, formAddrx3:
		v.u = cur.uint(3)
	case formData4, formRef4, formStrx4, formAddrx4, formRefSup4:
		v.u = uint64(cur.u32())
	case formAddr, formData8, formRef8, formRefSig8, formRefSup8:
		v.u = cur.u64()
	case formData16:
		cur.skip(16)
	case formSdata:
		v.u = uint64(cur.sleb())
	case formUdata, formRefUdata, formStrx, formAddrx, formLoclistx, formRnglistx:
		v.u = cur.uleb()
	case formStrp, formSecOffset, formStrpSup, formLineStrp, formGNURefAlt, formGNUStrpAlt:
		v.u = cur.offset(u.wide)
	case formRefAddr:
		v.u = cur.offset(u.wide || u.version == 2)
	case formString:
		v.u = cur.pos - t.info.off
		cur.text(0)
	case formBlock1:
		cur.skip(uint64(cur.u8()))
	case formBlock2:
		cur.skip(uint64(cur.u16()))
	case formBlock4:
		cur.skip(uint64(cur.u32()))
	case formBlock, formExprloc:
		cur.skip(cur.uleb())
	case formFlagPresent:
		v.u = 1
	case formImplicitConst:
		v.u = uint64(s.implicit)
	default:
		cur.bad = true
	}
	return v
}

// address returns the address that an attribute stands for.
func (t *lineTable) address(u *unit, v attr) uint64 {
	if isAddrx(v.form) {
		return t.addressAt(u, v.u)
	}
	return v.u
}

// isAddrx says whether a form is an index into .debug_addr.
func isAddrx(form uint16) bool {
	return form == formAddrx || formAddrx1 <= form && form <= formAddrx4
}

func (t *lineTable) addressAt(u *unit, index uint64) uint64 {
	if index > t.addr.size {
		return 0
	}
	cur := t.addr.from(u.addrBase + index*8)
	return cur.u64()
}

// text returns the string that an attribute stands for.
func (t *lineTable) text(u *unit, v attr) string {
	switch v.form {
	case formString:
		return t.info.text(v.u, maxName)
	case formStrp:
		return t.str.text(v.u, maxName)
	case formLineStrp:
		return t.lineStr.text(v.u, maxName)
	case formStrx, formStrx1, formStrx2, formStrx3, formStrx4:
		size := uint64(4)
		if u.wide {
			size = 8
		}
		if v.u > t.strOffset.size {
			return ""
		}
		cur := t.strOffset.from(u.strBase + v.u*size)
		off := cur.offset(u.wide)
		if cur.bad {
			return ""
		}
		return t.str.text(off, maxName)
	}
	return ""
}

// eachRange calls yield for the address ranges of an entry, until yield returns false.
func (t *lineTable) eachRange(u *unit, low, high, ranges attr, yield func(low, high uint64) bool) {
	if high.form != 0 {
		from := t.address(u, low)
		to := t.address(u, high)
		if high.form != formAddr && !isAddrx(high.form) {
			to += from // a length
		}
		if from < to {
			yield(from, to)
		}
		return
	}
	if ranges.form == 0 {
		return
	}
	base := u.low
	if u.version < 5 {
		cur := t.ranges.from(ranges.u)
		for range maxSteps {
			from, to := cur.u64(), cur.u64()
			if cur.bad || from == 0 && to == 0 {
				return
			}
			if from == ^uint64(0) {
				base = to
			} else if from < to && !yield(base+from, base+to) {
				return
			}
		}
		return
	}
	off := ranges.u
	if ranges.form == formRnglistx { // an index into the offsets at rngBase
		size := uint64(4)
		if u.wide {
			size = 8
		}
		if off > t.rnglists.size {
			return
		}
		cur := t.rnglists.from(u.rngBase + off*size)
		off = u.rngBase + cur.offset(u.wide)
	}
	cur := t.rnglists.from(off)
	for range maxSteps {
		var from, to uint64
		switch cur.u8() {
		case rangeBaseAddressx:
			base = t.addressAt(u, cur.uleb())
			continue
		case rangeStartxEndx:
			from, to = t.addressAt(u, cur.uleb()), t.addressAt(u, cur.uleb())
		case rangeStartxLength:
			from = t.addressAt(u, cur.uleb())
			to = from + cur.uleb()
		case rangeOffsetPair:
			from = base + cur.uleb()
			to = base + cur.uleb()
		case rangeBaseAddress:
			base = cur.u64()
			continue
		case rangeStartEnd:
			from, to = cur.u64(), cur.u64()
		case rangeStartLength:
			from = cur.u64()
			to = from + cur.uleb()
		default: // end_of_list
			return
		}
		if cur.bad || from < to && !yield(from, to) {
			return
		}
	}
}
