package config

import (
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxTable bounds the whole name of a table or list, in bytes. It bounds how deep tables
// of TOML go as well, and keeps the names of their keys, each of which is noted whole, from
// taking quadratic time.
const maxTable = 512

const longTable = "the whole name of a table or list is longer than 512 bytes"

// readTOML reads a TOML 1.1 file. The parser of go-toml knows the form; what may
// follow what, the values and the lines are ours. The file is not read into our
// struct at once: that would stop at the first wrong type.
func readTOML(data []byte) document {
	root := map[string]any{}
	t := tomlReader{
		counter: lineCounter{data: data},
		lines:   map[string]int{},
		made:    map[uintptr]tomlTable{},
	}
	t.parser.Reset(data)
	table, key := root, ""
	for t.err == nil && t.parser.NextExpression() {
		switch node := t.parser.Expression(); node.Kind {
		case unstable.Table, unstable.ArrayTable:
			table, key = t.header(root, node)
		case unstable.KeyValue:
			t.keyValue(table, key, node)
		}
	}
	if err := t.parser.Error(); err != nil {
		t.err = tomlError(err.Error())
		if e, ok := err.(*unstable.ParserError); ok {
			t.err.Line = t.line(t.parser.Range(e.Highlight))
		}
	}
	if t.err != nil {
		return document{errs: Errors{t.err}}
	}
	return document{root: root, lines: t.lines}
}

// A tomlTable says how a table came to be, and so how it may be gone on with. 0 is
// an inline table, which may not.
type tomlTable byte

const (
	byPath   tomlTable = iota + 1 // [a.b] makes a; [a] is still to come, or not
	byHeader                      // [a]
	byKey                         // a.b = 1 makes a
	byList                        // [[a]] makes one more
)

// tomlReader builds the tree of a document and notes the line of each key.
type tomlReader struct {
	parser  unstable.Parser
	counter lineCounter
	lines   map[string]int
	made    map[uintptr]tomlTable // by the address of the map in the tree
	err     *Error                // the first; nothing counts after it
}

// table returns a new table that is not an inline one.
func (t *tomlReader) table(how tomlTable) map[string]any {
	table := map[string]any{}
	t.made[reflect.ValueOf(table).Pointer()] = how
	return table
}

// open returns the table that v is, or the last one of the list that v is, and
// how it came to be: 0 for what is closed or no table.
func (t *tomlReader) open(v any) (map[string]any, tomlTable) {
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[len(list)-1]
	}
	table, ok := v.(map[string]any)
	if !ok {
		return nil, 0
	}
	return table, t.made[reflect.ValueOf(table).Pointer()]
}

// header returns the table that is begun by [a.b] or [[a.b]], and its name.
func (t *tomlReader) header(table map[string]any, node *unstable.Node) (map[string]any, string) {
	key := ""
	for it := node.Key(); it.Next() && t.err == nil; {
		part := it.Node()
		name := string(part.Data)
		key = t.below(key, name, part)
		old, there := table[name]
		next, how := t.open(old)
		switch {
		case there && how == 0:
			t.fail(part, "key "+name+" already exists as a value")
		case !it.IsLast():
			if !there {
				next = t.table(byPath)
				table[name] = next
			}
		case node.Kind == unstable.ArrayTable:
			if there && how != byList {
				t.fail(part, "key "+name+" already exists, but not as an array of tables")
				break
			}
			list, _ := old.([]any)
			next = t.table(byList)
			table[name] = append(list, next)
		case !there:
			next = t.table(byHeader)
			table[name] = next
		case how == byPath:
			t.made[reflect.ValueOf(next).Pointer()] = byHeader
		default:
			t.fail(part, "table "+name+" already exists"+[...]string{
				byHeader: "",
				byKey:    " as defined by a dotted key",
				byList:   " as an array of tables",
			}[how])
		}
		table = next
	}
	return table, key
}

// keyValue sets what "a.b = value" says below table, whose name is key.
func (t *tomlReader) keyValue(table map[string]any, key string, node *unstable.Node) {
	for it := node.Key(); it.Next() && t.err == nil; {
		part := it.Node()
		name := string(part.Data)
		key = t.below(key, name, part)
		old, there := table[name]
		next, how := t.open(old)
		switch {
		case there && (it.IsLast() || how != byKey):
			t.fail(part, "key "+name+" is already defined")
		case it.IsLast():
			// The value comes first in the tree, but the key in the file.
			table[name] = t.value(key, node.Value())
		case !there:
			next = t.table(byKey)
			table[name] = next
		}
		table = next
	}
}

// below returns the whole name of a key in a table, and notes its line.
func (t *tomlReader) below(table, name string, node *unstable.Node) string {
	if t.long(table, node) {
		return table
	}
	key := join(table, name)
	t.note(key, node)
	return key
}

// long tells of a table or list, given by its whole name, that can hold nothing.
func (t *tomlReader) long(table string, node *unstable.Node) bool {
	if len(table) <= maxTable {
		return false
	}
	t.fail(node, longTable)
	return true
}

// note keeps the first line of a key. Lists have no place of their own in the
// tree; what is in them has.
func (t *tomlReader) note(key string, node *unstable.Node) {
	if t.lines[key] == 0 && node.Raw.Length > 0 {
		t.lines[key] = t.line(node.Raw)
	}
}

// line returns that of what begins no earlier in the file than what was asked for
// before. What has no place is taken for being there.
func (t *tomlReader) line(at unstable.Range) int {
	return t.counter.at(max(int(at.Offset), t.counter.offset))
}

// fail keeps the first error. It must not hold a value.
func (t *tomlReader) fail(node *unstable.Node, msg string) {
	if t.err == nil {
		t.err = &Error{Line: t.line(node.Raw), Msg: msg}
	}
}

// tomlError turns a message of the parser into ours. It is about the form and
// names no values, but for the one kind that is cut here.
func tomlError(msg string) *Error {
	e := &Error{Msg: msg}
	// "U+0068 'h'" may be the beginning of a password without quotes.
	if before, after, ok := strings.Cut(msg, "U+"); ok {
		_, after, _ = strings.Cut(after, "' ")
		e.Msg = strings.TrimSpace(strings.TrimSuffix(before, " but got ") + " " + after)
		e.Msg = strings.Join(strings.Fields(e.Msg), " ")
	}
	if strings.Contains(e.Msg, "start of value") || strings.Contains(e.Msg, "expected keyword") {
		e.Hint = "text stands in quotes"
	}
	return e
}
