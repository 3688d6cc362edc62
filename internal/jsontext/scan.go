// Package jsontext reads and writes JSON text (RFC 8259).
package jsontext

// MaxDepth is how deep arrays and objects may nest. What nests deeper is refused, so
// that no reader is made to recurse without end.
const MaxDepth = 256

// A Scanner reads JSON as strictly as encoding/json does, without allocating. Text
// is what it reads and At the offset that it has come to. A method that returns
// false for ok has found what is no JSON: At is then the byte that does not fit,
// and Problem says what is wrong with it.
type Scanner struct {
	Text    []byte
	At      int
	problem string
	want    byte // the byte that belongs there, 0 if there are several
}

const tooDeep = "nests deeper than 256"

// Problem is what is wrong, once a method has said that something is. It holds
// nothing of Text.
func (s *Scanner) Problem() string {
	switch {
	case s.problem == tooDeep:
		return tooDeep
	case s.At >= len(s.Text):
		return "unexpected end of JSON input"
	case s.want != 0:
		return "invalid character " + s.problem + " (expecting '" + string(rune(s.want)) + "')"
	}
	return "invalid character " + s.problem
}

// fail notes what is wrong with the byte at At.
func (s *Scanner) fail(problem string) bool {
	s.problem = problem
	return false
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
	return s.At == len(s.Text) || s.fail("after top-level value")
}

// Next goes on within an array or object, which end ends: first says that it has
// just begun. more is false when it was at its end, and is read; else Name or a
// value comes.
func (s *Scanner) Next(first bool, end byte) (more, ok bool) {
	s.Space()
	switch {
	case s.Take(end):
		return false, true
	case first:
		return true, true
	case s.Take(','):
		s.Space()
		return true, true
	}
	return false, s.fail(after(end == '}'))
}

func after(isObject bool) string {
	if isObject {
		return "after object key:value pair"
	}
	return "after array element"
}

// Name reads the name of a member and its colon. quoted is the name as it stands.
func (s *Scanner) Name() (quoted []byte, ok bool) {
	start := s.At
	if start >= len(s.Text) || s.Text[start] != '"' {
		return nil, s.fail("looking for beginning of object key string")
	}
	if _, ok := s.Quoted(); !ok {
		return nil, false
	}
	quoted = s.Text[start:s.At]
	s.Space()
	return quoted, s.Take(':') || s.fail("after object key")
}

// Quoted reads a string with its quotes. escaped says that there is a backslash
// in it.
func (s *Scanner) Quoted() (escaped, ok bool) {
	if !s.Take('"') {
		return false, s.fail("looking for beginning of value")
	}
	for i := s.At; i < len(s.Text); i++ {
		switch c := s.Text[i]; {
		case c == '"':
			s.At = i + 1
			return escaped, true
		case c < ' ':
			s.At = i
			return escaped, s.fail("in string literal")
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
				return s.fail(`in \u hexadecimal character escape`)
			}
			s.At++
		}
		return true
	}
	return s.fail("in string escape code")
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
				s.At--
				return s.fail(tooDeep)
			}
			s.Space()
			if isObject && !s.Take('}') || !isObject && !s.Take(']') {
				if isObject {
					objects[depth/64] |= 1 << (depth % 64)
					if _, ok := s.Name(); !ok {
						return false
					}
				} else {
					objects[depth/64] &^= 1 << (depth % 64)
				}
				depth++
				continue
			}
		} else if !s.Scalar() {
			return false
		}
		// Here one has ended.
		for ; depth > 0; depth-- {
			isObject := objects[(depth-1)/64]>>((depth-1)%64)&1 != 0
			s.Space()
			if s.Take(',') {
				s.Space()
				if isObject {
					if _, ok := s.Name(); !ok {
						return false
					}
				}
				break
			}
			if isObject && !s.Take('}') || !isObject && !s.Take(']') {
				return s.fail(after(isObject))
			}
		}
		if depth == 0 {
			return true
		}
	}
}

// Scalar reads a value that is no array and no object.
func (s *Scanner) Scalar() bool {
	if s.At < len(s.Text) {
		switch c := s.Text[s.At]; {
		case c == '"':
			_, ok := s.Quoted()
			return ok
		case c == '-' || c >= '0' && c <= '9':
			return s.number()
		case c == 't':
			return s.word("in literal true")
		case c == 'f':
			return s.word("in literal false")
		case c == 'n':
			return s.word("in literal null")
		}
	}
	return s.fail("looking for beginning of value")
}

// word reads the last word of what, which is the problem if it is not there.
func (s *Scanner) word(what string) bool {
	for i := len("in literal "); i < len(what); i++ {
		if !s.Take(what[i]) {
			s.want = what[i]
			return s.fail(what)
		}
	}
	return true
}

func (s *Scanner) number() bool {
	s.Take('-')
	if !s.Take('0') && !s.digits() {
		return s.fail("in numeric literal")
	}
	if s.Take('.') && !s.digits() {
		return s.fail("after decimal point in numeric literal")
	}
	if s.Take('e') || s.Take('E') {
		_ = s.Take('+') || s.Take('-')
		return s.digits() || s.fail("in exponent of numeric literal")
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
