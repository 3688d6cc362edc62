package demangle

import "strings"

// The tables have a line for each: a key, a blank, and what it stands for.

const builtin = `
v void
w wchar_t
b bool
c char
a signed char
h unsigned char
s short
t unsigned short
i int
j unsigned int
l long
m unsigned long
x long long
y unsigned long long
n __int128
o unsigned __int128
f float
d double
e long double
g __float128
z ...
`

// builtinD are those behind a D.
const builtinD = `
n decltype(nullptr)
i char32_t
s char16_t
u char8_t
a auto
c decltype(auto)
`

const standard = `
a std::allocator
b std::basic_string
s std::string
i std::istream
o std::ostream
d std::iostream
`

// standardFull are those of them that are short for something, as it is written
// before a member.
const standardFull = `
s std::basic_string<char, std::char_traits<char>, std::allocator<char> >
i std::basic_istream<char, std::char_traits<char> >
o std::basic_ostream<char, std::char_traits<char> >
d std::basic_iostream<char, std::char_traits<char> >
`

const operators = `
nw  new
na  new[]
dl  delete
da  delete[]
aw  co_await
ps +
ng -
ad &
de *
co ~
pl +
mi -
ml *
dv /
rm %
an &
or |
eo ^
aS =
pL +=
mI -=
mL *=
dV /=
rM %=
aN &=
oR |=
eO ^=
ls <<
rs >>
lS <<=
rS >>=
eq ==
ne !=
lt <
gt >
le <=
ge >=
ss <=>
nt !
aa &&
oo ||
pp ++
mm --
cm ,
pm ->*
pt ->
cl ()
ix []
qu ?
`

const hole = "\x00"

// clear makes a type readable that nothing is wrapped around any more.
func clear(t string) string {
	if !strings.Contains(t, hole) {
		return t
	}
	t = strings.ReplaceAll(t, "("+hole+") [", "[")
	return strings.ReplaceAll(strings.ReplaceAll(t, "("+hole+")", ""), hole, "")
}

// wrap puts a declarator into a type.
func wrap(t, declarator string) string {
	if strings.Contains(t, hole) {
		return strings.Replace(t, hole, declarator+hole, 1)
	}
	return t + declarator
}

// typ is a type. All but the simplest can be referred to later.
func (c *cppScanner) typ() string {
	if !c.enter() {
		return ""
	}
	t := c.bareType()
	c.leave()
	return t
}

func (c *cppScanner) bareType() string {
	b := c.peek()
	if name := named(builtin, b); name != "" {
		c.next()
		return name
	}
	var t string
	switch {
	case b == 'D':
		c.next()
		kind := c.next()
		if kind == 'p' || kind == 'o' { // a pack that is expanded; noexcept
			return c.typ()
		}
		if name := named(builtinD, kind); name != "" {
			return name
		}
		return c.fail()
	case b == 'r' || b == 'V' || b == 'K':
		// Several of them are one thing to refer to.
		qualifiers := ""
		for {
			word := named("\nr __restrict\nV volatile\nK const\n", c.peek())
			if word == "" {
				break
			}
			c.next()
			qualifiers = " " + word + qualifiers
		}
		t = wrap(c.typ(), qualifiers)
	case c.eat("P"):
		t = wrap(c.typ(), "*")
	case c.eat("R"):
		t = reference(c.typ(), "&")
	case c.eat("O"):
		t = reference(c.typ(), "&&")
	case c.eat("C"):
		t = c.typ() + " _Complex"
	case c.eat("F"):
		c.eat("Y")
		result := clear(c.typ())
		parameters := c.parameters()
		if !c.eat("E") {
			return c.fail()
		}
		t = result + " (" + hole + ")(" + parameters + ")"
	case c.eat("A"):
		start := c.pos
		c.number() // an array of unknown size has none
		text := c.s[start:c.pos]
		if !c.eat("_") {
			return c.fail()
		}
		t = clear(c.typ()) + " (" + hole + ") [" + text + "]"
	case c.eat("M"):
		class := clear(c.typ())
		member := c.typ()
		if strings.Contains(member, hole) {
			t = wrap(member, class+"::*")
		} else {
			t = member + " " + class + "::*"
		}
	case b == 'T':
		t = c.templateParam()
		if c.peek() == 'I' {
			c.subs = append(c.subs, t)
			t += angle(c.templateArgs())
		}
	case b == 'S' && c.ahead(1) != 't':
		t = c.substitution()
		if c.peek() != 'I' {
			return t
		}
		t += angle(c.templateArgs())
	case b == 'N' || b == 'Z' || b == 'S' || digit(b):
		// The template arguments of a type are not those of the function.
		template := c.template
		t, _ = c.name()
		c.template = template
	case c.eat("u"):
		t = c.bytes(c.number())
	default:
		return c.fail()
	}
	if len(c.subs) > maxInput {
		return c.fail()
	}
	c.subs = append(c.subs, t)
	return c.check(t)
}

// reference makes a reference to t. References to references collapse.
func reference(t, kind string) string {
	if rest, ok := strings.CutSuffix(t, "&&"); ok {
		return rest + kind
	}
	if strings.HasSuffix(t, "&") {
		return t
	}
	return wrap(t, kind)
}
