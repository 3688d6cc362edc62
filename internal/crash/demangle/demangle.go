// Package demangle gives functions of C++ and Rust the names they have in the
// source. It is for backtraces, so the parameters of a C++ function are left out,
// and what a backtrace never shows (expressions in template arguments, most of
// all) is not translated: such a name stays as it is.
package demangle

import "strings"

const (
	maxInput  = 4 << 10
	maxOutput = 4 << 10 // back references could make much out of little
	maxDepth  = 96
	maxSteps  = 1 << 14
)

// Name translates a symbol. What is not mangled, or not understood, comes back
// unchanged.
func Name(symbol string) string {
	if len(symbol) > maxInput {
		return symbol
	}
	// Compilers mark the parts they have split functions into.
	plain, clone := symbol, ""
	if i := strings.IndexByte(symbol, '.'); i > 0 && !strings.Contains(symbol, "..") && !rustLegacy(symbol) {
		plain, clone = symbol[:i], " [clone "+symbol[i:]+"]"
	}
	var name string
	var ok bool
	switch {
	case strings.HasPrefix(plain, "_R"):
		name, ok = rust(plain[2:])
	case rustLegacy(symbol):
		return legacy(symbol)
	case strings.HasPrefix(plain, "_Z"):
		name, ok = cpp(plain[2:])
	}
	if !ok {
		return symbol
	}
	return name + clone
}

// A scanner goes through a symbol. Once it has failed it stays failed. What is
// called in many places is not inlined, for the size of the binary.
type scanner struct {
	s      string
	pos    int
	depth  int
	steps  int
	failed bool
}

//go:noinline
func (s *scanner) fail() string {
	s.failed = true
	s.pos = len(s.s)
	return ""
}

// enter counts the nesting. Each enter has its leave.
//
//go:noinline
func (s *scanner) enter() bool {
	s.depth++
	s.steps++
	if s.depth > maxDepth || s.steps > maxSteps {
		s.fail()
	}
	return !s.failed
}

//go:noinline
func (s *scanner) leave() { s.depth-- }

// peek is the next byte, 0 at the end.
//
//go:noinline
func (s *scanner) peek() byte { return s.ahead(0) }

//go:noinline
func (s *scanner) ahead(n int) byte {
	if s.pos+n < len(s.s) {
		return s.s[s.pos+n]
	}
	return 0
}

//go:noinline
func (s *scanner) next() byte {
	b := s.peek()
	if s.pos < len(s.s) {
		s.pos++
	} else {
		s.failed = true
	}
	return b
}

// eat passes over text, if that comes next.
//
//go:noinline
func (s *scanner) eat(text string) bool {
	if strings.HasPrefix(s.s[s.pos:], text) {
		s.pos += len(text)
		return true
	}
	return false
}

// named is what a table has for a key, empty if it has nothing.
func named(table string, key ...byte) string {
	_, rest, _ := strings.Cut(table, "\n"+string(key)+" ")
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// number reads a decimal number; an absent one is 0. No digit follows a leading
// zero.
func (s *scanner) number() int {
	if s.eat("0") {
		return 0
	}
	n := 0
	for digit(s.peek()) {
		n = n*10 + int(s.next()-'0')
		if n > 1<<20 {
			s.fail()
			return 0
		}
	}
	return n
}

// bytes reads n bytes.
func (s *scanner) bytes(n int) string {
	if n < 0 || n > len(s.s)-s.pos {
		return s.fail()
	}
	s.pos += n
	return s.s[s.pos-n : s.pos]
}

// check fails if text has become too long, and returns it.
//
//go:noinline
func (s *scanner) check(text string) string {
	if len(text) > maxOutput {
		return s.fail()
	}
	return text
}
