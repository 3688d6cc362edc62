package pattern

import (
	"strings"
	"unicode"
)

// named are the sets that have names inside of a set, each name before its ranges.
const named = "[:alnum:]09AZaz[:alpha:]AZaz[:ascii:]\x00\x7f[:blank:]\t\t  [:cntrl:]\x00\x1f\x7f\x7f" +
	"[:digit:]09[:graph:]!~[:lower:]az[:print:] ~[:punct:]!/:@[`{~[:space:]\t\r  [:upper:]AZ" +
	"[:word:]09AZ__az[:xdigit:]09AFaf[:"

// put writes to a set; the first number, for p.set to write, is 0.
func (p *parser) put(r ...rune) { p.sets = append(p.sets, r...) }

// set ends the set that begins at sets[at], and writes an instruction for it.
func (p *parser) set(at int, kind rune) {
	if p.flags&foldCase != 0 {
		kind |= folded
	}
	p.sets[at] = rune(len(p.sets)-at-1)<<setBits | kind
	p.emit(opSet, at)
}

// add adds to a set what is in ranges, which are of ASCII, or what is not.
func (p *parser) add(ranges string, not bool) {
	if not {
		p.put(-rune(len(ranges) / 2))
	}
	p.put([]rune(ranges)...)
}

// perl reads what follows a \ and adds the set that it is, if it is one.
func (p *parser) perl() bool {
	if p.i == len(p.s) {
		return false
	}
	letter, ranges := p.s[p.i], ""
	switch letter | 0x20 {
	case 'd':
		ranges = "09"
	case 's':
		ranges = "\t\n\f\r  "
	case 'w':
		ranges = "09AZ__az"
	default:
		return false
	}
	p.i++
	p.add(ranges, letter < 'a')
	return true
}

// members reads a set of which the [ is at the byte at.
func (p *parser) members(at int) {
	set, kind := len(p.sets), rune(0)
	p.put(0)
	if p.skip("^") {
		kind = inverted
	}
	for first := true; p.wrong == "" && (first || !p.skip("]")); first = false {
		from := p.i
		if p.skip("[:") {
			if name, _, ok := strings.Cut(p.s[p.i:], ":]"); ok {
				p.i += len(name) + 2
				p.named(name, from)
				continue
			}
			p.i = from
		}
		if p.skip(`\`) {
			if p.perl() {
				continue
			}
			p.i = from
		}
		low := p.member(at)
		high := low
		if rest := p.s[p.i:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.i++
			high = p.member(at)
		}
		if high < low {
			p.fail("a range from high to low", from)
		}
		p.put(low, high)
	}
	p.set(set, kind)
}

// named adds the set that [:name:] at the byte at is.
func (p *parser) named(name string, at int) {
	letters := strings.TrimPrefix(name, "^")
	if _, text, ok := strings.Cut(named, "[:"+letters+":]"); ok {
		text, _, _ = strings.Cut(text, "[:")
		p.add(text, letters != name)
	} else {
		p.unsupported(at)
	}
}

// member reads a character of the set at the byte at.
func (p *parser) member(at int) rune {
	from := p.i
	c := p.next()
	if c == '\\' {
		c = p.escaped(from)
	} else if c < 0 {
		p.fail("missing closing ] for the set", at)
	}
	return c
}

// escaped reads the character that is written with a \ at the byte at.
func (p *parser) escaped(at int) rune {
	c := p.next()
	if c < 0 {
		p.fail("trailing \\", at)
		return c
	}
	if k := strings.IndexRune("afnrtv", c); k >= 0 {
		return rune("\a\f\n\r\t\v"[k])
	}
	if c < 0x80 && (!isWord(c) || c == '_') {
		return c
	}
	base, least, most := rune(16), 2, 2
	brace := false
	switch {
	case c == 'x':
		if brace = p.skip("{"); brace {
			least, most = 1, len(p.s)
		}
	case '0' <= c && c <= '7':
		p.i-- // \1 would be what a group has found
		base, most = 8, 3
		if c == '0' {
			least = 1
		}
	default:
		most = 0
	}
	n, digits := rune(0), 0
	for ; digits < most && p.i < len(p.s); digits++ {
		d := rune(strings.IndexByte("0123456789abcdef", p.s[p.i]|0x20))
		if d < 0 || d >= base || p.s[p.i] < '0' {
			break
		}
		n = min(n*base+d, unicode.MaxRune+1)
		p.i++
	}
	if digits < least || n > unicode.MaxRune || brace && !p.skip("}") {
		p.unsupported(at)
	}
	return n
}
