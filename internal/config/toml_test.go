package config

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// Each row is a document and its error, empty if it is valid.
var tomlForms = []struct{ data, want string }{
	// Tables.
	{"[a]\nx = 1\n[a.b]\nx = 1\n[c]\n[a.b.d]", ""},
	{"[a.b.c]\n[a.b]\n[a]\nx.y = 1", ""},
	{"[a]\n\n[ 'a' ]", "3: table a already exists"},
	{"[a.b]\n[a]\n[a]", "3: table a already exists"},
	{"a.b.c = 1\n[a.d]\n[a.b.e]", ""},
	{"a.b.c = 1\n[a.b]", "2: table b already exists as defined by a dotted key"},
	{"a = 1\n[a]", "2: key a should be a table, not a value"},
	{"a = {}\n[a]", "2: key a should be a table, not a value"},
	{"a = 1\n[a.b]", "2: key a already exists as a value"},
	{"a = {b = {}}\n[a.b.c]", "2: key a already exists as a value"},
	{"[a]\nb.c = {}\n[a.b.c.d]", "3: key c already exists as a value"},

	// Dotted keys.
	{"a.b = 1\na.c = 1\n\"a\" . 'd' = 1", ""},
	{"a.b.c = 1\nx = 1\na.b.d = 1", ""},
	{"a.b = 1\na.b = 1", "2: key b is already defined"},
	{"a.b = 1\na.b.c = 1", "2: key b is already defined"},
	{"a.b = 1\na = 1", "2: key a is already defined"},
	{"[a.b]\n[a]\nb.c = 1", "3: key b is already defined"},
	{"[[a.b]]\n[a]\nb.c = 1", "3: key b is already defined"},
	{"a = {}\na.b = 1", "2: key a is already defined"},

	// Inline tables.
	{"a = {b = 1, c.d = 2, c.e = [{f = 1}, {f = 1}],}\nb = {\n\n# x\nc = {}\n}", ""},
	{"a = {b = 1, c = 1,\nb = 1}", "1: key b is already defined"},
	{"a = [[{b = {c.d = 1,\n\nc.d = 1}}]]", "1: key d is already defined"},
	{"a = {b = {c = 1}, b.d = 1}", "1: key b is already defined"},
	{"a = {b.c = 1, b = {}}", "1: key b is already defined"},

	// Lists of tables.
	{"[[a]]\nx = 1\n[a.b]\n[[a.c]]\n[[a.c]]\n[a.c.d]\n[[a]]\n[a.b]\nx = 2\n[[a.c]]", ""},
	{"[[a]]\nb.c = 1\n[a.b.d]\n[[a]]\nb.c = 1", ""},
	{"a = []\n[[a]]", "2: key a already exists as a value, but should be an array table"},
	{"a = [{}]\n[[a]]", "2: key a already exists as a value, but should be an array table"},
	{"a = [{}]\n[a.b]", "2: key a already exists as a value"},
	{"a = [1, [{b = 1}]]\n[a.b]", "2: key a already exists as a value"},
	{"[a]\n[[a]]", "2: key a already exists as a table, but should be an array table"},
	{"a.b = 1\n[[a]]", "2: key a already exists as a kv-table, but should be an array table"},
	{"[a.b]\n[[a]]", "2: key a already exists as a table, but should be an array table"},
	{"[[a]]\n[a]", "2: table a already exists as an array of tables"},
	{"[[a]]\n[a.b]\n[a.b]", "3: table b already exists"},
	{"[[a]]\nb = 1\n[[a.b]]", "3: key b already exists as a value, but should be an array table"},
	{"[[a.b]]\n[[a]]", "2: key a already exists as a table, but should be an array table"},

	// Numbers.
	{"a = [0, +0, -0, 1_000, 0xDEAD_beef, 0o7_7, 0b1_0, 9223372036854775807, -9223372036854775808]", ""},
	{"a = [0x7fffffffffffffff, 0x000000000000000000001, 0o777777777777777777777, 0b" + strings.Repeat("1", 63) + "]", ""},
	{"\na = 9223372036854775808", "2: decimal number is too large to fit in a 64-bit signed integer"},
	{"a = -9223372036854775809", "1: decimal number is too large to fit in a 64-bit signed integer"},
	{"a = [1,\n0x8000000000000000]", "2: hexadecimal number is too large to fit in a 64-bit signed integer"},
	{"a = 0o1000000000000000000000", "1: octal number is too large to fit in a 64-bit signed integer"},
	{"a = 0b1" + strings.Repeat("0", 63), "1: binary number is too large to fit in a 64-bit signed integer"},
	{"a = 012", "1: integers cannot have leading zeroes"},
	{"a = 1__2", "1: number must have at least one digit between underscores"},
	{"a = [0.0, -1.5e-1_0, 6e+02, 1e308, 1.7976931348623158e308, 0.001e311, 0e999, 0.0e99999999999999999999, 1e-99999999999999999999]", ""},
	{"a = [inf, +inf, -inf, nan, +nan, -nan]", ""},
	{"a = 1e309", "1: unable to parse float"},
	{"a = 1.797693134862316e308", "1: unable to parse float"},
	{"a = [\n-0.001e312]", "2: unable to parse float"},
	{"a = 12_345.6e304", ""},
	{"a = 12_345.6e305", "1: unable to parse float"},
	{"a = 1e99999999999999999999", "1: unable to parse float"},

	// Dates and times.
	{"a = [\n2023-02-29]", "2: impossible date"},
	{"a = [\n2023-1-01]", "2: dates are expected to have the format YYYY-MM-DD"},
	{"a = 24:00", "1: hour cannot be greater 23"},
	{"a = 00:00:60", "1: seconds cannot be greater than 59"},
	{"a = 2023-01-01T00:00+24:00", "1: invalid timezone offset hours"},
	{"a = 2023-01-01T00:00ZZ", "1: extra bytes at the end of the timezone"},
	{"a = [0000-01-01, 2024-02-29, 2000-02-29, 2023-12-31, 00:00, 23:59:59, 12:30:00.123456789012]", ""},
	{"a = [2024-02-29T00:00, 2024-02-29t00:00:00, 2024-02-29 00:00:00.5, 2024-02-29 00:00Z, 2024-02-29T00:00:00z]", ""},
	{"a = [2024-02-29T00:00+23:59, 2024-02-29T00:00:00.1-00:00]", ""},
}

