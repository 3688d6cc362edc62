package jsontext

import (
	"strconv"
	"strings"
	"testing"
)

// TestBrokenTexts breaks a text with every kind of value, in every place and in many ways,
// and compares with encoding/json.
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

func TestDepth(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", MaxDepth)
	for text, want := range map[string]bool{
		deep + strings.Repeat("]", MaxDepth):         true,
		deep + "1" + strings.Repeat("]", MaxDepth):   true,
		deep + "{}" + strings.Repeat("]", MaxDepth):  false,
		"[" + deep + strings.Repeat("]", MaxDepth+1): false,
		deep: false,
	} {
		if s := (Scanner{Text: []byte(text)}); (s.Value() && s.End()) != want {
			t.Errorf("%s: want %v", text, want)
		}
		compareScan(t, []byte(text))
	}
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

// TestBombs reads hostile texts. If one cost the square of its length, the test would time
// out.
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
	Unquote(AppendString(nil, text))
}

func TestNoAllocations(t *testing.T) {
	text := []byte(`{"level":"info","a":[1,{"b":"\u00e9"}],"c":tru}`)
	var dst []byte
	if n := testing.AllocsPerRun(100, func() {
		s := Scanner{Text: text}
		s.Value()
		dst = AppendString(dst[:0], text)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
