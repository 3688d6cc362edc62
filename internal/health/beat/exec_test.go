package beat

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
		if got, _, err := words(test.line); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v", test.line, got, err)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a\`, `"a'`} {
		if got, _, err := words(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// TestShellSign: signs that only a shell obeys are found, unless the command is a shell or
// quotes protect them.
func TestShellSign(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"exec:curl -f http://127.0.0.1:1/ || exit 1": "|",
		"exec:a && b":               "&",
		"exec:a > /dev/null":        ">",
		"exec:a $HOME":              "$",
		`exec:a "$HOME"`:            "$",
		"exec:a `b`":                "`",
		"exec:cat ~/x":              "~",
		"exec:ls *.pid":             "*",
		"exec:a; b":                 ";",
		"exec:a 'b | c' \"d > e\"":  "",
		`exec:a \$x \| '$y'`:        "",
		"exec:a b~c http://h/?a=1":  "",
		`exec:sh -c "a | b $X"`:     "",
		"exec:/bin/bash -c 'a | b'": "",
		"http://h/?a&b":             "",
		"marker":                    "",
	} {
		if got := ShellSign(source); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}
