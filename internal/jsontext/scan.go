// Package jsontext reads and writes JSON text (RFC 8259).
package jsontext

import "bytes"

// MaxDepth is how deep arrays and objects may nest, so that no reader recurses without end.
const MaxDepth = 256

// A Scanner reads JSON as strictly as encoding/json does, without allocating. A method that
// returns false for ok has found invalid JSON.
type Scanner struct {
	Text []byte
	At   int // offset of the next byte
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

// Accept skips c if it is the next byte.
func (s *Scanner) Accept(c byte) bool {
	if s.At < len(s.Text) && s.Text[s.At] == c {
		s.At++
		return true
	}
	return false
}

// End reports whether nothing but white space is left.
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
	return s.Accept(':')
}

// Quoted reads a string with its quotes. escaped: it has a backslash in it.
func (s *Scanner) Quoted() (escaped, ok bool) {
	if !s.Accept('"') {
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

// escape reads the rest of an escape sequence, behind its backslash.
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

// hex returns the value of a hexadecimal digit, or -1.
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
func (s *Scanner) Value() bool { return s.value(0) }

// value reads a value inside of depth arrays and objects.
func (s *Scanner) value(depth int) bool {
	s.Space()
	if s.At >= len(s.Text) {
		return false
	}
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
	case c == '{':
		return s.nested('}', depth)
	case c == '[':
		return s.nested(']', depth)
	}
	return false
}

// nested reads an object or array up to its end, } or ].
func (s *Scanner) nested(end byte, depth int) bool {
	if depth == MaxDepth {
		return false
	}
	s.At++
	s.Space()
	if s.Accept(end) {
		return true
	}
	for {
		if end == '}' && !s.name() || !s.value(depth+1) {
			return false
		}
		s.Space()
		if s.Accept(end) {
			return true
		}
		if !s.Accept(',') {
			return false
		}
		s.Space()
	}
}

func (s *Scanner) word(word string) bool {
	if !bytes.HasPrefix(s.Text[s.At:], []byte(word)) {
		return false
	}
	s.At += len(word)
	return true
}

func (s *Scanner) number() bool {
	s.Accept('-')
	if !s.Accept('0') && !s.digits() {
		return false
	}
	if s.Accept('.') && !s.digits() {
		return false
	}
	if s.Accept('e') || s.Accept('E') {
		_ = s.Accept('+') || s.Accept('-')
		return s.digits()
	}
	return true
}

// digits reads one or more digits.
func (s *Scanner) digits() bool {
	from := s.At
	for s.At < len(s.Text) && s.Text[s.At] >= '0' && s.Text[s.At] <= '9' {
		s.At++
	}
	return s.At > from
}
