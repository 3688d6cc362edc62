package markers

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// extract calls Extract with a copy of line, and returns the markers as text.
func extract(line string) (rest string, markers []string) {
	b, _ := Extract([]byte(line), func(m Marker) {
		if m.Value == nil {
			markers = append(markers, string(m.Key))
		} else {
			markers = append(markers, string(m.Key)+"="+string(m.Value))
		}
	})
	return string(b), markers
}

func TestExtract(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ line, rest, markers string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"{{key}}", "", "key"},
		{"{{key:42}}", "", "key=42"},
		{"{{key:-42}}", "", "key=-42"},
		{"{{key:1.50}}", "", "key=1.50"},
		{"{{key:-0.5}}", "", "key=-0.5"},
		{"{{9}}", "", "9"},
		{"{{_}}", "", "_"},
		{"{{a}}{{b}}", "", "a b"},
		{"x{{a}}y{{b:1}}z", "xyz", "a b=1"},
		{" {{a}} ", "  ", "a"},
		{"{{{a}}}", "{}", "a"},
		{"{{{{a}}}}", "{{}}", "a"},
		{"{{a}}b}}", "b}}", "a"},
		{"{{x {{a}}", "{{x ", "a"},
		{"{{", "{{", ""},
		{"{{}}", "{{}}", ""},
		{"{{a", "{{a", ""},
		{"{{a}", "{{a}", ""},
		{"{a}}", "{a}}", ""},
		{"{{a:}}", "{{a:}}", ""},
		{"{{a:-}}", "{{a:-}}", ""},
		{"{{a:+1}}", "{{a:+1}}", ""},
		{"{{a:.5}}", "{{a:.5}}", ""},
		{"{{a:1.}}", "{{a:1.}}", ""},
		{"{{a:1e3}}", "{{a:1e3}}", ""},
		{"{{a:0x1}}", "{{a:0x1}}", ""},
		{"{{a: 1}}", "{{a: 1}}", ""},
		{"{{a b}}", "{{a b}}", ""},
		{"{{a-b}}", "{{a-b}}", ""},
		{"{{é}}", "{{é}}", ""},
		{"{{__NEW_RUN_2026-11-23_20-15-01}}", "{{__NEW_RUN_2026-11-23_20-15-01}}", ""},
		{"{{__healthpool__api_beats}} ok", " ok", "__healthpool__api_beats"},
		{"{ {a}}", "{ {a}}", ""},
		{`{"a":{"b":{}}}`, `{"a":{"b":{}}}`, ""},
	} {
		rest, markers := extract(test.line)
		if rest != test.rest || strings.Join(markers, " ") != test.markers {
			t.Errorf("%q: %q, %q; want %q, %q", test.line, rest, markers, test.rest, test.markers)
		}
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ key, want string }{
		{"__healthpool__api_beats", "api beats"},
		{"__healthpool__api_init", "api init"},
		{"__healthpool__api_cap", "api cap"},
		{"__healthpool__api_depletion_rate", "api depletion_rate"},
		{"__healthpool__api_replenish_rate", "api replenish_rate"},
		{"__healthpool__main_loop_beats", "main_loop beats"},
		{"__healthpool___beats", ""},
		{"__healthpool____beats", "_ beats"},
		{"__healthpool__api_health", ""},
		{"__healthpool__api_running", ""},
		{"__healthpool__apibeats", ""},
		{"__healthpool__beats", ""},
		{"healthpool__api_beats", ""},
		{"beats", ""},
		{"__healthpool__" + strings.Repeat("a", 256-20) + "_beats", strings.Repeat("a", 256-20) + " beats"},
		{"__healthpool__" + strings.Repeat("a", 257-20) + "_beats", ""},
	} {
		category, property, ok := Marker{Key: []byte(test.key)}.Pool()
		got := ""
		if ok {
			got = fmt.Sprintf("%s %s", category, property)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.key, got, test.want)
		}
	}
}

