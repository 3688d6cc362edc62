package pattern

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// compare wants that a pattern means what it means to package regexp, and that it is
// refused if and only if it is there, but for what is said not to be supported.
func compare(t *testing.T, pattern, text string) {
	t.Helper()
	p, err := Compile(pattern)
	re, oracle := regexp.Compile(pattern)
	if err != nil {
		if oracle == nil && !beyond(pattern, err) {
			t.Fatalf("%q: %v", pattern, err)
		}
		return
	}
	if oracle != nil {
		t.Fatalf("%q: nil, want %v", pattern, oracle)
	}
	for range 2 { // nothing is left of the first time
		if got, want := p.Match([]byte(text)), re.MatchString(text); got != want {
			t.Fatalf("%q in %q: %v, want %v", pattern, text, got, want)
		}
	}
}

// beyond reports whether the documentation says that the pattern is refused.
func beyond(pattern string, err error) bool {
	said := err.Error()
	return strings.Contains(said, `no \p`) || strings.Contains(said, `no \P`) ||
		strings.HasPrefix(said, "the pattern is too large") || len(pattern) > maxBytes ||
		strings.HasPrefix(said, "too many groups in groups") && strings.Count(pattern, "(") > maxDepth
}

var samples = []string{
	``, `a`, `abc`, `a.c`, `a\.c`, `.`, `^`, `$`, `^$`, `^a`, `a$`, `^abc$`, `\Aab`, `ab\z`, `a|b`, `|`, `a|`, `|a|bc|`, `ab|cd|ef`, `^ERROR|report$`,
	`(a|b)*c`, `(?:a|bc)+d`, `((a))`, `()`, `(|a)*b`, `(a*)*b`, `(a|b|)+c`, `(^|x)a`, `(^)*b`, `(\b)+a`, `(?:$)?x`, `a*`, `a+`, `a?`, `a*?b`, `a+?b`, `a??b`, `a{2}`, `a{2,}`, `a{0,2}b`, `a{2,3}c`,
	`a{0}`, `a{0}b`, `a{0,0}b`, `a{0,}b`, `a{1}`, `a{1,}b`, `a{`, `a{,2}`, `a{2`, `a{2,`, `a{02}`, `a{2,3}?b`, `a{x}`, `{`, `a{1000}`, `(a{10}){100}`, `(a{0}){1000}`, `(ab){3}`, `(a|b){3}c`, `(a*b?){2,4}c`,
	`\d`, `\D`, `\w+\s`, `\W`, `\s`, `\S+\d{3}`, `\bab\b`, `\Bb`, `\b`, `\B`, `a\b`, `^\b$`, `9\d degrees|^all`, `sensor [12]`, `WARN .* c="y z"`,
	`[a]`, `[abc]`, `[^abc]`, `[a-c]`, `[^a-c]`, `[]a]`, `[^]a]`, `[a-]`, `[-a]`, `[a-c-e]`, `[--/]`, `[+--]`, `[\d]`, `[^\d]`, `[\D]`, `[^\D]`, `[\W\d]`, `[^\W\d]`, `[\D\S]`, `[^\D\S]`, `[\]a]`, `[\^a]`, `[\-a]`, `[[a]`, `[[:a]`, `[a&&b]`,
	`[\x41-\x43]`, `[\t\n]`, `[é-ü]`, `[^é]`, `[[:alnum:]]`, `[[:alpha:]]`, `[[:ascii:]]`, `[[:blank:]]`, `[[:cntrl:]]`, `[[:digit:]]`, `[[:graph:]]`, `[[:lower:]]`, `[[:print:]]`, `[[:punct:]]`, `[[:space:]]`, `[[:upper:]]`, `[[:word:]]`, `[[:xdigit:]]`,
	`[[:^alpha:]]`, `[^[:alpha:]]`, `[^[:^alpha:]x]`, `[[:alpha:][:digit:]]`, `[:alpha:]`, `[[:alpha]`, `[[:beta:]]`,
	`\a\f\t\n\r\v`, `\x41`, `\x{41}`, `\x{10FFFF}`, `\x{110000}`, `\x{}`, `\x{`, `\x4`, `\x`, `\x{1F600}`, `\x{000041}`, `\x{d800}`, `[\x{d800}]`, `\x{fffd}`, `[\x{fffd}]`, `\xff`, `\101`, `\60`, `\07`, `\0`, `\8`, `\1`, `(a)\1`, `\08`, `\1234`,
	`\.\*\+\?\(\)\[\]\{\}\|\^\$\\`, `\_`, `\-\ \"\/`, `\é`, `\y`, `\Z`, `\C`, `\E`, `\<`, `\Qa.c\E`, `\Qa.c`, `a\Q\E*`, `\Qab\E*c`, `\Q`, `\Q\E`, `\Q\E*`, `\Qa\Q\E`,
	`(?i)abc`, `(?i)k`, `(?i)ſ`, `(?i)\x{212a}`, `(?i)[k]`, `(?i)[^k]`, `(?i)\w`, `(?i)\W`, `(?i)[\W]`, `(?i)[^\W]`, `(?i)[^\w]`, `(?i)[[:lower:]]`, `(?i)[[:^lower:]]`, `(?i)[^[:^upper:]]`, `(?i)é`, `(?i)ß`, `(?i)σ`, `(?i)ǆ`, `(?i)[a-c]x`, `(?i)[Z-a]`, `(?i)[¿-Ā]`,
	`a(?i)b`, `a(?i:b)c`, `(a(?i)b)c`, `a(?i)b|c`, `(?i)a(?-i)b`, `(?i)a(?-i:b)c`, `(?i)a*`, `a(?i)*b`, `a*(?i)*b`, `(?i)*`, `(?:a*)*b`, `(?is)a.b`, `(?s).`, `(?s)a.b`, `(?-s)a.b`, `(?m)^b$`, `(?m)a$`, `(?m)^`, `(?m)\Ab`, `(?m)a\z`, `(?U)a*b`, `(?imsU)a`, `(?i-s)a.b`, `(?s-i:a.b)`,
	`(?)a`, `(?:)a`, `(?-)a`, `(?i-)a`, `(?i-i)a`, `(?--i)a`, `(?x)a`, `(?i`, `(?`, `(?P<n>a)`, `(?<n>a)`, `(?P<>a)`, `(?P<n`, `(?P<n-m>a)`, `(?P=n)`, `(?P>n)`, `(?=a)`, `(?!a)`, `(?<=a)b`, `(?#a)`, `(?>a)`, `(?P<é>a)`,
	`*`, `+`, `?`, `{2}`, `a**`, `a*+`, `a*??`, `a+*`, `a{2}{3}`, `a{2}*`, `a|*`, `(*a)`, `^*`, `^+a`, `$*a`, `\b*a`, `(?:)*`, `a{1001}`, `a{3,2}`, `a{2,1001}`, `a{99999999999999999999}`, `a{1,99999999999999999999}`, `(a{100}){11}`, `((a{10}){10}){11}`, `(a{2}b{3}){400}`,
	`(`, `)`, `a)`, `(a`, `(()`, `())`, `[`, `[a`, `[^`, `[]`, `[^]`, `[b-a]`, `[a-\d]`, `[\d-z]`, `\`, `a\`, `[\`, `[a\`, `[a-`, `[a-\`, "\xff", "a\xffb", "[\xff]", `a�`, `�`, `[�]`, `[^�]`,
	`\pL`, `\p{Greek}`, `\PN`, `[\p{L}]`, `[^\PL]`, `.*.*.*x`, `(.*)(.*)(.*)`, `(x+x+)+y`, `aé.ü`, `日本`, `日.語`, `[日-本]+`,
	strings.Repeat("(", 90) + "a" + strings.Repeat(")", 90), strings.Repeat("(a|", 101) + strings.Repeat(")", 101), strings.Repeat("(", 5000),
}

var texts = []string{
	"", "a", "b", "c", "abc", "ABC", "aBc", "a.c", "xaby", "ab", "aab", "aaa", "aaaa", "bc", "bcbcd", "cd ef", "a b", " ab ", "a\nb", "a\n", "\n", "\nb\n", "b\nab\nb", "plain ERROR", "ERROR in text", "crash\nreport", "hot: error: 90 degrees", "all is well", "sensor 2: warm",
	`WARN  two words a=1 b=x c="y z" d={"e": [1]}`, "k", "K", "\u212a", "s", "ſ", "S", "é", "É", "ß", "ẞ", "σ", "ς", "Σ", "ǆ", "ǅ", "Ǆ", "ü", "ö", "日本語", "\U0001f600", "\xff", "a\xffb", "\xc3", "\xc3\xa9\xc3", "\xe6\x97", "\xed\xa0\x80", "�", "a�",
	"0", "9", "A", "Z", "_", "[", "]", "^", "-", "\\", "{", "}", "a{", "a{,2}", "a{2", "a{2,", "a{02}", "a{x}", "\t", "\v", "\x00", "\a\f\t\n\r\v", ".*+?()[]{}|^$\\", "- \"/", "x1", "xx", "abab", "ababab", "abaabc", "\u0100", "\x7f", "~", strings.Repeat("a", 999), strings.Repeat("a", 1001), strings.Repeat("x", 500),
	"01234567\x07", "\x004", "S4", "ababc", "ab|cd", "axc", "Ab", "aBC", "ac",
}

// TestAgree has each of many patterns look into each of many texts.
func TestAgree(t *testing.T) {
	t.Parallel()
	for _, pattern := range samples {
		for _, text := range texts {
			compare(t, pattern, text)
		}
	}
}

// TestEveryCharacter has sets look at each character that there is.
func TestEveryCharacter(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{`^(?i)[a-z]$`, `^(?i)\W$`, `^(?i)[^[:^lower:]]$`, `^(?i)[¿-ʀ]$`, `^(?i)[^Ͱ-\x{1e900}]$`, `(?i)[\D\x{104b0}]`, `[^\W_]`, `(?s).`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(pattern)
		for r := rune(0); r <= 0x1f000; r++ {
			if text := string(r); p.Match([]byte(text)) != re.MatchString(text) {
				t.Errorf("%s and %U: %v", pattern, r, !re.MatchString(text))
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Fuzz(compare)
}

// TestSeeds fails if the seeds are gone.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzMatch"); err != nil || len(seeds) < 30 {
		t.Errorf("%d seeds, %v", len(seeds), err)
	}
}

// TestErrors has what a person reads.
func TestErrors(t *testing.T) {
	t.Parallel()
	const elsewhere = " here (wrapp logs ... | grep -P may have it) at character "
	for pattern, want := range map[string]string{
		`a(b`:            "missing closing ) for the group at character 2",
		`é(a))`:          "unexpected ) at character 5",
		`a[^b`:           "missing closing ] for the set at character 2",
		`a[]`:            "missing closing ] for the set at character 2",
		`*a`:             "nothing to repeat at character 1",
		`a|+`:            "nothing to repeat at character 3",
		`a+*`:            "nothing to repeat at character 3",
		`a{1001}`:        "{1001} is from more to less, or more than 1000 times in all, at character 2",
		`a{3,2}`:         "{3,2} is from more to less, or more than 1000 times in all, at character 2",
		`(a{100}){11}`:   "{11} is from more to less, or more than 1000 times in all, at character 9",
		`[za-f]`:         "",
		`[zf-a]`:         "a range from high to low at character 3",
		`a\`:             `trailing \ at character 2`,
		"\xff":           "no UTF-8 at character 1",
		`x\p{Greek}`:     `no \p` + elsewhere + "2",
		`[\PL]`:          `no \P` + elsewhere + "2",
		`(a)\1`:          `no \1` + elsewhere + "4",
		`\y`:             `no \y` + elsewhere + "1",
		`a(?=b)`:         `no (?=` + elsewhere + "2",
		`a(?<!b)`:        `no (?<!` + elsewhere + "2",
		`(?i-x)`:         `no (?i-x` + elsewhere + "1",
		`[[:beta:]]`:     `no [:beta:]` + elsewhere + "2",
		`\x{110000}`:     `no \x{110000` + elsewhere + "1",
		`(\w{500}){2,}b`: "",
		`[a-z]{1000}.{1000}(\w\W\d\D\s\S\b\B){1000}(abc){9}`: "the pattern is too large at character 45",
		strings.Repeat("(", 101):                             "too many groups in groups at character 101",
		strings.Repeat("a", 16385):                           "more than 16 KiB at character 16385",
	} {
		_, err := Compile(pattern)
		if got := errorText(err); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestNoAllocations has a line that is looked at take no memory.
func TestNoAllocations(t *testing.T) {
	for _, pattern := range []string{"warm", `(?i)WARM.*\d$`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		line := []byte("sensor 1 is warm: 90")
		if n := testing.AllocsPerRun(100, func() { p.Match(line) }); n > 0 {
			t.Errorf("%s: %v allocations", pattern, n)
		}
	}
}
