package config

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
)

// twice is the message for a key that stands in a table a second time.
const twice = "is given twice"

// readJSON reads a JSON file. Keys that begin with _ are comments, except among
// the variables of app.env; null means that a key was not said.
func readJSON(data []byte) document {
	j := jsonReader{counter: lineCounter{data: data}, lines: map[string]int{}}
	j.Text = data
	v, ok := j.value("", 0)
	if !ok || !j.End() {
		column := j.At - bytes.LastIndexByte(data[:j.At], '\n')
		return document{errs: Errors{{Line: j.line(), Msg: j.Problem() + ", column " + strconv.Itoa(column)}}}
	}
	root, ok := v.(map[string]any)
	if !ok {
		return document{errs: Errors{{Line: 1, Msg: "must be a JSON object: { … }"}}}
	}
	return document{root: root, lines: j.lines, errs: j.errs}
}

type jsonReader struct {
	jsontext.Scanner
	counter lineCounter
	lines   map[string]int
	errs    Errors
}

// value reads the next value, which is that of key, on a line. Names that are
// bounded bound how deep it goes.
func (j *jsonReader) value(key string, line int) (any, bool) {
	j.Space()
	start := j.At
	isObject := j.Take('{')
	isList := !isObject && j.Take('[')
	if (isObject || isList) && len(key) > maxTable {
		if !j.errs.full() {
			j.errs = append(j.errs, &Error{Line: line, Msg: longTable})
		}
		j.At = start
		return nil, j.Value()
	}
	if !isObject && !isList && !j.Scalar() {
		return nil, false
	}
	text := j.Text[start:j.At]
	if line > 0 && text[0] != 'n' {
		j.lines[key] = line
	}
	switch text[0] {
	case '{':
		return j.object(key)
	case '[':
		return j.list(key)
	case '"':
		return string(jsontext.Unquote(text)), true
	case 't', 'f':
		return text[0] == 't', true
	case 'n':
		return nil, true
	}
	if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return i, true
	}
	f, _ := strconv.ParseFloat(string(text), 64) // too large is infinite, which no key wants
	return f, true
}

func (j *jsonReader) list(key string) (any, bool) {
	list := []any{}
	for {
		more, ok := j.Next(len(list) == 0, ']')
		if !more {
			return list, ok
		}
		v, ok := j.value(elementOf(key, len(list)), j.line())
		if !ok {
			return nil, false
		}
		list = append(list, v)
	}
}

func (j *jsonReader) object(key string) (any, bool) {
	object := map[string]any{}
	for first := true; ; first = false {
		more, ok := j.Next(first, '}')
		if !more {
			return object, ok
		}
		line := j.line()
		quoted, ok := j.Name()
		if !ok {
			return nil, false
		}
		name := string(jsontext.Unquote(quoted))
		if strings.HasPrefix(name, "_") && key != "app.env" {
			if !j.Value() {
				return nil, false
			}
			continue
		}
		whole := join(key, name)
		if _, seen := object[name]; seen && !j.errs.full() {
			j.errs = append(j.errs, &Error{Line: line, Key: whole, Msg: twice})
		}
		v, ok := j.value(whole, line)
		if !ok {
			return nil, false
		}
		if v != nil {
			object[name] = v
		}
	}
}

// line returns the line of what comes next.
func (j *jsonReader) line() int { return j.counter.at(j.At) }
