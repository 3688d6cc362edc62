package pattern

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxBytes = 16 << 10
	maxInsts = 10_000
	maxDepth = 100  // of groups in groups
	maxTimes = 1000 // of {n,m}, of those inside of each other the product; as in RE2
)

// Compile reads a pattern. The error says what is wrong and at which of its characters,
// the first of which is 1; for what is not supported it says what to use.
func Compile(s string) (*Pattern, error) {
	p := &parser{s: s}
	if len(s) > maxBytes {
		p.fail("more than 16 KiB", maxBytes)
	}
	p.alternatives()
	if p.wrong == "" && !p.isLiteral() {
		p.emit(opFound, 0)
		p.now.at = make([]uint16, len(p.prog))
		p.later.at = make([]uint16, len(p.prog))
	}
	if p.wrong != "" {
		return nil, errors.New(p.wrong + " at character " + strconv.Itoa(utf8.RuneCountInString(s[:p.at])+1))
	}
	return &p.Pattern, nil
}

// A parser writes the program while it reads. Jumps are relative, so a part of the
// program that is whole can be moved and copied.
type parser struct {
	Pattern
	s     string
	i     int // where in s
	flags flags
	depth int
	wrong string // what is wrong with what begins at the byte at
	at    int
}

type flags int

// In the order of flagLetters.
const (
	foldCase flags = 1 << iota
	multiLine
	dotAll
)

const flagLetters = "imsU" // U decides what is found, not whether

// fail ends the reading: what begins at the byte at is wrong.
func (p *parser) fail(what string, at int) {
	if p.wrong == "" {
		p.wrong, p.at = what, at
	}
	p.i = len(p.s)
}

// unsupported is fail for what there may be elsewhere.
func (p *parser) unsupported(at int) {
	p.fail("no "+p.s[at:p.i]+" here (wrapp logs ... | grep -P may have it)", at)
}

// next reads a character; it is -1 at the end.
func (p *parser) next() rune {
	if p.i == len(p.s) {
		return -1
	}
	r, size := utf8.DecodeRuneInString(p.s[p.i:])
	if r == utf8.RuneError && size == 1 {
		p.fail("no UTF-8", p.i)
		return -1
	}
	p.i += size
	return r
}

// skip reads what, if it is next.
func (p *parser) skip(what string) bool {
	ok := strings.HasPrefix(p.s[p.i:], what)
	if ok {
		p.i += len(what)
	}
	return ok
}

// alternatives reads up to the end or that of the group. It returns how often the
// repetitions in it repeat something.
func (p *parser) alternatives() (times int) {
	times = 1
	begin := len(p.prog) // of the alternative
	end := -1            // the jump behind the last alternative; its x is the one before, until all is read
	atom := -1           // the beginning of what can be repeated
	inner := 1           // times of it
	repeated := false
	for p.i < len(p.s) && (p.depth == 0 || p.s[p.i] != ')') {
		at := p.i
		c := p.next()
		if low, high, ok := p.repetition(c); ok {
			if inner = p.repeat(atom, low, high, inner); atom < 0 || repeated {
				p.fail("nothing to repeat", at)
			} else if inner > maxTimes {
				p.fail(p.s[at:p.i]+" is from more to less, or more than 1000 times in all,", at)
			}
			repeated = true
			continue
		}
		times = max(times, inner)
		repeated = false
		switch c {
		case '(':
			flags := p.flags
			if !p.group(at) {
				continue // what is before it can still be repeated
			}
			if p.depth++; p.depth > maxDepth {
				p.fail("too many groups in groups", at)
			}
			atom = len(p.prog)
			inner = p.alternatives()
			p.depth--
			p.flags = flags
			if !p.skip(")") {
				p.fail("missing closing ) for the group", at)
			}
		case ')':
			p.fail("unexpected )", at)
		case '|':
			n := int32(len(p.prog) - begin)
			p.emit(opJump, end)
			p.emit(opSplit, 0)
			if p.wrong == "" {
				copy(p.prog[begin+1:], p.prog[begin:])
				p.prog[begin] = inst{opSplit, n + 2}
				begin = len(p.prog)
				end, atom = begin-1, -1
			}
		case '\\':
			if p.skip("Q") {
				text, _, _ := strings.Cut(p.s[p.i:], `\E`)
				for stop := p.i + len(text); p.i < stop; {
					atom, inner = len(p.prog), 1
					p.rune(p.next())
				}
				p.skip(`\E`)
				continue
			}
			fallthrough
		default:
			atom, inner = len(p.prog), 1
			p.single(c, at)
		}
	}
	for end >= 0 {
		before := int(p.prog[end].x)
		p.prog[end].x = int32(len(p.prog) - end)
		end = before
	}
	return max(times, inner)
}

