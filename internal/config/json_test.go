package config

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzJSON compares the values and lines that readJSON finds with the tokens of
// encoding/json.
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
		if valid != strings.HasPrefix(got.errs[0].Msg, "must be a JSON object") {
			t.Fatalf("%q: valid is %v, %v", data, valid, got.errs)
		}
		return
	}
	if len(got.errs) > 0 {
		return // a key is given twice, or a name is too long
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	if want := said("", tree); !reflect.DeepEqual(got.root, want) {
		t.Fatalf("%q is read as\n%+v, want\n%+v", data, got.root, want)
	}
	for key, line := range got.lines {
		if line < 1 || line > 1+bytes.Count(data, []byte("\n")) {
			t.Fatalf("%q: %s is on line %d", data, key, line)
		}
	}
}

// said returns a tree of encoding/json without comments and nulls, and with our types of
// numbers.
func said(key string, v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = said("", v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = said(join(key, name), v[name])
			if v[name] == nil || strings.HasPrefix(name, "_") && key != "app.env" {
				delete(v, name)
			}
		}
	}
	return v
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

// TestDeepJSON: too deep nesting is an error with its place, even in parts that are skipped.
func TestDeepJSON(t *testing.T) {
	t.Parallel()
	nested := func(key string, depth int) string {
		return "{\"" + key + "\":\n" + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}"
	}
	for data, want := range map[string]string{
		nested("_", 9_999):  "",
		nested("_", 10_000): "x.json:2: nests too deep, column 10000",
		nested("a", 200):    "x.json:1: a: unknown key\nx.json:2: " + longTable,
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

// TestHostileJSON would run into its time limit, or fill the memory, if a file cost the
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
