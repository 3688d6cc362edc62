package markers

import (
	"fmt"
	"strings"
	"testing"
)

// read calls a Reader with lines, and returns its texts, with their pieces joined, and its
// markers. A line that ends with a backslash is partial.
func read(limit int, lines ...string) (texts, markers []string) {
	var pieces strings.Builder
	r := NewReader(
		func(m Marker) { markers = append(markers, string(m.Key)) },
		func(text []byte, partial bool) {
			pieces.Write(text)
			if !partial {
				texts = append(texts, pieces.String())
				pieces.Reset()
			}
		})
	r.limit = limit
	for _, line := range lines {
		for {
			before, after, found := strings.Cut(line, overwritten)
			if !found {
				break
			}
			r.Overwritten([]byte(before))
			line = after
		}
		line, partial := strings.CutSuffix(line, "\\")
		r.Line([]byte(line), partial)
	}
	r.End()
	if pieces.Len() > 0 {
		texts = append(texts, "unfinished: "+pieces.String())
	}
	return texts, markers
}

// overwritten marks, in read's lines, the end of overwritten text.
const overwritten = "\x00\r"

func TestReader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ lines, want, markers string }{
		{"a;b", "a;b", ""},
		{"", "", ""},
		{"  a ", "  a ", ""},
		{"   ", "   ", ""},
		{"{{x}};{{x}} {{y}};\t{{x}} ", "", "xxyx"},
		{"a {{x}}", "a ", "x"},
		{">>|a|<<", "a", ""},
		{">>|a;b|<<", "a\nb", ""},
		{">>|;a;;b; |<<", "\na\n\nb\n ", ""},
		{"x>>|a;b|<<y", "x;a\nb;y", ""},
		{" >>|a|<< ;z", "a;z", ""},
		{">>|a|<<>>|b|<<c>>|d", "a;b;c;d", ""},
		{">>|a>>|b;|<<|<<", "a>>|b\n;|<<", ""},
		{"|<<;a|<<b", "|<<;a|<<b", ""},
		{">>||<<;>>|;  ;|<<", "", ""},
		{">>|<<;a", "<<\na", ""},
		{">>|a;b", "a\nb", ""},
		{">>|a {{x}};{{y}};b|<<{{z}}", "a \nb", "xyz"},
		{">>|{{x}};b{{y}}|<<", "\nb", "xy"},
		{">{{x}}>|a;b", ">>|a;b", "x"},
		{">>;|a", ">>;|a", ""},
		// Overwritten.
		{"{{x}}1%\r{{y}}2%\r{{x}}3%", "3%", "xyx"},
		{"a{{\rx}}", "x}}", ""},
		{"a>>|b\rc;d{{x}}|<<e", "c\nd;e", "x"},
		{">>|a;b|<<{{x}}c\rd", "a;d", "x"},
		{">>|a;b{{x}}\rc|<<d", "a\nc;d", "x"},
		{"a>>|b{{x}}|<<{{y}}c>>|{{x}}\rd;|<<", "d\n", "xyx"},
		{"a\\;b>>|c\rd;e|<<f", "a;d\ne;f", ""},
		{"a\\;b{{x}}\rc", "ac", "x"},
		// Lines in pieces.
		{"a\\;b\\;c", "abc", ""},
		{"a\\;{{x}};b", "a;b", "x"},
		{" \\;{{x}}y", " y", "x"},
		{">>|a\\;b;c\\;d|<<e\\;f", "ab\ncd;ef", ""},
		{"a\\;b>>|c\\;d;e|<<f", "ab;cd\ne;f", ""},
		{"a\\;>>|c|<<", "a;c", ""},
		{">>|a;{{x}}\\;b;c|<<", "a\nb\nc", "x"},
		{">>|a;{{x}} \\;{{y}}\\;b\\;c|<<", "a\n bc", "xy"},
		{">>|a; \\;{{x}}\\;;b|<<", "a\nb", "x"},
		{">>|a;{{x}}\\", "a", "x"},
	} {
		texts, markers := read(blockLimit, strings.Split(strings.ReplaceAll(test.lines, "\r", overwritten), ";")...)
		if got := strings.Join(texts, ";"); got != test.want || strings.Join(markers, "") != test.markers {
			t.Errorf("%q: %q, %q; want %q, %q", test.lines, got, markers, test.want, test.markers)
		}
	}
}

func TestBlockLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ lines, want string }{
		{">>|1234567890;|<<", "1234567890\n"},
		{">>|12345678901;|<<", "12345678901;|<<"},
		{">>|12345678901|<<;x", "12345678901;x"},
		{">>|123456789012|<<;x", "123456789012|<<;x"},
		{">>|123;456;789;0;x", "123\n456\n789;0;x"},
		{">>|123;456;7890;x", "123\n456;7890;x"},
	} {
		texts, _ := read(11, strings.Split(test.lines, ";")...)
		if got := strings.Join(texts, ";"); got != test.want {
			t.Errorf("%q: %q, want %q", test.lines, got, test.want)
		}
	}
	// A block of the full size is one text.
	lines := []string{">>|"}
	for range 10 {
		lines = append(lines, strings.Repeat("x", 1<<20-2))
	}
	texts, _ := read(blockLimit, append(lines, "|<<", "after")...)
	if len(texts) != 2 || len(texts[0]) != 10<<20-9 || texts[1] != "after" {
		t.Errorf("%d texts, the first of %d bytes", len(texts), len(texts[0]))
	}
}

// slowly does the work of a Reader on the whole input at once.
func slowly(input string) (texts, markers []string) {
	strip := func(s string) (string, bool) {
		for _, m := range grammar.FindAllStringSubmatch(s, -1) {
			markers = append(markers, m[1])
		}
		rest := grammar.ReplaceAllString(s, "")
		return rest, rest != s
	}
	empty := func(s string) bool { return strings.TrimSpace(s) == "" }
	rest := input
	cut := false // the text begins behind a block
	for rest != "" {
		line, _, _ := strings.Cut(rest, "\n")
		if i := strings.Index(line, ">>|"); i >= 0 {
			if text, _ := strip(line[:i]); !empty(text) {
				texts = append(texts, text)
			}
			block, after, closed := strings.Cut(rest[i+3:], "|<<")
			if !closed {
				block = strings.TrimSuffix(block, "\n")
			}
			var kept []string
			for j, l := range strings.Split(block, "\n") {
				if l, marked := strip(l); j == 0 || !marked || !empty(l) {
					kept = append(kept, l)
				}
			}
			if text := strings.Join(kept, "\n"); !empty(text) {
				texts = append(texts, text)
			}
			rest, cut = after, true
			continue
		}
		text, marked := strip(line)
		if text != "" && (!empty(text) || !marked && !cut) {
			texts = append(texts, text)
		}
		rest, cut = strings.TrimPrefix(rest[len(line):], "\n"), false
	}
	return texts, markers
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"a\nb\n", "x>>|a\nb {{k}}\n|<<y\n", ">>|{{a}}\n{{b}}\nc|<<\n", ">>|<<|<<>>|\n\n|<<", "{{a}}>>|\n {{b}} \n",
		">>>|a|<<<", " >>|  |<< \n|<<>>|x", ">>|a\n", "{{x}} \n \n", ">>|a\r\n|<<",
	} {
		f.Add(seed, 3)
	}
	f.Add(">>|a\n{{x}}b|<<", 4)
	f.Fuzz(func(t *testing.T, input string, piece int) {
		want, wantMarkers := slowly(input)
		lines := strings.Split(strings.TrimSuffix(input, "\n"), "\n")
		if strings.HasSuffix(input, "\\") || strings.Contains(input, "\\\n") || strings.Contains(input, overwritten) {
			return // read would take them for its own signs
		}
		got, markers := read(blockLimit, lines...)
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || fmt.Sprint(markers) != fmt.Sprint(wantMarkers) {
			t.Fatalf("%q:\n got %q, %q\nwant %q, %q", input, got, markers, want, wantMarkers)
		}
		// In pieces the result is the same, except that blanks may remain of a line.
		var pieces []string
		size := max(piece, -piece, 1)%16 + 1
		for _, line := range lines {
			for len(line) > size {
				n := size
				if n -= Unfinished([]byte(line[:size])); n == 0 {
					break
				}
				pieces = append(pieces, line[:n]+"\\")
				line = line[n:]
			}
			pieces = append(pieces, line)
		}
		visible := func(texts []string) (v []string) {
			for _, text := range texts {
				var lines []string
				for _, line := range strings.Split(text, "\n") {
					if strings.TrimSpace(line) != "" {
						lines = append(lines, line)
					}
				}
				if len(lines) > 0 {
					v = append(v, strings.Join(lines, "\n"))
				}
			}
			return v
		}
		parts, partMarkers := read(blockLimit, pieces...)
		if fmt.Sprintf("%q", visible(parts)) != fmt.Sprintf("%q", visible(want)) || fmt.Sprint(partMarkers) != fmt.Sprint(wantMarkers) {
			t.Fatalf("%q in pieces:\n got %q, %q\nwant %q, %q", pieces, parts, partMarkers, want, wantMarkers)
		}
	})
}
