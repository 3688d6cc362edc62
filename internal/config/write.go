package config

import (
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Write writes c as TOML: every key with its value, in a fixed order, with the
// addresses and tables left out that were not said, and passwords masked. Load
// reads it back as c with masks for passwords. The error is that of w.
func (c *Config) Write(w io.Writer) error {
	var t tomlWriter
	t.table("", reflect.ValueOf(c).Elem())
	_, err := w.Write(t.text)
	return err
}

// A tomlWriter writes structs by the toml tags of their fields, and maps in the
// order of their keys.
type tomlWriter struct {
	text  []byte
	start int // of what the table at hand says itself, after its header
}

// table writes a struct or a map: first its own values, then the tables in it,
// which take the header away from them. header is its name as TOML has it.
func (t *tomlWriter) table(header string, v reflect.Value) {
	for _, tables := range [...]bool{false, true} {
		if v.Kind() == reflect.Map {
			names := make([]string, 0, v.Len())
			for _, name := range v.MapKeys() {
				names = append(names, name.String())
			}
			slices.Sort(names)
			for _, name := range names {
				t.entry(header, name, v.MapIndex(reflect.ValueOf(name)), tables)
			}
			continue
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if strings.HasSuffix(field.Tag.Get("toml"), ",omitempty") && v.Field(i).IsZero() {
				continue
			}
			t.entry(header, tag(field), v.Field(i), tables)
		}
	}
}

// entry writes a key of a table, if it is what is asked for: a table or a value.
func (t *tomlWriter) entry(header, name string, v reflect.Value, tables bool) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	var isTable bool
	switch v.Kind() {
	case reflect.Invalid:
		return
	case reflect.Map:
		if v.IsNil() {
			return
		}
		isTable = true
	case reflect.Struct:
		isTable = true
	}
	if isTable != tables {
		return
	}
	key := name
	if !isBare(name) {
		key = string(appendString(nil, name))
	}
	if !isTable {
		t.text = append(append(t.text, key...), " = "...)
		t.text = append(appendValue(t.text, v), '\n')
		return
	}
	if header != "" {
		key = header + "." + key
	}
	if len(t.text) > t.start {
		t.text = append(t.text, '\n')
	}
	t.text = append(append(append(t.text, '['), key...), "]\n"...)
	t.start = len(t.text)
	t.table(key, v)
}

// appendValue appends a value that is no table. What has a written form of its
// own, which masks secrets, is a string.
func appendValue(b []byte, v reflect.Value) []byte {
	if own, ok := v.Interface().(interface{ String() string }); ok {
		return appendString(b, own.String())
	}
	switch v.Kind() {
	case reflect.String:
		return appendString(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Slice:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendValue(b, v.Index(i))
		}
		return append(b, ']')
	}
	panic("config: no way to write a " + v.Type().String())
}

// appendString appends s as a literal string of TOML, in which all stands for
// itself, or as a basic one, in which what must not be there is escaped. A byte
// that is not UTF-8 becomes the character of its number.
func appendString(b []byte, s string) []byte {
	literal := utf8.ValidString(s)
	for i := range len(s) {
		literal = literal && s[i] >= ' ' && s[i] != '\'' && s[i] != 0x7f
	}
	if literal {
		return append(append(append(b, '\''), s...), '\'')
	}
	b = append(b, '"')
	for len(s) > 0 {
		c := s[0]
		r, size := utf8.DecodeRuneInString(s)
		if short := strings.IndexByte("\"\\\b\t\n\f\r", c); short >= 0 {
			b = append(b, '\\', `"\btnfr`[short])
		} else if c < ' ' || c == 0x7f || r == utf8.RuneError && size == 1 {
			const hex = "0123456789ABCDEF"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, s[:size]...)
		}
		s = s[size:]
	}
	return append(b, '"')
}
