package corefile

// A source has bytes at addresses: a file, at its offsets, or a process's memory.
type source interface {
	// readAt fills p from off on and returns the number of bytes read.
	readAt(p []byte, off uint64) int
}

// A cursor reads little-endian values from a source, from pos to before end. A read past the
// end, or of missing bytes, sets bad and yields zeroes from then on: loops over a cursor must
// check bad.
type cursor struct {
	src      source
	pos, end uint64
	bad      bool

	window [256]byte
	from   uint64 // offset of the window
	filled int    // valid bytes in the window
}

// at returns a cursor over n bytes from off on. A range that wraps around is empty.
func at(src source, off, n uint64) *cursor {
	end := off + n
	if end < off {
		end = off
	}
	return &cursor{src: src, pos: off, end: end}
}

func (c *cursor) left() uint64 {
	if c.bad || c.pos >= c.end {
		return 0
	}
	return c.end - c.pos
}

// seek moves to pos, which must not be beyond the end.
func (c *cursor) seek(pos uint64) {
	if pos > c.end {
		c.bad = true
		return
	}
	c.pos = pos
}

// skip moves on by n bytes.
func (c *cursor) skip(n uint64) {
	if n > c.left() {
		c.bad = true
		return
	}
	c.pos += n
}

// next returns the next n bytes, at most 16, valid until the next call.
func (c *cursor) next(n int) []byte {
	if uint64(n) > c.left() {
		c.bad = true
		return zeroes[:n]
	}
	if c.pos < c.from || c.pos+uint64(n) > c.from+uint64(c.filled) {
		want := min(uint64(len(c.window)), c.end-c.pos)
		c.from = c.pos
		c.filled = c.src.readAt(c.window[:want], c.pos)
		if c.filled < n {
			c.bad = true
			return zeroes[:n]
		}
	}
	b := c.window[c.pos-c.from:][:n]
	c.pos += uint64(n)
	return b
}

var zeroes [16]byte

func (c *cursor) u8() uint8 { return c.next(1)[0] }

func (c *cursor) u16() uint16 { return le.Uint16(c.next(2)) }

func (c *cursor) u32() uint32 { return le.Uint32(c.next(4)) }

func (c *cursor) u64() uint64 { return le.Uint64(c.next(8)) }

// uint reads size bytes, 1 to 8.
func (c *cursor) uint(size int) uint64 {
	var v uint64
	for i, b := range c.next(size) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// signed reads size bytes, 1 to 8, and extends the sign.
func (c *cursor) signed(size int) uint64 {
	unused := 64 - 8*size
	return uint64(int64(c.uint(size)<<unused) >> unused)
}

// block skips a length and as many bytes, and returns the range of those bytes.
func (c *cursor) block() (from, to uint64) {
	n := c.uleb()
	from = c.pos
	c.skip(n)
	return from, c.pos
}

// uleb reads a number in the unsigned form of LEB128. Bits beyond 64 are lost.
func (c *cursor) uleb() uint64 {
	var v uint64
	for shift := 0; ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			return v
		}
	}
}

// sleb reads a number in the signed form of LEB128.
func (c *cursor) sleb() int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			v |= int64(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// text reads a string with its zero byte, and returns at most its first limit bytes.
func (c *cursor) text(limit int) string {
	var b []byte
	for {
		ch := c.u8()
		if ch == 0 {
			return string(b)
		}
		if len(b) < limit {
			b = append(b, ch)
		}
	}
}

// unitLength reads the length that begins a unit of DWARF, and says whether the
// unit's offsets have 64 bits.
func (c *cursor) unitLength() (length uint64, wide bool) {
	n := c.u32()
	if n == 0xffffffff {
		return c.u64(), true
	}
	if n >= 0xfffffff0 {
		c.bad = true
	}
	return uint64(n), false
}

// offset reads an offset of DWARF.
func (c *cursor) offset(wide bool) uint64 {
	if wide {
		return c.u64()
	}
	return uint64(c.u32())
}

// textAt reads the string at off, or its first limit bytes.
func textAt(src source, off uint64, limit int) string {
	return at(src, off, uint64(limit)+1).text(limit)
}

// bytesSource is a source of bytes in memory. Reads cost budget, too: the budget bounds the
// work.
type bytesSource struct {
	c *Core
	b []byte
}

func (s *bytesSource) readAt(p []byte, off uint64) int {
	if off >= uint64(len(s.b)) || !s.c.spend(len(p)) {
		return 0
	}
	return copy(p, s.b[off:])
}