// grammar is the documented syntax of a marker.
var grammar = regexp.MustCompile(`\{\{([A-Za-z0-9_]+)(?::(-?[0-9]+(?:\.[0-9]+)?))?\}\}`)

// FuzzExtract compares Extract with the regular expression, and a line that is cut by
// Unfinished with the whole line.
func FuzzExtract(f *testing.F) {
	for _, seed := range []string{
		"a {{b}} c {{d:1}}", "{{{a}}}", "{{a:1.5}}{{", "{{a:-}}", "{{a}{{b}}}", "}}{{a}}", "{{x\x00}}", "{{{{{{a:0}}",
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, line string, cut int) {
		rest, markers := extract(line)
		var want []string
		for _, m := range grammar.FindAllStringSubmatch(line, -1) {
			if m[2] == "" {
				want = append(want, m[1])
			} else {
				want = append(want, m[1]+"="+m[2])
			}
		}
		if wantRest := grammar.ReplaceAllString(line, ""); rest != wantRest || strings.Join(markers, " ") != strings.Join(want, " ") {
			t.Fatalf("%q: %q, %q; want %q, %q", line, rest, markers, wantRest, want)
		}
		if len(line) == 0 {
			return
		}
		cut = max(cut, -cut, 0) % len(line)
		cut -= Unfinished([]byte(line[:cut]))
		rest1, markers1 := extract(line[:cut])
		rest2, markers2 := extract(line[cut:])
		if rest1+rest2 != rest || strings.Join(append(markers1, markers2...), " ") != strings.Join(markers, " ") {
			t.Fatalf("%q cut at %d: %q, %q", line, cut, rest1+rest2, append(markers1, markers2...))
		}
	})
}

func BenchmarkExtract(b *testing.B) {
	plain := []byte(strings.Repeat("a line of ninety-two bytes ", 4)[:92])
	marked := []byte(`{"level":"info","msg":"frame"} {{frames}} {{fps:29.97}} and the rest of the line is text......`)
	for _, test := range []struct {
		name string
		line []byte
	}{{"plain", plain}, {"marked", marked}} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			f := func(Marker) { n++ }
			scratch := make([]byte, len(test.line))
			for b.Loop() {
				copy(scratch, test.line)
				Extract(scratch, f)
			}
		})
	}
}

// TestUnfinished cuts a line anywhere in the longest marker that is counted.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	marker := "{{" + strings.Repeat("k", longestKey) + ":" + strings.Repeat("1", 1<<10) + "}}"
	line := "text " + marker + " more"
	for cut := range line {
		want := 0
		if cut > len("text ") && cut < len("text ")+len(marker) {
			want = cut - len("text ")
		}
		if got := Unfinished([]byte(line[:cut])); got != want {
			t.Fatalf("cut at %d: %d bytes go on, want %d", cut, got, want)
		}
	}
}

// TestUnfinishedAtEach ends a line in every part of a marker, and in text that only looks like
// one.
func TestUnfinishedAtEach(t *testing.T) {
	t.Parallel()
	for tail, want := range map[string]int{
		"{": 1, "{{": 2, "{{{": 2, "{{k": 3, "{{k:": 4, "{{k:-": 5, "{{k:1": 5, "{{k:-1.": 7, "{{k:1.5": 7, "{{k}": 4, "{{k:1}": 6, "{{k}}{": 1, "{{a}}{{b": 3,
		"{{k}}": 0, "{{}": 0, "{{-": 0, "{{k ": 0, "{{k:a": 0, "{{k:}": 0, "{{k:1.}": 0, "{{k:1.2.": 0, "{{k::": 0, "{k": 0, "{{k}x": 0,
	} {
		if got := Unfinished([]byte("text " + tail)); got != want {
			t.Errorf("%s: %d bytes go on, want %d", tail, got, want)
		}
	}
}
