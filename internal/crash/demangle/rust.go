package demangle

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rust's older names look like those of C++ and end with a hash, which is left
// out; its newer ones begin with _R. Neither shows the hashes of crates.

// rustLegacy says whether a symbol is one of the older kind.
func rustLegacy(s string) bool {
	s = strings.TrimSuffix(s, "E")
	i := len(s) - len("17h0123456789abcdef")
	if i < 3 || !strings.HasPrefix(s, "_ZN") || s[i:i+3] != "17h" {
		return false
	}
	for _, b := range []byte(s[i+3:]) {
		if !digit(b) && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

var escapes = []struct{ from, to string }{
	{"$LT$", "<"},
	{"$GT$", ">"},
	{"$LP$", "("},
	{"$RP$", ")"},
	{"$C$", ","},
	{"$BP$", "*"},
	{"$RF$", "&"},
	{"$SP$", "@"},
	{"..", "::"},
}

func legacy(symbol string) string {
	s := scanner{s: strings.TrimSuffix(symbol[3:], "E")}
	var parts []string
	for s.pos < len(s.s) && !s.failed {
		n := s.number()
		if n == 0 { // no name is empty
			return symbol
		}
		part := s.bytes(n)
		if strings.HasPrefix(part, "_$") {
			part = part[1:]
		}
		for _, e := range escapes {
			part = strings.ReplaceAll(part, e.from, e.to)
		}
		parts = append(parts, unescape(part))
	}
	if s.failed || len(parts) < 2 {
		return symbol
	}
	return strings.Join(parts[:len(parts)-1], "::")
}

// unescape replaces $u7b$ and its like.
func unescape(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "$u")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		code, after, ok := strings.Cut(rest, "$")
		n, err := strconv.ParseUint(code, 16, 32)
		if !ok || err != nil || !utf8.ValidRune(rune(n)) {
			b.WriteString("$u")
			s = rest
			continue
		}
		b.WriteRune(rune(n))
		s = after
	}
}

type rustScanner struct{ scanner }

func rust(s string) (string, bool) {
	r := &rustScanner{scanner{s: s}}
	r.number() // of the encoding's version
	name := r.path()
	return name, !r.failed && name != ""
}

// base62 reads a number that ends with an underscore.
func (r *rustScanner) base62() int {
	if r.eat("_") {
		return 0
	}
	n := 0
	for !r.eat("_") {
		b := r.next()
		switch {
		case digit(b):
			n = n*62 + int(b-'0')
		case b >= 'a' && b <= 'z':
			n = n*62 + int(b-'a') + 10
		case b >= 'A' && b <= 'Z':
			n = n*62 + int(b-'A') + 36
		default:
			r.fail()
		}
		if r.failed {
			return 0
		}
		n &= 1<<48 - 1 // hashes are larger, but nobody looks at them
	}
	return n + 1
}

// identifier is a name, and the number that tells it from others of that name.
func (r *rustScanner) identifier() (string, int) {
	number := 0
	if r.eat("s") {
		number = r.base62() + 1
	}
	puny := r.eat("u")
	n := r.number()
	r.eat("_")
	name := r.bytes(n)
	if puny {
		name = "punycode{" + name + "}"
	}
	return name, number
}

// back reads what a reference points at.
func (r *rustScanner) back(read func() string) string {
	here := r.pos - 1
	to := r.base62()
	if to >= here {
		return r.fail()
	}
	after := r.pos
	r.pos = to
	text := read()
	if !r.failed {
		r.pos = after
	}
	return text
}

func (r *rustScanner) path() string     { return r.pathIn(true) }
func (r *rustScanner) typePath() string { return r.pathIn(false) }

// pathIn is a path. That of a value has a :: before its generic arguments, that
// of a type has none.
func (r *rustScanner) pathIn(value bool) string {
	if !r.enter() {
		return ""
	}
	path := r.barePath(value)
	r.leave()
	return path
}

func (r *rustScanner) barePath(value bool) string {
	switch b := r.next(); b {
	case 'C':
		name, _ := r.identifier()
		return name
	case 'M', 'X', 'Y':
		if b != 'Y' {
			if r.eat("s") {
				r.base62()
			}
			r.typePath()
		}
		of := "<" + r.typ()
		if b != 'M' {
			of += " as " + r.typePath()
		}
		return r.check(of + ">")
	case 'N':
		space := r.next()
		parent := r.pathIn(value)
		name, number := r.identifier()
		if space >= 'A' && space <= 'Z' {
			kind := string(space)
			if space == 'C' {
				kind = "closure"
			} else if space == 'S' {
				kind = "shim"
			}
			if name != "" {
				kind += ":" + name
			}
			return r.check(parent + "::{" + kind + "#" + strconv.Itoa(number) + "}")
		}
		if name == "" {
			return parent
		}
		return r.check(parent + "::" + name)
	case 'I':
		parent := r.pathIn(value)
		var args []string
		for !r.eat("E") && !r.failed {
			args = append(args, r.generic())
		}
		if value {
			parent += "::"
		}
		return r.check(parent + "<" + strings.Join(args, ", ") + ">")
	case 'B':
		return r.back(func() string { return r.pathIn(value) })
	}
	return r.fail()
}

