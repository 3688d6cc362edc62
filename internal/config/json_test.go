package config

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
)

// FuzzJSON compares what is read of a JSON file, and on which line, with what the
// tokens of encoding/json say.
func FuzzJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if utf8.Valid(data) {
			compareJSON(t, data)
		}
	})
}

func compareJSON(t *testing.T, data []byte) {
	t.Helper()
	got := readJSON(data)
	if valid := json.Valid(data); !valid || got.root == nil {
		if len(got.errs) != 1 || got.root != nil {
			t.Fatalf("%q: valid is %v, %v", data, valid, got.errs)
		}
		deep := strings.HasPrefix(got.errs[0].Msg, "nests deeper")
		notObject := strings.HasPrefix(got.errs[0].Msg, "must be a JSON object")
		if valid != (deep || notObject) && !deep {
			t.Fatalf("%q: valid is %v, %v", data, valid, got.errs)
		}
		return
	}
	if len(got.errs) > 0 && got.errs[0].Msg == longTable {
		return
	}
	o := oracle{decoder: json.NewDecoder(bytes.NewReader(data)), data: data, doc: document{lines: map[string]int{}}}
	o.decoder.UseNumber()
	o.doc.root, _ = o.value("").(map[string]any)
	if !reflect.DeepEqual(got, o.doc) {
		t.Fatalf("%q is read as\n%+v, want\n%+v", data, got, o.doc)
	}
}

// An oracle reads what is known to be valid with encoding/json.
type oracle struct {
	decoder *json.Decoder
	data    []byte
	doc     document
}

func (o *oracle) value(key string) any {
	token, _ := o.decoder.Token()
	if strings.HasSuffix(key, "]") && token != nil {
		o.doc.lines[key] = o.line()
	}
	switch v := token.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case json.Delim:
		if v == '{' {
			return o.object(key)
		}
		list := []any{}
		for o.decoder.More() {
			list = append(list, o.value(key+"["+strconv.Itoa(len(list))+"]"))
		}
		_, _ = o.decoder.Token()
		return list
	}
	return token
}

func (o *oracle) object(key string) any {
	object := map[string]any{}
	for o.decoder.More() {
		token, _ := o.decoder.Token()
		name, _ := token.(string)
		whole, line := join(key, name), o.line()
		if strings.HasPrefix(name, "_") && key != "app.env" {
			var comment json.RawMessage
			_ = o.decoder.Decode(&comment)
			continue
		}
		if _, seen := object[name]; seen && !o.doc.errs.full() {
			o.doc.errs = append(o.doc.errs, &Error{Line: line, Key: whole, Msg: twice})
		}
		if v := o.value(whole); v != nil {
			object[name] = v
			o.doc.lines[whole] = line
		}
	}
	_, _ = o.decoder.Token()
	return object
}

func (o *oracle) line() int {
	return 1 + bytes.Count(o.data[:o.decoder.InputOffset()], []byte("\n"))
}

func TestJSONTrees(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{}`, `[]`, `1`, `null`, `{"a":1} x`,
		`{"a": 9223372036854775807, "b": -9223372036854775808, "c": 9223372036854775808, "d": -0, "e": 1e2, "f": 1e999, "g": -0.0, "h": 1E-999}`,
		"{\"a\":\n{\"b\"\n:\n[1,\n[2,\nnull,\n{\"c\":\n3}]]}\n,\"a\"\n:4}",
		`{"a":null,"a":1,"a":null,"a":{"b":1},"a":{"b":2,"c":[1]},"a":[[],{}]}`,
		`{"_a":{"b":{"b":1}},"b":{"_":[1],"__":0},"app":{"env":{"_A":"","_A":"x"},"_env":1},"app.env":{"_A":1}}`,
		`{"":{"":[""]},"a b":{"c.d":1},"é\n":{"\u00e9\ud83d\ude00":"\ud83d\ude00\ud83d"}}`,
		`{"a":[{"b":1},{"b":1},null,true,false,"\/"]}`,
		"{" + strings.Repeat(`"a":1,`, 200) + `"b":2}`,
		"{\r\n\t\"redis\" : {\r\n\"port\" : 1 } }\r\n",
	} {
		compareJSON(t, []byte(data))
		for i := range len(data) {
			if c := data[:i]; utf8.ValidString(c) {
				compareJSON(t, []byte(c))
			}
		}
	}
	for _, name := range append([]string{"older"}, pairs...) {
		data, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		compareJSON(t, data)
	}
}

// TestDeepJSON: nesting has an end, also where nothing is read, and is told with its
// place.
func TestDeepJSON(t *testing.T) {
	t.Parallel()
	nested := func(key string, depth int) string {
		return "{\"" + key + "\":\n" + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}"
	}
	for data, want := range map[string]string{
		nested("_", jsontext.MaxDepth):   "",
		nested("_", jsontext.MaxDepth+1): "x.json:2: nests deeper than 256, column 257",
		nested("a", 200):                 "x.json:1: a: unknown key\nx.json:2: " + longTable,
	} {
		if _, err := parse("x.json", []byte(data)); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, key := range []string{strings.Repeat("k", maxTable), strings.Repeat("k", maxTable+1)} {
		doc := readJSON([]byte(`{"` + key + `":{"a":1}}`))
		if long := len(key) > maxTable; long != (len(doc.errs) == 1) || !long && doc.lines[key+".a"] != 1 {
			t.Errorf("%d bytes: %v", len(key), doc.errs)
		}
	}
}

// TestHostileJSON would not end in its time, or fill the memory, if one cost the
// square of its length.
func TestHostileJSON(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", maxFile/2)
	for name, data := range map[string]string{
		"arrays":       strings.Repeat("[", maxFile),
		"objects":      strings.Repeat(`{"a":`, maxFile/5),
		"long list":    `{"` + long + `":[` + strings.Repeat("0,", maxFile/4) + `0]}`,
		"long members": `{"` + long + `":{` + strings.Repeat(`"a":0,`, maxFile/12) + `"b":0}}`,
		"long names":   strings.Repeat(`{"`+strings.Repeat("k", 4000)+`":`, 250) + "0" + strings.Repeat("}", 250),
		"lines":        `{"a":[` + strings.Repeat("\n0,", maxFile/3) + `0]}`,
		"comments":     `{"a":0` + strings.Repeat(`,"_":[]`, maxFile/8) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := readJSON([]byte(data))
			if valid := json.Valid([]byte(data)); valid != (doc.root != nil) {
				t.Errorf("valid is %v: %v", valid, doc.errs)
			}
			if len(doc.errs) > maxErrors+1 {
				t.Errorf("%d errors", len(doc.errs))
			}
		})
	}
}
