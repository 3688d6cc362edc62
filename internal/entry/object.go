package entry

import "bytes"

// maxDepth is how deep an app's JSON may nest. What is deeper is text, so that
// no reader of ours is made to recurse.
const maxDepth = 256

// A member of an object, as offsets into the line. The key's are those of what
// is between its quotes.
type member struct {
	keyStart, keyEnd int
	start, end       int
	escaped          bool // the key has a backslash in it
	taken            bool // time, level or msg says it
}

func (m *member) key(line []byte) []byte   { return line[m.keyStart:m.keyEnd] }
func (m *member) value(line []byte) []byte { return line[m.start:m.end] }

// plain is the key without escapes.
func (m *member) plain(line []byte) []byte {
	if m.escaped {
		return unquote(line[m.keyStart-1 : m.keyEnd+1])
	}
	return m.key(line)
}

// A scanner reads JSON (RFC 8259) as strictly as encoding/json does, without
// allocating. i is where it is.
type scanner struct {
	b []byte
	i int
}

// object appends the members of the one JSON object that line is. ok is false
// if it is anything else.
func object(members []member, line []byte) (_ []member, ok bool) {
	s := scanner{b: line}
	if !s.open() {
		return members, false
	}
	for first := true; ; first = false {
		m, more, ok := s.member(first)
		if !ok {
			return members, false
		}
		if !more {
			s.space()
			return members, s.i == len(s.b)
		}
		members = append(members, m)
	}
}

// open reads what an object begins with.
func (s *scanner) open() bool {
	s.space()
	return s.take('{')
}

// member reads the next member, and the comma before it. more is false at the
// object's end.
func (s *scanner) member(first bool) (m member, more, ok bool) {
	s.space()
	if s.take('}') {
		return m, false, true
	}
	if !first {
		if !s.take(',') {
			return m, false, false
		}
		s.space()
	}
	m.keyStart = s.i + 1
	if m.escaped, ok = s.text(); !ok {
		return m, false, false
	}
	m.keyEnd = s.i - 1
	s.space()
	if !s.take(':') {
		return m, false, false
	}
	s.space()
	m.start = s.i
	if !s.value() {
		return m, false, false
	}
	m.end = s.i
	return m, true, true
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// text reads a string with its quotes.
func (s *scanner) text() (escaped, ok bool) {
	if !s.take('"') {
		return false, false
	}
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return escaped, true
		case c < ' ':
			return escaped, false
		case c == '\\':
			escaped = true
			if s.i == len(s.b) {
				return escaped, false
			}
			c = s.b[s.i]
			s.i++
			if c == 'u' {
				for range 4 {
					if s.i == len(s.b) || !isHex(s.b[s.i]) {
						return escaped, false
					}
					s.i++
				}
			} else if bytes.IndexByte([]byte(`"\/bfnrt`), c) < 0 {
				return escaped, false
			}
		}
	}
	return escaped, false
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// value reads a value of any kind.
func (s *scanner) value() bool {
	var objects [maxDepth / 64]uint64 // a bit a level: an object, not an array
	for depth := 0; ; {
		// Here a value begins.
		s.space()
		switch {
		case s.i == len(s.b):
			return false
		case s.b[s.i] == '{' || s.b[s.i] == '[':
			if depth == maxDepth {
				return false
			}
			isObject := s.b[s.i] == '{'
			s.i++
			s.space()
			if isObject && s.take('}') || !isObject && s.take(']') {
				break
			}
			if isObject {
				objects[depth/64] |= 1 << (depth % 64)
				if !s.name() {
					return false
				}
			} else {
				objects[depth/64] &^= 1 << (depth % 64)
			}
			depth++
			continue
		case s.b[s.i] == '"':
			if _, ok := s.text(); !ok {
				return false
			}
		default:
			if !s.literal() && !s.number() {
				return false
			}
		}
		// Here one has ended.
		for ; depth > 0; depth-- {
			isObject := objects[(depth-1)/64]>>((depth-1)%64)&1 != 0
			s.space()
			if s.take(',') {
				s.space()
				if isObject && !s.name() {
					return false
				}
				break
			}
			if isObject && !s.take('}') || !isObject && !s.take(']') {
				return false
			}
		}
		if depth == 0 {
			return true
		}
	}
}

// name reads a key and its colon.
func (s *scanner) name() bool {
	if _, ok := s.text(); !ok {
		return false
	}
	s.space()
	return s.take(':')
}

func (s *scanner) literal() bool {
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			s.i += len(word)
			return true
		}
	}
	return false
}

func (s *scanner) number() bool {
	s.take('-')
	n := digits(s.b[s.i:])
	if n == 0 || n > 1 && s.b[s.i] == '0' {
		return false
	}
	s.i += n
	if s.take('.') {
		if n = digits(s.b[s.i:]); n == 0 {
			return false
		}
		s.i += n
	}
	if s.take('e') || s.take('E') {
		_ = s.take('+') || s.take('-')
		if n = digits(s.b[s.i:]); n == 0 {
			return false
		}
		s.i += n
	}
	return true
}