func (r *rustScanner) generic() string {
	switch {
	case r.eat("L"):
		r.base62()
		return "'_"
	case r.eat("K"):
		return r.constant()
	}
	return r.typ()
}

const rustBasic = `
a i8
b bool
c char
d f64
e str
f f32
h u8
i isize
j usize
l i32
m u32
n i128
o u128
p _
s i16
t u16
u ()
v ...
x i64
y u64
z !
`

func (r *rustScanner) typ() string {
	if !r.enter() {
		return ""
	}
	t := r.bareType()
	r.leave()
	return t
}

func (r *rustScanner) bareType() string {
	b := r.peek()
	if name := named(rustBasic, b); name != "" {
		r.next()
		return name
	}
	switch {
	case r.eat("A"):
		of := r.typ()
		return r.check("[" + of + "; " + r.constant() + "]")
	case r.eat("S"):
		return r.check("[" + r.typ() + "]")
	case r.eat("T"):
		all := r.types()
		if len(all) == 1 {
			return r.check("(" + all[0] + ",)")
		}
		return r.check("(" + strings.Join(all, ", ") + ")")
	case r.eat("R"), r.eat("Q"):
		if r.eat("L") {
			r.base62()
		}
		if b == 'Q' {
			return r.check("&mut " + r.typ())
		}
		return r.check("&" + r.typ())
	case r.eat("P"):
		return r.check("*const " + r.typ())
	case r.eat("O"):
		return r.check("*mut " + r.typ())
	case r.eat("F"):
		return r.function()
	case r.eat("D"):
		return r.dynamic()
	case r.eat("B"):
		return r.back(r.typ)
	}
	return r.typePath()
}

// types are types up to E.
func (r *rustScanner) types() []string {
	var all []string
	for !r.eat("E") && !r.failed {
		all = append(all, r.typ())
	}
	return all
}

func (r *rustScanner) binder() {
	if r.eat("G") {
		r.base62()
	}
}

func (r *rustScanner) function() string {
	r.binder()
	text := ""
	if r.eat("U") {
		text = "unsafe "
	}
	if r.eat("K") {
		abi := "C"
		if !r.eat("C") {
			abi, _ = r.identifier()
		}
		text += `extern "` + strings.ReplaceAll(abi, "_", "-") + `" `
	}
	text += "fn(" + strings.Join(r.types(), ", ") + ")"
	if result := r.typ(); result != "()" {
		text += " -> " + result
	}
	return r.check(text)
}

func (r *rustScanner) dynamic() string {
	r.binder()
	var traits []string
	for !r.eat("E") && !r.failed {
		trait := r.typePath()
		for r.eat("p") {
			name, _ := r.identifier()
			binding := name + " = " + r.typ()
			if rest, ok := strings.CutSuffix(trait, ">"); ok {
				trait = rest + ", " + binding + ">"
			} else {
				trait += "<" + binding + ">"
			}
			r.check(trait)
		}
		traits = append(traits, trait)
	}
	if !r.eat("L") {
		return r.fail()
	}
	r.base62()
	return r.check("dyn " + strings.Join(traits, " + "))
}

// constant is a value as a generic argument.
func (r *rustScanner) constant() string {
	if !r.enter() {
		return ""
	}
	value := r.bareConstant()
	r.leave()
	return value
}

func (r *rustScanner) bareConstant() string {
	switch {
	case r.eat("p"):
		return "_"
	case r.eat("B"):
		return r.back(r.constant)
	}
	kind := r.typ()
	sign := ""
	if r.eat("n") {
		sign = "-"
	}
	end := strings.IndexByte(r.s[r.pos:], '_')
	if end < 0 {
		return r.fail()
	}
	digits := r.bytes(end)
	r.eat("_")
	n, err := strconv.ParseUint(digits, 16, 64)
	if digits == "" {
		n, err = 0, nil
	}
	if err != nil {
		return sign + "0x" + digits
	}
	switch kind {
	case "bool":
		return strconv.FormatBool(n != 0)
	case "char":
		return strconv.QuoteRune(rune(n & 0x1fffff))
	}
	return sign + strconv.FormatUint(n, 10)
}
