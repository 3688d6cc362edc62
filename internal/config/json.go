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

// readJSON reads a JSON file. Keys that begin with _ are comments, except among the variables
// of app.env; null means that a key was not set.
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

// jsonReader reads JSON that is known to be valid, so that it needs to check no error.
type jsonReader struct {
	decoder *json.Decoder
	counter lineCounter
	lines   map[string]int
	errs    Errors
}

// value returns the next value, which belongs to key.
func (j *jsonReader) value(key string) any {
	token, _ := j.decoder.Token()
	if strings.HasSuffix(key, "]") && token != nil {
		j.lines[key] = j.line()
	}
	switch v := token.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64() // infinite if it is too large; no key accepts a float64
		return f
	case json.Delim:
		switch {
		case len(key) > maxTable:
			j.addError(&Error{Line: j.line(), Msg: longTable})
			j.skip()
			return nil
		case v == '{':
			return j.object(key)
		}
		list := []any{}
		for j.decoder.More() {
			list = append(list, j.value(elementOf(key, len(list))))
		}
		j.decoder.Token()
		return list
	}
	return token
}

func (j *jsonReader) object(key string) any {
	object := map[string]any{}
	for j.decoder.More() {
		token, _ := j.decoder.Token()
		name, _ := token.(string)
		whole, line := join(key, name), j.line()
		if strings.HasPrefix(name, "_") && key != "app.env" {
			var comment json.RawMessage
			j.decoder.Decode(&comment)
			continue
		}
		if _, seen := object[name]; seen {
			j.addError(&Error{Line: line, Key: whole, Msg: twice})
		}
		if v := j.value(whole); v != nil {
			object[name] = v
			j.lines[whole] = line
		}
	}
	j.decoder.Token()
	return object
}

// skip reads to the end of the object or list that has just begun.
func (j *jsonReader) skip() {
	for depth := 1; depth > 0; {
		switch token, _ := j.decoder.Token(); token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

func (j *jsonReader) addError(e *Error) {
	if !j.errs.full() {
		j.errs = append(j.errs, e)
	}
}

// line returns the line of the token just read: no token spans several lines.
func (j *jsonReader) line() int { return j.counter.at(int(j.decoder.InputOffset())) }

// noJSON returns a hint about syntax of other formats at this place of data, or "".
func noJSON(data []byte, at int) string {
	if at >= len(data) {
		return ""
	}
	before := bytes.TrimRight(data[:at], " \t\r\n")
	switch c := data[at]; {
	case c == '/' || c == '#', at > 0 && data[at-1] == '/' && (c == '*' || c == '/'):
		return "JSON has no comments; a key that begins with _ is one"
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return "the comma before it is one too many"
	case c == '\'':
		return "text stands in double quotes"
	}
	return ""
}

// jsonError returns an Error with the place of a syntax error. It removes the character from
// encoding/json's message, since it may begin a password without quotes.
func jsonError(data []byte, err error) *Error {
	e := &Error{Msg: err.Error()}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:max(syntax.Offset-1, 0)]
		if strings.HasPrefix(e.Msg, "unexpected end") {
			before = data
		}
		e.Line = 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n')
		if strings.HasSuffix(e.Msg, "exceeded max depth") { // Go 1.26 names the character, Go 1.27 does not
			e.Msg = "nests too deep"
		} else if _, what, ok := strings.Cut(e.Msg, "' "); ok {
			e.Msg = "invalid character " + strings.Replace(what, "looking for beginning", "at the beginning", 1)
		}
		e.Msg += ", column " + strconv.Itoa(column)
		e.Hint = noJSON(data, len(before))
	}
	return e
}
