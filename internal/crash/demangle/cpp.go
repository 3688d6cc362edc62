package demangle

import (
	"strconv"
	"strings"
)

// The names of C++ follow the Itanium ABI. A type is kept as text; where the
// declarator of a function or an array belongs there is a zero byte.

type cppScanner struct {
	scanner
	subs     []string // what S_, S0_ ... refer to
	template []string // what T_, T0_ ... refer to
}

func cpp(s string) (string, bool) {
	c := &cppScanner{scanner: scanner{s: s}}
	name := c.topLevel()
	return name, !c.failed && name != ""
}

func (c *cppScanner) topLevel() string {
	switch {
	case c.eat("Th"):
		c.callOffset(1)
		return "non-virtual thunk to " + c.topLevel()
	case c.eat("Tv"):
		c.callOffset(2)
		return "virtual thunk to " + c.topLevel()
	case c.eat("GTt"):
		return "transaction clone for " + c.topLevel()
	case c.peek() == 'T' || c.peek() == 'G':
		return c.fail() // data, not a function
	}
	name, _ := c.name()
	return name
}

// callOffset passes over the numbers of a thunk.
func (c *cppScanner) callOffset(numbers int) {
	for range numbers {
		c.eat("n")
		c.number()
		if c.next() != '_' {
			c.fail()
		}
	}
}

// encoding is a function with its parameters, which end with E or the symbol.
func (c *cppScanner) encoding() (full, name string) {
	name, returns := c.name()
	if c.peek() == 'E' || c.pos >= len(c.s) {
		return name, name
	}
	if returns {
		c.typ()
	}
	return c.check(name + "(" + c.parameters() + ")"), name
}

// parameters are types up to E or the end.
func (c *cppScanner) parameters() string {
	var all []string
	for c.peek() != 'E' && c.pos < len(c.s) && !c.failed {
		all = append(all, clear(c.typ()))
	}
	if len(all) == 1 && all[0] == "void" {
		return ""
	}
	return c.check(strings.Join(all, ", "))
}

// name is the name of an encoding. It also says whether the type of what the
// function returns comes before those of the parameters, as in templates.
func (c *cppScanner) name() (name string, returns bool) {
	if !c.enter() {
		return "", false
	}
	name, returns = c.bareName()
	c.leave()
	return name, returns
}

func (c *cppScanner) bareName() (name string, returns bool) {
	switch {
	case c.eat("N"):
		return c.nested()
	case c.eat("Z"):
		return c.local()
	case c.peek() == 'S' && c.ahead(1) != 't':
		name = c.substitution()
	default:
		name, _ = c.unqualified("", "")
		if c.peek() == 'I' {
			c.subs = append(c.subs, name)
		}
	}
	if c.peek() == 'I' {
		args := c.templateArgs()
		c.template = args
		return c.check(name + angle(args)), true
	}
	return name, false
}

// local is something inside a function.
func (c *cppScanner) local() (string, bool) {
	around, _ := c.encoding()
	if !c.eat("E") {
		return c.fail(), false
	}
	if c.eat("s") {
		c.discriminator()
		return around + "::string literal", false
	}
	if c.eat("d") { // a default argument
		c.number()
		c.eat("_")
	}
	inner, returns := c.name()
	c.discriminator()
	return c.check(around + "::" + inner), returns
}

func (c *cppScanner) discriminator() {
	if c.eat("__") {
		c.number()
		c.eat("_")
	} else if c.peek() == '_' && digit(c.ahead(1)) {
		c.pos += 2
	}
}

// nested is a name with what it is in, after the N.
func (c *cppScanner) nested() (string, bool) {
	qualifiers := ""
	for c.peek() == 'r' || c.peek() == 'V' || c.peek() == 'K' {
		if c.next() == 'K' {
			qualifiers = " const"
		}
	}
	if c.peek() == 'R' || c.peek() == 'O' {
		c.next()
	}
	// Each part of the name can be referred to, except for what came from a
	// reference itself.
	var name, last string
	candidate, returns := false, false
	for !c.failed {
		b := c.peek()
		if b == 'E' {
			c.next()
			break
		}
		if candidate {
			c.subs = append(c.subs, name)
		}
		candidate = true
		switch {
		case b == 'S' && c.ahead(1) != 't' && name == "":
			if full := named(standardFull, c.ahead(1)); full != "" && c.ahead(2) != 'I' {
				c.pos += 2
				name = full
			} else {
				name = c.substitution()
			}
			last = lastPart(name)
			candidate, returns = false, false
		case b == 'S' && name == "":
			c.pos += 2
			name, candidate = "std", false
		case b == 'T' && name == "":
			name = c.templateParam()
		case b == 'I':
			args := c.templateArgs()
			c.template = args
			name += angle(args)
			returns = true
		default:
			var part string
			var special bool
			part, special = c.unqualified(last, name)
			if name != "" {
				part = "::" + part
			}
			name += part
			if !special {
				last = strings.TrimPrefix(part, "::")
			}
			returns = false
			if special {
				// Constructors and conversions return what their names say.
				c.check(name)
				if c.peek() == 'I' {
					c.subs = append(c.subs, name)
					args := c.templateArgs()
					c.template = args
					name += angle(args)
				}
			}
		}
		c.eat("M") // what follows is in the initializer of a member
		c.check(name)
	}
	_ = qualifiers // gdb shows them with the parameters, which are left out
	return name, returns
}