// group reads what is behind a ( and reports whether it is in front of a group; else it
// sets flags.
func (p *parser) group(at int) bool {
	if !p.skip("?") {
		return true
	}
	if p.skip("P<") || p.skip("<") {
		c, n := p.next(), 0
		for ; isWord(c); c = p.next() {
			n++
		}
		if c == '>' && n > 0 {
			return true
		}
		p.unsupported(at)
		return false
	}
	flags, minus, empty := p.flags, false, false
	for {
		c := p.next()
		if k := strings.IndexRune(flagLetters, c); k >= 0 {
			flags |= 1 << k
			if minus {
				flags &^= 1 << k
			}
			empty = false
		} else if c == '-' && !minus {
			minus, empty = true, true
		} else if (c == ':' || c == ')') && !empty {
			p.flags = flags
			return c == ':'
		} else {
			p.unsupported(at)
			return false
		}
	}
}

// repetition reads a repetition that begins with c, if it is one. There is no most if
// high is negative; what is lazy is so for nothing.
func (p *parser) repetition(c rune) (low, high int, ok bool) {
	switch c {
	case '*':
		high = -1
	case '+':
		low, high = 1, -1
	case '?':
		high = 1
	case '{':
		at := p.i
		if low, ok = p.number(); ok {
			if high = low; p.skip(",") {
				if high = -1; p.i < len(p.s) && p.s[p.i] != '}' {
					high, ok = p.number()
				}
			}
		}
		if !ok || !p.skip("}") {
			p.i = at // it stands for itself
			return 0, 0, false
		}
	default:
		return 0, 0, false
	}
	p.skip("?")
	return low, high, true
}

// number reads a number without zeros in front; one too large is 1001.
func (p *parser) number() (n int, ok bool) {
	at := p.i
	for ; p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9'; p.i++ {
		n = min(10*n+int(p.s[p.i]-'0'), maxTimes+1)
	}
	return n, p.i == at+1 || p.i > at && p.s[at] != '0'
}

// repeat has the program from atom on, which repeats something inner times, repeated,
// and returns how often it does so then.
func (p *parser) repeat(atom, low, high, inner int) int {
	count := max(low, high)
	if high >= 0 && low > high || count > maxTimes {
		return maxTimes + 1
	}
	if atom < 0 || p.wrong != "" {
		return inner
	}
	if count > 0 {
		inner *= count
	} else if high == 0 {
		inner = 1
	}
	code := append([]inst(nil), p.prog[atom:]...)
	p.prog = p.prog[:atom]
	for i := range count {
		if i >= low {
			p.emit(opSplit, len(code)+1)
		}
		p.emitAll(code)
	}
	if high < 0 && low == 0 {
		p.emit(opSplit, len(code)+2)
		p.emitAll(code)
		p.emit(opJump, -len(code)-1)
	} else if high < 0 {
		p.emit(opSplit, -len(code))
	}
	return inner
}

func (p *parser) emit(op op, x int) { p.emitAll([]inst{{op, int32(x)}}) }

func (p *parser) emitAll(code []inst) {
	if len(p.prog)+len(code) > maxInsts {
		p.fail("the pattern is too large", p.i)
	} else {
		p.prog = append(p.prog, code...)
	}
}

// rune writes an instruction for a character.
func (p *parser) rune(r rune) {
	if p.flags&foldCase != 0 && unicode.SimpleFold(r) != r {
		set := len(p.sets)
		p.put(0, r, r)
		p.set(set, 0)
	} else {
		p.emit(opRune, int(r))
	}
}

// single writes an instruction for what begins with c and is neither an alternative nor a
// group nor a repetition.
func (p *parser) single(c rune, at int) {
	op := opRune
	switch c {
	case '^':
		op = opBeginText
	case '$':
		op = opEndText
	case '.':
		set := len(p.sets)
		p.put(0)
		if p.flags&dotAll == 0 {
			p.put('\n', '\n')
		}
		p.set(set, inverted)
		return
	case '[':
		p.members(at)
		return
	case '\\':
		switch {
		case p.skip("A"):
			op = opBeginText
		case p.skip("z"):
			op = opEndText
		case p.skip("b"):
			op = opWordEdge
		case p.skip("B"):
			op = opNoWordEdge
		default:
			set := len(p.sets)
			p.put(0) // which stays unused if there is no set
			if p.perl() {
				p.set(set, 0)
			} else {
				p.rune(p.escaped(at))
			}
			return
		}
	default:
		p.rune(c)
		return
	}
	if c != '\\' && p.flags&multiLine != 0 {
		op++
	}
	p.emit(op, 0)
}

// isLiteral reports whether the pattern stands for one text, and has it instead of the
// program. A byte that is not UTF-8 is U+FFFD to a program only.
func (p *parser) isLiteral() bool {
	var text []byte
	for _, in := range p.prog {
		if in.op != opRune || in.x == utf8.RuneError || !utf8.ValidRune(in.x) {
			return false
		}
		text = utf8.AppendRune(text, in.x)
	}
	p.prog, p.literal = nil, text
	return true
}
