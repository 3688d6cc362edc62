package corefile

// attr reads an attribute. One of a form that is not known makes the cursor bad,
// as nobody can say how long it is.
func (t *lineTable) attr(cur *cursor, u *unit, s spec) attr {
	v := attr{form: s.form}
	if v.form == 0x16 { // indirect
		v.form = uint16(min(cur.uleb(), 0xffff))
	}
	switch v.form {
	case 0x0b, 0x0c, 0x11, 0x25, 0x29: // data1, flag, ref1, strx1, addrx1
		v.u = uint64(cur.u8())
	case 0x05, 0x12, 0x26, 0x2a: // data2, ref2, strx2, addrx2
		v.u = uint64(cur.u16())
	case 0x27, 0x2b: // strx3, addrx3
		v.u = cur.uint(3)
	case 0x06, 0x13, 0x28, 0x2c, 0x1c: // data4, ref4, strx4, addrx4, ref_sup4
		v.u = uint64(cur.u32())
	case 0x01, 0x07, 0x14, 0x20, 0x24: // addr, data8, ref8, ref_sig8, ref_sup8
		v.u = cur.u64()
	case 0x1e: // data16
		cur.skip(16)
	case 0x0d: // sdata
		v.u = uint64(cur.sleb())
	case 0x0f, 0x15, 0x1a, 0x1b, 0x22, 0x23: // udata, ref_udata, strx, addrx, loclistx, rnglistx
		v.u = cur.uleb()
	case 0x0e, 0x17, 0x1d, 0x1f, 0x1f20, 0x1f21: // strp, sec_offset, strp_sup, line_strp, and GNU's
		v.u = cur.offset(u.wide)
	case 0x10: // ref_addr
		v.u = cur.offset(u.wide || u.version == 2)
	case 0x08: // string
		v.u = cur.pos - t.info.off
		cur.text(0)
	case 0x0a: // block1
		cur.skip(uint64(cur.u8()))
	case 0x03: // block2
		cur.skip(uint64(cur.u16()))
	case 0x04: // block4
		cur.skip(uint64(cur.u32()))
	case 0x09, 0x18: // block, exprloc
		cur.skip(cur.uleb())
	case 0x19: // flag_present
		v.u = 1
	case 0x21: // implicit_const
		v.u = uint64(s.implicit)
	default:
		cur.bad = true
	}
	return v
}

// address is the address that an attribute stands for.
func (t *lineTable) address(u *unit, v attr) uint64 {
	switch v.form {
	case 0x1b, 0x29, 0x2a, 0x2b, 0x2c:
		return t.addressAt(u, v.u)
	}
	return v.u
}

func (t *lineTable) addressAt(u *unit, index uint64) uint64 {
	if index > t.addr.size {
		return 0
	}
	cur := t.addr.from(u.addrBase + index*8)
	return cur.u64()
}

// text is the string that an attribute stands for.
func (t *lineTable) text(u *unit, v attr) string {
	switch v.form {
	case 0x08:
		return t.info.text(v.u, maxName)
	case 0x0e:
		return t.str.text(v.u, maxName)
	case 0x1f:
		return t.lineStr.text(v.u, maxName)
	case 0x1a, 0x25, 0x26, 0x27, 0x28:
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

// eachRange goes through the addresses of an entry.
func (t *lineTable) eachRange(u *unit, low, high, ranges attr, yield func(low, high uint64) bool) {
	if high.form != 0 {
		from := t.address(u, low)
		to := t.address(u, high)
		if high.form != 0x01 && (high.form < 0x29 || high.form > 0x2c) && high.form != 0x1b {
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
	if ranges.form == 0x23 { // an index into the offsets at rngBase
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
		switch kind := cur.u8(); kind {
		case 1: // base_addressx
			base = t.addressAt(u, cur.uleb())
			continue
		case 2: // startx_endx
			from, to = t.addressAt(u, cur.uleb()), t.addressAt(u, cur.uleb())
		case 3: // startx_length
			from = t.addressAt(u, cur.uleb())
			to = from + cur.uleb()
		case 4: // offset_pair
			from = base + cur.uleb()
			to = base + cur.uleb()
		case 5: // base_address
			base = cur.u64()
			continue
		case 6: // start_end
			from, to = cur.u64(), cur.u64()
		case 7: // start_length
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
