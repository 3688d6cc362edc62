// Package jsontext reads and writes JSON text (RFC 8259).
package jsontext

import "bytes"

// MaxDepth is how deep arrays and objects may nest. What nests deeper is refused, so
// that no reader is made to recurse without end.
const MaxDepth = 256

// A Scanner reads JSON as strictly as encoding/json does, without allocating. Text
// is what it reads and At the offset that it has come to. A method that returns
// false for ok has found what is no JSON.
type Scanner struct {
	Text []byte
	At   int
}

// Space skips white space.
func (s *Scanner) Space() {
	for s.At < len(s.Text) {
		switch s.Text[s.At] {
		case ' ', '\t', '\n', '\r':
			s.At++
		default:
			return
		}
	}
}

// Take skips c, if it is c that comes.
func (s *Scanner) Take(c byte) bool {
	if s.At < len(s.Text) && s.Text[s.At] == c {
		s.At++
		return true
	}
	return false
}

// End says whether nothing but white space is left.
func (s *Scanner) End() bool {
	s.Space()
	return s.At == len(s.Text)
}

// name reads the name of a member and its colon.
func (s *Scanner) name() bool {
	if _, ok := s.Quoted(); !ok {
		return false
	}
	s.Space()
	return s.Take(':')
}

// Quoted reads a string with its quotes. escaped says that there is a backslash
// in it.
func (s *Scanner) Quoted() (escaped, ok bool) {
	if !s.Take('"') {
		return false, false
	}
	for i := s.At; i < len(s.Text); i++ {
		switch c := s.Text[i]; {
		case c == '"':
			s.At = i + 1
			return escaped, true
		case c < ' ':
			return escaped, false
		case c == '\\':
			escaped = true
			s.At = i + 1
			if !s.escape() {
				return escaped, false
			}
			i = s.At - 1
		}
	}
	s.At = len(s.Text)
	return escaped, false
}

// escape reads what follows a backslash.
func (s *Scanner) escape() bool {
	if s.At >= len(s.Text) {
		return false
	}
	switch s.Text[s.At] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.At++
		return true
	case 'u':
		s.At++
		for range 4 {
			if s.At >= len(s.Text) || hex(s.Text[s.At]) < 0 {
				return false
			}
			s.At++
		}
		return true
	}
	return false
}

// hex is the value of a hexadecimal digit, -1 of anything else.
func hex(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

// Value reads a value of any kind.
func (s *Scanner) Value() bool {
	var objects [MaxDepth / 64]uint64 // a bit a level: an object, not an array
	for depth := 0; ; {
		// Here a value begins.
		s.Space()
		if s.At < len(s.Text) && (s.Text[s.At] == '{' || s.Text[s.At] == '[') {
			isObject := s.Text[s.At] == '{'
			s.At++
			if depth == MaxDepth {
				return false
			}
			s.Space()
			if isObject && !s.Take('}') || !isObject && !s.Take(']') {
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
			}
		} else if !s.scalar() {
			return false
		}
		// Here one has ended.
		for ; depth > 0; depth-- {
			isObject := objects[(depth-1)/64]>>((depth-1)%64)&1 != 0
			s.Space()
			if s.Take(',') {
				s.Space()
				if isObject {
					if !s.name() {
						return false
					}
				}
				break
			}
			if isObject && !s.Take('}') || !isObject && !s.Take(']') {
				return false
			}
		}
		if depth == 0 {
			return true
		}
	}
}

// scalar reads a value that is no array and no object.
func (s *Scanner) scalar() bool {
	if s.At < len(s.Text) {
		switch c := s.Text[s.At]; {
		case c == '"':
			_, ok := s.Quoted()
			return ok
		case c == '-' || c >= '0' && c <= '9':
			return s.number()
		case c == 't':
			return s.word("true")
		case c == 'f':
			return s.word("false")
		case c == 'n':
			return s.word("null")
		}
	}
	return false
}

func (s *Scanner) word(word string) bool {
	if !bytes.HasPrefix(s.Text[s.At:], []byte(word)) {
		return false
	}
	s.At += len(word)
	return true
}

func (s *Scanner) number() bool {
	s.Take('-')
	if !s.Take('0') && !s.digits() {
		return false
	}
	if s.Take('.') && !s.digits() {
		return false
	}
	if s.Take('e') || s.Take('E') {
		_ = s.Take('+') || s.Take('-')
		return s.digits()
	}
	return true
}

// digits reads digits, one at least.
func (s *Scanner) digits() bool {
	from := s.At
	for s.At < len(s.Text) && s.Text[s.At] >= '0' && s.Text[s.At] <= '9' {
		s.At++
	}
	return s.At > from
}
