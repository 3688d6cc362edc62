package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// twice is the message for a key that stands in a table a second time.
const twice = "is given twice"

// readJSON reads a JSON file. Keys that begin with _ are comments, except among
// the variables of app.env; null means that a key was not said.
func readJSON(data []byte) document {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return document{errs: Errors{jsonError(data, err)}}
	}
	j := jsonReader{
		decoder: json.NewDecoder(bytes.NewReader(data)),
		counter: lineCounter{data: data},
		lines:   map[string]int{},
	}
	j.decoder.UseNumber()
	root, ok := j.value("").(map[string]any)
	if !ok {
		return document{errs: Errors{{Line: 1, Msg: "must be a JSON object: { … }"}}}
	}
	return document{root: root, lines: j.lines, errs: j.errs}
}

// jsonReader walks through JSON that is known to be valid, so that no token of
// it can be an error.
type jsonReader struct {
	decoder *json.Decoder
	counter lineCounter
	lines   map[string]int
	errs    Errors
}

// value returns the next value, which is that of key.
func (j *jsonReader) value(key string) any {
	token, _ := j.decoder.Token()
	if key != "" && j.lines[key] == 0 && token != nil {
		j.lines[key] = j.line()
	}
	switch v := token.(type) {
	case json.Number:
		return jsonNumber(v)
	case json.Delim:
		if v == '{' {
			return j.object(key)
		}
		list := []any{}
		for j.decoder.More() {
			list = append(list, j.value(key+"["+strconv.Itoa(len(list))+"]"))
		}
		_, _ = j.decoder.Token()
		return list
	}
	return token
}

func (j *jsonReader) object(key string) any {
	object := map[string]any{}
	for j.decoder.More() {
		token, _ := j.decoder.Token()
		name, _ := token.(string)
		whole := join(key, name)
		line := j.line()
		if strings.HasPrefix(name, "_") && key != "app.env" {
			var comment json.RawMessage
			_ = j.decoder.Decode(&comment)
			continue
		}
		if _, seen := object[name]; seen {
			j.errs = append(j.errs, &Error{Line: line, Key: whole, Msg: twice})
		}
		if v := j.value(whole); v != nil {
			object[name] = v
			j.lines[whole] = line
		}
	}
	_, _ = j.decoder.Token()
	return object
}

// line returns that of the token just read: none goes over several lines.
func (j *jsonReader) line() int { return j.counter.at(int(j.decoder.InputOffset())) }

// jsonNumber returns an int64 for a whole number that fits, else a float64.
func jsonNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, _ := n.Float64()
	return f
}

// jsonError says where the syntax is wrong. The message of encoding/json names
// the character, which may be the beginning of a password without quotes.
func jsonError(data []byte, err error) *Error {
	e := &Error{Msg: err.Error()}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:max(syntax.Offset-1, 0)]
		if strings.HasPrefix(e.Msg, "unexpected end") {
			before = data
		}
		e.Line = 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n')
		if _, what, ok := strings.Cut(e.Msg, "' "); ok {
			e.Msg = "invalid character " + what
		}
		e.Msg += ", column " + strconv.Itoa(column)
	}
	return e
}