// lastPart is the last part of a qualified name, without template arguments.
func lastPart(name string) string {
	depth, start, end := 0, 0, len(name)
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '<':
			if depth == 0 {
				end = i
			}
			depth++
		case '>':
			depth--
		case ':':
			if depth == 0 {
				start, end = i+1, len(name)
			}
		}
	}
	if start > end {
		return name
	}
	return name[start:end]
}

// unqualified is one part of a name. It says whether that is special: a
// constructor, a destructor or a conversion, which return nothing.
func (c *cppScanner) unqualified(class, scope string) (name string, special bool) {
	c.eat("L") // only for the linker
	b := c.peek()
	switch {
	case c.eat("St"):
		rest, special := c.unqualified("", "")
		return "std::" + rest, special
	case digit(b):
		name = c.bytes(c.number())
		if strings.HasPrefix(name, "_GLOBAL__N") {
			name = "(anonymous namespace)"
		}
	case b == 'C' && scope != "":
		c.next()
		c.eat("I")
		c.next()
		return class, true
	case b == 'D' && scope != "" && c.ahead(1) >= '0' && c.ahead(1) <= '5':
		c.pos += 2
		return "~" + class, true
	case c.eat("Ul"):
		name = "{lambda(" + c.parameters() + ")#"
		c.eat("E")
		name += c.index() + "}"
	case c.eat("Ut"):
		name = "{unnamed type#" + c.index() + "}"
	case c.eat("cv"):
		return "operator " + clear(c.typ()), true
	case c.eat("li"):
		name = `operator"" ` + c.bytes(c.number())
	case b >= 'a' && b <= 'z':
		op := named(operators, b, c.ahead(1))
		if op == "" {
			return c.fail(), false
		}
		c.pos += 2
		name = "operator" + op
	default:
		return c.fail(), false
	}
	for c.eat("B") {
		name += "[abi:" + c.bytes(c.number()) + "]"
	}
	return c.check(name), false
}

// index is the number of a lambda: none for the first, 0 for the second.
func (c *cppScanner) index() string {
	n := 1
	if digit(c.peek()) {
		n = c.number() + 2
	}
	if c.next() != '_' {
		c.fail()
	}
	return strconv.Itoa(n)
}

// substitution refers to something named before, or to a part of the standard
// library.
func (c *cppScanner) substitution() string {
	c.next()
	b := c.next()
	if name := named(standard, b); name != "" {
		return name
	}
	n := 0
	if b != '_' {
		for ; b != '_'; b = c.next() {
			switch {
			case digit(b):
				n = n*36 + int(b-'0')
			case b >= 'A' && b <= 'Z':
				n = n*36 + int(b-'A') + 10
			default:
				return c.fail()
			}
			if n > maxInput {
				return c.fail()
			}
		}
		n++
	}
	if n >= len(c.subs) {
		return c.fail()
	}
	return c.subs[n]
}

func (c *cppScanner) templateParam() string {
	c.next()
	n := 0
	if digit(c.peek()) {
		n = c.number() + 1
	}
	if c.next() != '_' || n >= len(c.template) {
		return c.fail()
	}
	return c.template[n]
}

func angle(args []string) string {
	text := strings.Join(args, ", ")
	if strings.HasSuffix(text, ">") {
		text += " "
	}
	return "<" + text + ">"
}

// templateArgs are the arguments from I to E; those of a pack one by one.
func (c *cppScanner) templateArgs() []string {
	if !c.enter() {
		return nil
	}
	c.next()
	args := []string{}
	for !c.eat("E") && !c.failed {
		switch c.peek() {
		case 'J':
			args = append(args, c.templateArgs()...)
		case 'L':
			args = append(args, c.literal())
		case 'X': // of expressions only the address of a function
			if !c.eat("Xad") || c.peek() != 'L' {
				c.fail()
				break
			}
			args = append(args, c.literal())
			c.eat("E")
		default:
			args = append(args, clear(c.typ()))
		}
		if len(args) > maxOutput {
			c.fail()
		}
	}
	c.leave()
	return args
}

// literal is a value as a template argument.
func (c *cppScanner) literal() string {
	c.next()
	if c.eat("_Z") {
		_, name := c.encoding()
		c.eat("E")
		return "&" + name
	}
	kind := clear(c.typ())
	end := strings.IndexByte(c.s[c.pos:], 'E')
	if end < 0 {
		return c.fail()
	}
	value := c.bytes(end)
	c.eat("E")
	if rest, ok := strings.CutPrefix(value, "n"); ok {
		value = "-" + rest
	}
	switch kind {
	case "bool":
		switch value {
		case "0":
			return "false"
		case "1":
			return "true"
		}
		return ""
	case "int":
		return value
	case "unsigned int":
		return value + "u"
	case "long":
		return value + "l"
	case "unsigned long":
		return value + "ul"
	}
	return c.check("(" + kind + ")" + value)
}