func TestTOMLForms(t *testing.T) {
	t.Parallel()
	for _, row := range tomlForms {
		got := ""
		for _, e := range readTOML([]byte(row.data)).errs {
			got += strings.TrimPrefix((&Error{File: "x", Line: e.Line, Msg: e.Msg}).Error(), "x:")
		}
		if got != row.want {
			t.Errorf("%s\ngot  %s\nwant %s", row.data, got, row.want)
		}
	}
}

const tomlSeeds = "testdata/fuzz/FuzzTOML"

// FuzzTOML: every key of the tree and every error has a line within the file.
func FuzzTOML(f *testing.F) {
	for _, row := range tomlForms {
		f.Add([]byte(row.data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc := readTOML(data)
		if (doc.root == nil) != (len(doc.errs) > 0) {
			t.Errorf("%q: %v beside %v", data, doc.errs, doc.root)
		}
		for name := range doc.root {
			if doc.lines[join("", name)] == 0 {
				t.Errorf("%q: %s has no line", data, name)
			}
		}
		most := 1 + bytes.Count(data, []byte("\n"))
		for key, line := range doc.lines {
			if line < 1 || line > most {
				t.Errorf("%q: %s is on line %d", data, key, line)
			}
		}
		for _, e := range doc.errs {
			if e.Line < 1 || e.Line > most {
				t.Errorf("%q: %s on line %d", data, e.Msg, e.Line)
			}
		}
	})
}

func TestTOMLSeedsAreThere(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir(tomlSeeds)
	if err != nil || len(seeds) < 5 {
		t.Errorf("%d seeds in %s, %v", len(seeds), tomlSeeds, err)
	}
}

// Errors about deep or long nesting need bounded memory and stack.
func TestTOMLIsBounded(t *testing.T) {
	t.Parallel()
	const size = maxFile / 8
	const tooLong = "the whole name of a table or list is longer than 512 bytes"
	for name, row := range map[string]struct{ data, want string }{
		"keys":           {strings.Repeat("a.", size/2) + "a = 1", tooLong},
		"header":         {"[" + strings.Repeat("a.", size/2) + "a]", tooLong},
		"list of tables": {"[[" + strings.Repeat("a.", size/2) + "a]]", tooLong},
		"lists":          {"a = " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), tooLong},
		"inline tables":  {strings.Repeat("a={", 9000) + strings.Repeat("}", 9000), tooLong},
		"open lists":     {"a = " + strings.Repeat("[", size), "arrays and inline tables are nested more than the maximum of 10000 levels deep"},
		"open tables":    {strings.Repeat("a={", size/3), "arrays and inline tables are nested more than the maximum of 10000 levels deep"},
		"keys below":     {"[" + strings.Repeat("a", 600) + "]\n" + strings.Repeat("a=1\n", size/4), tooLong},
		"long name":      {strings.Repeat("a", size) + " = 1", ""},
		"last":           {"[" + strings.Repeat("a", 512) + "]\nb = 1", ""},
		"many":           {strings.Repeat("[[a]]\n[a.b]\n[[a.b.c]]\nd.e=1\n", size/30), ""},
	} {
		doc := readTOML([]byte(row.data))
		if row.want == "" {
			if doc.errs != nil {
				t.Errorf("%s: %v", name, doc.errs)
			}
		} else if len(doc.errs) != 1 || doc.errs[0].Msg != row.want {
			t.Errorf("%s: %v", name, doc.errs)
		}
	}
}
