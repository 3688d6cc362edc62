package config

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxTable bounds the whole name of a table or list, in bytes. It also bounds how deep TOML
// and JSON nest. Each key is recorded by its whole name, which would otherwise take quadratic
// time.
const maxTable = 512

const longTable = "the whole name of a table or list is longer than 512 bytes"

// readTOML reads a TOML 1.1 file. The parser of go-toml, run first, gives the line of each
// key; its decoder checks the file and gives the values. The decoder does not get our
// struct: it would stop at the first wrong type, and show values in its messages.
func readTOML(data []byte) document {
	t := tomlLines{counter: lineCounter{data: data}, lines: map[string]int{}}
	t.parser.Reset(data)
	table := ""
	for t.err == nil && t.parser.NextExpression() {
		switch node := t.parser.Expression(); node.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = t.key("", node)
		case unstable.KeyValue:
			t.keyValue(table, node)
		}
	}
	if t.err != nil {
		return document{errs: Errors{t.err}}
	}
	root := map[string]any{}
	if err := toml.Unmarshal(data, &root); err != nil {
		return document{errs: Errors{tomlError(err)}}
	}
	return document{root: root, lines: t.lines}
}

// tomlLines records the line of each key.
type tomlLines struct {
	parser  unstable.Parser
	counter lineCounter
	lines   map[string]int
	err     *Error // err: the first name that is too long; nothing is recorded after it
}

// key records every part of a dotted key below table, and returns the whole name.
func (t *tomlLines) key(table string, node *unstable.Node) string {
	for it := node.Key(); it.Next() && !t.long(table, it.Node()); {
		table = join(table, string(it.Node().Data))
		t.record(table, it.Node())
	}
	return table
}

func (t *tomlLines) keyValue(table string, node *unstable.Node) {
	// The value comes first in the tree, but the key in the file.
	t.value(t.key(table, node), node.Value())
}

func (t *tomlLines) value(key string, node *unstable.Node) {
	if node.Kind != unstable.InlineTable && node.Kind != unstable.Array {
		return
	}
	i := 0
	for it := node.Children(); t.err == nil && it.Next() && !t.long(key, it.Node()); i++ {
		if node.Kind == unstable.InlineTable {
			t.keyValue(key, it.Node())
			continue
		}
		element := elementOf(key, i)
		t.record(element, it.Node())
		t.value(element, it.Node())
	}
}

// long reports whether the whole name of a table or list, or of an earlier one, is too long.
func (t *tomlLines) long(table string, node *unstable.Node) bool {
	if len(table) > maxTable && t.err == nil {
		t.err = &Error{Line: t.line(node), Msg: longTable}
	}
	return t.err != nil
}

// record keeps the first line of a key. The parser gives no place to lists and inline tables,
// only to their elements.
func (t *tomlLines) record(key string, node *unstable.Node) {
	if t.lines[key] == 0 && node.Raw.Length > 0 {
		t.lines[key] = t.line(node)
	}
}

// line returns the line of a node. A node without a place gets the line of the last one.
func (t *tomlLines) line(node *unstable.Node) int {
	return t.counter.at(max(int(node.Raw.Offset), t.counter.offset))
}

// tomlError turns an error of go-toml into ours. Its messages name no values, except for two
// kinds, which it cuts.
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
