package config

import (
	"errors"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// readTOML reads a TOML file. The decoder of go-toml says whether it is valid and
// what it holds; its parser, run a second time, says on which line each key is.
// Neither is given our struct: it would stop at the first wrong type, and show
// the values in its messages.
func readTOML(data []byte) document {
	doc := document{root: map[string]any{}, lines: map[string]int{}}
	if err := toml.Unmarshal(data, &doc.root); err != nil {
		return document{errs: Errors{tomlError(err)}}
	}
	t := tomlLines{counter: lineCounter{data: data}, lines: doc.lines}
	t.parser.Reset(data)
	table := ""
	for t.parser.NextExpression() {
		switch node := t.parser.Expression(); node.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = t.key("", node)
		case unstable.KeyValue:
			t.keyValue(table, node)
		}
	}
	return doc
}

// tomlLines notes the line of each key of a TOML document that is known to be
// valid.
type tomlLines struct {
	parser  unstable.Parser
	counter lineCounter
	lines   map[string]int
}

// key notes every part of a dotted key below table, and returns the whole.
func (t *tomlLines) key(table string, node *unstable.Node) string {
	for it := node.Key(); it.Next(); {
		part := it.Node()
		table = join(table, string(part.Data))
		t.note(table, part)
	}
	return table
}

func (t *tomlLines) keyValue(table string, node *unstable.Node) {
	// The value comes first in the tree, but the key in the file.
	t.value(t.key(table, node), node.Value())
}

func (t *tomlLines) value(key string, node *unstable.Node) {
	switch node.Kind {
	case unstable.InlineTable:
		for it := node.Children(); it.Next(); {
			t.keyValue(key, it.Node())
		}
	case unstable.Array:
		i := 0
		for it := node.Children(); it.Next(); i++ {
			element := key + "[" + strconv.Itoa(i) + "]"
			t.note(element, it.Node())
			t.value(element, it.Node())
		}
	}
}

// note keeps the first line of a key. Lists and inline tables have no place of
// their own in the tree; what is in them has.
func (t *tomlLines) note(key string, node *unstable.Node) {
	if t.lines[key] == 0 && node.Raw.Length > 0 {
		t.lines[key] = t.counter.at(int(node.Raw.Offset))
	}
}

// tomlError turns an error of go-toml into ours. Its messages are about the form
// and name no values, but for the two kinds that are cut here.
func tomlError(err error) *Error {
	e := &Error{Msg: strings.TrimPrefix(err.Error(), "toml: ")}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, _ = at.Position()
	}
	if before, _, ok := strings.Cut(e.Msg, ": "); ok && strings.HasPrefix(e.Msg, "unable to parse") {
		e.Msg = before
	}
	// "U+0068 'h'" may be the beginning of a password without quotes.
	if before, after, ok := strings.Cut(e.Msg, "U+"); ok {
		_, after, _ = strings.Cut(after, "' ")
		e.Msg = strings.TrimSpace(strings.TrimSuffix(before, " but got ") + " " + after)
		e.Msg = strings.Join(strings.Fields(e.Msg), " ")
	}
	if strings.Contains(e.Msg, "start of value") || strings.Contains(e.Msg, "expected keyword") {
		e.Hint = "text stands in quotes"
	}
	return e
}
