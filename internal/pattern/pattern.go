// Package pattern says whether a regular expression is found in a text, and no more:
// not where, and not what its groups are. That is what a person who searches a log asks.
//
// A pattern is of RE2 syntax (https://golang.org/s/re2syntax) and means what it means
// in package regexp, also in a text that is not UTF-8: a byte that is not is the
// character U+FFFD. Only \p{…} and \P{…} are not supported: they need large tables. A
// pattern has at most 16 KiB and, with what is repeated written out, some 10,000
// characters, and groups in groups are at most 100 deep.
package pattern

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// A Pattern is a program for a machine that is in many states at once, so the time
// that a text takes grows with its length times the size of the pattern, and
// with nothing else. It is for one goroutine at a time.
type Pattern struct {
	literal    []byte // the pattern, if there is no program
	prog       []inst
	sets       []rune // see has
	now, later states
}

// An inst is an instruction. Where it is passed, the one behind it is next.
type inst struct {
	op op
	x  int32
}

type op int32

const (
	opFound     op = iota
	opJump         // go on x further, and nowhere else
	opSplit        // go on x further, too
	opRune         // passed by the character x
	opSet          // passed by a character of the set that begins at sets[x]
	opBeginText    // this and those below are passed by a place in the text
	opBeginLine
	opEndText
	opEndLine
	opWordEdge
	opNoWordEdge
)

// Match reports whether the pattern is found in text.
func (p *Pattern) Match(text []byte) bool {
	if p.prog == nil {
		return bytes.Contains(text, p.literal)
	}
	now, next := &p.now, &p.later
	now.list = now.list[:0]
	before := rune(-1)
	for {
		r, size := rune(-1), 0
		if len(text) > 0 {
			r, size = rune(text[0]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRune(text)
			}
		}
		// The instructions that this place passes, a bit each.
		places := 1<<opSplit | 1<<opNoWordEdge
		if isWord(before) != isWord(r) {
			places = 1<<opSplit | 1<<opWordEdge
		}
		switch before {
		case -1:
			places |= 1<<opBeginText | 1<<opBeginLine
		case '\n':
			places |= 1 << opBeginLine
		}
		switch r {
		case -1:
			places |= 1<<opEndText | 1<<opEndLine
		case '\n':
			places |= 1 << opEndLine
		}
		now.add(0) // it may begin anywhere
		next.list = next.list[:0]
		for i := 0; i < len(now.list); i++ {
			pc := int(now.list[i])
			in := p.prog[pc]
			switch in.op {
			case opFound:
				return true
			case opJump, opSplit:
				now.add(pc + int(in.x))
			case opRune:
				if r == in.x {
					next.add(pc + 1)
				}
			case opSet:
				if r >= 0 && has(p.sets[in.x:], r) {
					next.add(pc + 1)
				}
			}
			if places>>in.op&1 != 0 {
				now.add(pc + 1)
			}
		}
		if r < 0 || len(next.list) == 0 && p.prog[0].op == opBeginText {
			return false
		}
		text = text[size:]
		before = r
		now, next = next, now
	}
}

// states is a set of instructions. at[pc] is where pc stands in list; if it does not
// stand there, it is not in the set, so that nothing has to be cleared.
type states struct{ list, at []uint16 }

func (s *states) add(pc int) {
	if at := int(s.at[pc]); at >= len(s.list) || int(s.list[at]) != pc {
		s.at[pc] = uint16(len(s.list))
		s.list = append(s.list, uint16(pc))
	}
}

// isWord reports whether r is in \w.
func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
}

// What the first number of a set says, together with its length.
const (
	folded   = 1 << iota // upper and lower case are the same
	inverted             // it is what is not in it
	setBits  = iota
)

// has reports whether r is in a set: its length and kind, and the first and the last
// character of each range. A negative number has the number of ranges behind it that
// r is in none of.
func has(set []rune, r rune) bool {
	kind := set[0]
	set = set[1 : 1+kind>>setBits]
	in := false
	for len(set) > 0 && !in {
		n := 2
		not := set[0] < 0
		if not {
			n = -2 * int(set[0])
			set = set[1:]
		}
		in = within(set[:n], r, kind&folded != 0) != not
		set = set[n:]
	}
	return in != (kind&inverted != 0)
}

// within reports whether r is in one of the ranges, or, if fold is set, what is r but for
// its case.
func within(ranges []rune, r rune, fold bool) bool {
	for c := r; ; {
		for i := 0; i < len(ranges); i += 2 {
			if ranges[i] <= c && c <= ranges[i+1] {
				return true
			}
		}
		if !fold {
			return false
		}
		if c = unicode.SimpleFold(c); c == r {
			return false
		}
	}
}
