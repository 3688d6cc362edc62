package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// dateTime stands in a document for a date or a time, which no key wants.
type dateTime struct{}

// value returns what a node says, which is the value of key. The parser has seen
// to the form of all but dates and times, and has read the escapes of strings.
func (t *tomlReader) value(key string, node *unstable.Node) any {
	switch node.Kind {
	case unstable.String:
		return string(node.Data)
	case unstable.Bool:
		return node.Data[0] == 't'
	case unstable.Integer:
		// TOML's forms are among those of Go: 0x, 0o, 0b, and _ between digits.
		i, err := strconv.ParseInt(string(node.Data), 0, 64)
		if err != nil {
			t.fail(node, "number is too large to fit in a 64-bit signed integer")
		}
		return i
	case unstable.Float:
		text := strings.ReplaceAll(string(node.Data), "_", "")
		if strings.HasSuffix(text, "nan") {
			text = "nan" // Go's has no sign
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.fail(node, "unable to parse float")
		}
		return f
	case unstable.Array:
		return t.list(key, node)
	case unstable.InlineTable:
		table := map[string]any{}
		for it := node.Children(); it.Next() && t.err == nil; {
			t.keyValue(table, key, it.Node())
		}
		return table
	}
	if !isDateTime(string(node.Data)) {
		t.fail(node, "malformed or impossible date or time")
	}
	return dateTime{}
}

func (t *tomlReader) list(key string, node *unstable.Node) any {
	list := []any{}
	for it := node.Children(); it.Next() && t.err == nil; {
		if t.long(key, it.Node()) {
			break
		}
		element := elementOf(key, len(list))
		t.note(element, it.Node())
		list = append(list, t.value(element, it.Node()))
	}
	return list
}

// isDateTime says whether s is a date, a time, or both with or without an offset,
// as RFC 3339 and TOML 1.1 have them: seconds may be left out, and there are no
// leap seconds.
func isDateTime(s string) bool {
	c := dateCutter{rest: s, ok: true}
	dated := len(s) > 2 && s[2] != ':'
	if dated {
		year := c.number(4, 0, 9999)
		c.one("-")
		month := c.number(2, 1, 12)
		c.one("-")
		c.number(2, 1, time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day())
		if c.rest == "" {
			return c.ok
		}
		c.one("Tt ")
	}
	c.number(2, 0, 23)
	c.one(":")
	c.number(2, 0, 59)
	if strings.HasPrefix(c.rest, ":") {
		c.one(":")
		c.number(2, 0, 59)
		if strings.HasPrefix(c.rest, ".") {
			c.one(".")
			c.number(1, 0, 9)
			c.rest = strings.TrimLeft(c.rest, "0123456789")
		}
	}
	if dated && c.rest != "" && strings.IndexByte("+-", c.one("Zz+-")) >= 0 {
		c.number(2, 0, 23)
		c.one(":")
		c.number(2, 0, 59)
	}
	return c.ok && c.rest == ""
}

// A dateCutter cuts a date off piece by piece. Once a piece is not as it has to
// be, nothing is left and ok is false.
type dateCutter struct {
	rest string
	ok   bool
}

// number cuts off a number of so many digits, which must be between two others.
func (c *dateCutter) number(digits, least, most int) int {
	n := 0
	for range digits {
		n = 10*n + int(c.one("0123456789")-'0')
	}
	if n < least || n > most {
		*c = dateCutter{}
	}
	return n
}

// one cuts off one of some bytes. It returns 0 when there is none.
func (c *dateCutter) one(of string) byte {
	if c.rest == "" || strings.IndexByte(of, c.rest[0]) < 0 {
		*c = dateCutter{}
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}
