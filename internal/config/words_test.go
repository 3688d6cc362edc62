package config

import (
	"slices"
	"testing"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{" \t ", nil},
		{"a", []string{"a"}},
		{" a  bc\td ", []string{"a", "bc", "d"}},
		{`sh -c 'curl -f "http://x" | grep -q ok'`, []string{"sh", "-c", `curl -f "http://x" | grep -q ok`}},
		{`a "b c" d"e f"g`, []string{"a", "b c", "de fg"}},
		{`'' ""`, []string{"", ""}},
		{`a\ b \'c\"`, []string{"a b", `'c"`}},
		{`"a\"b" 'c\'`, []string{`a"b`, `c\`}},
		{"é 'ü ö'", []string{"é", "ü ö"}},
	} {
		if got, err := Words(test.line); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v", test.line, got, err)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a\`, `"a'`} {
		if got, err := Words(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}
