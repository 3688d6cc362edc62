package config

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A decoder puts the values of a document into a struct by the toml tags of its fields. A
// value that does not fit is recorded in errs and leaves the field unchanged.
type decoder struct{ errs Errors }

// table fills a struct or a map with string keys.
func (d *decoder) table(key string, table map[string]any, to reflect.Value) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if d.errs.full() {
			return
		}
		whole := join(key, name)
		if to.Kind() == reflect.Map {
			element := reflect.New(to.Type().Elem()).Elem()
			d.value(whole, table[name], element)
			if to.IsNil() {
				to.Set(reflect.MakeMap(to.Type()))
			}
			to.SetMapIndex(reflect.ValueOf(name), element)
			continue
		}
		field := fieldNamed(to, name)
		if !field.IsValid() {
			d.errs.add(whole, "unknown key", didYouMean(nearestKey(key, name)))
			continue
		}
		d.value(whole, table[name], field)
	}
}

// value sets to, a field or an element of a map or a list.
func (d *decoder) value(key string, v any, to reflect.Value) {
	if text, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(key, v, text)
		return
	}
	switch to.Kind() {
	case reflect.Pointer, reflect.Struct, reflect.Map:
		table, ok := v.(map[string]any)
		if !ok {
			d.mismatch(key, "a table", v)
			return
		}
		if to.Kind() == reflect.Pointer {
			to.Set(reflect.New(to.Type().Elem()))
			to = to.Elem()
		}
		d.table(key, table, to)
	case reflect.Slice:
		d.list(key, v, to)
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			d.mismatch(key, "a string", v)
			return
		}
		// The kernel accepts no NUL. A Secret may have one; URL and Hook have checks of their own.
		if strings.Contains(s, "\x00") && to.Type() == reflect.TypeFor[string]() {
			d.errs.add(key, "must not have NUL in it", "")
		}
		to.SetString(s)
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			d.mismatch(key, "true or false", v)
			return
		}
		to.SetBool(b)
	case reflect.Int, reflect.Int64:
		i, ok := v.(int64)
		if !ok || to.OverflowInt(i) {
			d.mismatch(key, "a whole number", v)
			return
		}
		to.SetInt(i)
	default:
		panic("config: no way to decode into a " + to.Type().String())
	}
}

// text reads a value by its UnmarshalText; a whole number is passed as its digits.
func (d *decoder) text(key string, v any, to encoding.TextUnmarshaler) {
	var written string
	switch v := v.(type) {
	case string:
		written = v
	case int64:
		written = strconv.FormatInt(v, 10)
	default:
		d.mismatch(key, "a string", v)
		return
	}
	if err := to.UnmarshalText([]byte(written)); err != nil {
		d.errs.add(key, err.Error(), "")
	}
}

// list sets a list of strings. An empty list becomes nil, like one that was not set.
func (d *decoder) list(key string, v any, to reflect.Value) {
	list, ok := v.([]any)
	if !ok {
		d.mismatch(key, "a list of strings", v)
		return
	}
	to.SetZero()
	for i, v := range list {
		element := reflect.New(to.Type().Elem()).Elem()
		d.value(elementOf(key, i), v, element)
		to.Set(reflect.Append(to, element))
	}
}

// mismatch records a value of the wrong type, without showing it.
func (d *decoder) mismatch(key, want string, v any) {
	is := "a date or time"
	switch v.(type) {
	case string:
		is = "a string"
	case bool:
		is = "true or false"
	case int64:
		is = "a whole number"
	case float64:
		is = "a number that is not whole, or too large"
	case map[string]any:
		is = "a table"
	case []any:
		is = "a list"
	case nil:
		is = "null"
	}
	d.errs.add(key, "must be "+want+", is "+is, "")
}

// fieldNamed returns the field of a struct with this toml tag, or the zero Value.
func fieldNamed(v reflect.Value, name string) reflect.Value {
	for i, key := range keysOf(v.Type()) {
		if key == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}
