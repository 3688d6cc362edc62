package jsontext

import (
	"strconv"
	"strings"
	"testing"
)

// TestBrokenTexts breaks a text that has everything in it, in every place and in
// many ways, and compares with encoding/json what is said of it.
func TestBrokenTexts(t *testing.T) {
	t.Parallel()
	const whole = ` {"a\u00e9\n":[1, -0.5e+10,true , false,null,[],{}],"":{"b":"\\", "c" : 0E1 } }` + "\n"
	compareScan(t, []byte(whole))
	for i := range len(whole) {
		compareScan(t, []byte(whole[:i]))
		compareScan(t, []byte(whole[:i]+whole[i+1:]))
		for _, c := range []byte("{}[]\",:0123e.-+utrfn/ \\\n\x00\x7f\xff") {
			compareScan(t, []byte(whole[:i]+string(rune(c))+whole[i:]))
			compareScan(t, []byte(whole[:i]+string([]byte{c})+whole[i+1:]))
		}
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", MaxDepth)
	for _, row := range []struct {
		text, want string
		at         int
	}{
		{``, "unexpected end of JSON input", 0},
		{` {"a":`, "unexpected end of JSON input", 6},
		{`tru`, "unexpected end of JSON input", 3},
		{`-`, "unexpected end of JSON input", 1},
		{`"\u12`, "unexpected end of JSON input", 5},
		{`secret`, "invalid character looking for beginning of value", 0},
		{`[1,]`, "invalid character looking for beginning of value", 3},
		{`nil`, "invalid character in literal null (expecting 'u')", 1},
		{`{,}`, "invalid character looking for beginning of object key string", 1},
		{`{"a":1,}`, "invalid character looking for beginning of object key string", 7},
		{`{"a"=1}`, "invalid character after object key", 4},
		{`{"a":1;}`, "invalid character after object key:value pair", 6},
		{`{"a":01}`, "invalid character after object key:value pair", 6},
		{`[1 2]`, "invalid character after array element", 3},
		{`[1}`, "invalid character after array element", 2},
		{"\"a\tb\"", "invalid character in string literal", 2},
		{`"\'"`, "invalid character in string escape code", 2},
		{`"\u00g0"`, `invalid character in \u hexadecimal character escape`, 5},
		{`-a`, "invalid character in numeric literal", 1},
		{`1.e5`, "invalid character after decimal point in numeric literal", 2},
		{`1e+-5`, "invalid character in exponent of numeric literal", 3},
		{`{} x`, "invalid character after top-level value", 3},
		{deep + `[`, "nests deeper than 256", MaxDepth},
		{deep + `{"a":1}`, "nests deeper than 256", MaxDepth},
		{deep + `1`, "unexpected end of JSON input", MaxDepth + 1},
	} {
		s := Scanner{Text: []byte(row.text)}
		if s.Value() && s.End() || s.Problem() != row.want || s.At != row.at {
			t.Errorf("%s: %s at %d, want %s at %d", row.text, s.Problem(), s.At, row.want, row.at)
		}
		compareScan(t, []byte(row.text))
	}
	compareScan(t, []byte(deep+strings.Repeat("]", MaxDepth)))
}

// TestStrings tries every code unit alone, halves of surrogate pairs in all orders,
// and bytes that are no UTF-8.
func TestStrings(t *testing.T) {
	t.Parallel()
	parts := []string{`a`, `\\`, `\ud800`, `\uDBFF`, `\udc00`, `\uDFFF`, `\u0041`, `\uFFFD`, "\xff", "\xed\xa0\x80", "é", "\u2028", "\U0001f600", `\`, `\u`, `"`, "\x7f\b\f"}
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				compareString(t, []byte(a+b+c))
			}
		}
	}
	for r := range rune(0x10000) {
		unit := "0000" + strconv.FormatInt(int64(r), 16)
		compareString(t, []byte(`\u`+unit[len(unit)-4:]))
		compareString(t, []byte(string(r)))
	}
}

// TestBombs would not end in its time if one cost the square of its length.
func TestBombs(t *testing.T) {
	t.Parallel()
	const n = 1 << 20
	for _, text := range []string{
		strings.Repeat("[", n), strings.Repeat(`{"a":`, n), `"` + strings.Repeat(`\ud800`, n) + `"`,
		`[` + strings.Repeat("1,", n) + `1]`, `"` + strings.Repeat(`\`, n), strings.Repeat("9", n),
	} {
		compareScan(t, []byte(text))
	}
	text := []byte(strings.Repeat("\xff", n))
	Unquote(AppendString(nil, text, true))
}

func TestNoAllocations(t *testing.T) {
	text := []byte(`{"level":"info","a":[1,{"b":"\u00e9"}],"c":tru}`)
	var dst []byte
	if n := testing.AllocsPerRun(100, func() {
		s := Scanner{Text: text}
		s.Value()
		dst = AppendString(dst[:0], text, true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
