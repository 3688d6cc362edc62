package entry

import "github.com/lpportorino/jettison-base-images/internal/jsontext"

// A member of an object, as offsets into the line. Those of the key exclude its quotes.
type member struct {
	keyStart, keyEnd int
	start, end       int
	escaped          bool // the key has a backslash in it
	used             bool // time, level or msg has its value
}

func (m *member) key(line []byte) []byte   { return line[m.keyStart:m.keyEnd] }
func (m *member) value(line []byte) []byte { return line[m.start:m.end] }

// plain returns the key without escapes.
func (m *member) plain(line []byte) []byte {
	if m.escaped {
		return jsontext.Unquote(line[m.keyStart-1 : m.keyEnd+1])
	}
	return m.key(line)
}

// A scanner reads the members of an object.
type scanner struct{ jsontext.Scanner }

func scan(text []byte) scanner { return scanner{jsontext.Scanner{Text: text}} }

// object appends the members of a line that is a JSON object. ok is false if it is not, or
// nests deeper than jsontext.MaxDepth.
func object(members []member, line []byte) (_ []member, ok bool) {
	s := scan(line)
	if !s.open() {
		return members, false
	}
	for first := true; ; first = false {
		m, more, ok := s.member(first)
		if !ok {
			return members, false
		}
		if !more {
			return members, s.End()
		}
		members = append(members, m)
	}
}

// open reads the opening brace of an object.
func (s *scanner) open() bool {
	s.Space()
	return s.Accept('{')
}

// member reads the next member, and the comma before it. more is false at the object's end.
// It is one function because calls to smaller ones make finding a level 7 % slower.
func (s *scanner) member(first bool) (m member, more, ok bool) {
	s.Space()
	if s.Accept('}') {
		return m, false, true
	}
	if !first {
		if !s.Accept(',') {
			return m, false, false
		}
		s.Space()
	}
	m.keyStart = s.At + 1
	if m.escaped, ok = s.Quoted(); !ok {
		return m, false, false
	}
	m.keyEnd = s.At - 1
	s.Space()
	if !s.Accept(':') {
		return m, false, false
	}
	s.Space()
	m.start = s.At
	if !s.Value() {
		return m, false, false
	}
	m.end = s.At
	return m, true, true
}
