package lines

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

type piece struct {
	text    string
	partial bool
}

// split feeds input to a Splitter in reads of the given sizes, over and over.
func split(input []byte, max int, reads []int) []piece {
	s := NewSplitter(max, nil)
	var got []piece
	collect := func(next func() (Line, bool)) {
		for line, ok := next(); ok; line, ok = next() {
			if line.Overwritten {
				continue
			}
			got = append(got, piece{string(line.Text), line.Partial})
		}
	}
	for i := 0; len(input) > 0; i++ {
		n := min(reads[i%len(reads)], len(input))
		n = copy(s.Space(), input[:n])
		s.Filled(n)
		input = input[n:]
		collect(s.Next)
	}
	collect(s.Last)
	return got
}

// reference splits the whole input at once, slowly.
func reference(input []byte, max int) []piece {
	var want []piece
	for len(input) > 0 {
		line, rest, ended := bytes.Cut(input, []byte("\n"))
		// A Splitter removes overwritten text as soon as it has a window of the line.
		for len(line) >= max+3 {
			if visible := overwritten(line[:max+3]); len(visible) < max+3 {
				line = line[max+3-len(visible):]
				continue
			}
			n := runes(line, max)
			want = append(want, piece{string(line[:n]), true})
			line = line[n:]
		}
		line = bytes.TrimRight(overwritten(line), "\r")
		for len(line) > max {
			n := runes(line, max)
			want = append(want, piece{string(line[:n]), true})
			line = line[n:]
		}
		if ended || len(line) > 0 {
			want = append(want, piece{string(line), false})
		}
		input = rest
	}
	return want
}

// overwritten returns the text behind the last "\r", trailing ones aside.
func overwritten(text []byte) []byte {
	for i := len(bytes.TrimRight(text, "\r")) - 1; i >= 0; i-- {
		if text[i] == '\r' {
			return text[i+1:]
		}
	}
	return text
}

// runes returns the offset to cut line at: max, or less, before a UTF-8 sequence that crosses
// max.
func runes(line []byte, max int) int {
	for back := 1; back <= 3; back++ {
		r, size := utf8.DecodeRune(line[max-back:])
		if (r != utf8.RuneError || size > 1) && size > back {
			return max - back
		}
	}
	return max
}

func TestSplit(t *testing.T) {
	t.Parallel()
	const max = 8
	whole := func(lines ...string) (p []piece) {
		for _, l := range lines {
			p = append(p, piece{l, false})
		}
		return p
	}
	for _, tt := range []struct {
		name, input string
		want        []piece
	}{
		{"nothing", "", nil},
		{"one line", "abc\n", whole("abc")},
		{"no end", "abc", whole("abc")},
		{"empty lines", "\n\r\n\n", whole("", "", "")},
		{"blank kept", "  a\t \n", whole("  a\t ")},
		{"crlf", "a\r\nb\r\n", whole("a", "b")},
		{"every cr at the end belongs to it", "a\r\r\n", whole("a")},
		{"nothing but cr", "\r\n\r\r\n", whole("", "")},
		{"progress", "10%\r20%\r100%\n\rc\nx\r\r y\n", whole("100%", "c", " y")},
		{"progress that ends with cr", "10%\r20%\r\r\n30%\r", whole("20%", "30%")},
		{"cr at the end", "a\r", whole("a")},
		{"long progress", "1234\r5678\r9012\r3456\r\n", whole("3456")},
		{"long progress, no end", "1234\r5678\r9012\r", whole("9012")},
		{"NUL and invalid UTF-8", "\x00\xff\xfe\n", whole("\x00\xff\xfe")},
		{"max", "12345678\n", whole("12345678")},
		{"max, crlf", "12345678\r\n", whole("12345678")},
		{"max, no end", "12345678", whole("12345678")},
		{"max, cr, no end", "12345678\r", whole("12345678")},
		{"max, cr, text", "12345678\rx\n", whole("x")},
		{"max+1, cr, text", "123456789\rx\n", whole("x")},
		{"max+3, cr, text", "12345678901\rx\n", []piece{{"12345678", true}, {"x", false}}},
		{"max, many cr", "12345678\r\r\r\r\n", []piece{{"12345678", true}, {"", false}}},
		{"max+1", "123456789\n", []piece{{"12345678", true}, {"9", false}}},
		{"2 max", "1234567812345678\nx\n", []piece{{"12345678", true}, {"12345678", false}, {"x", false}}},
		{"2 max+1, no end", "12345678123456789", []piece{{"12345678", true}, {"12345678", true}, {"9", false}}},
		{"rune kept whole", "123456é9\n1234567é9\n", []piece{{"123456é", true}, {"9", false}, {"1234567", true}, {"é9", false}}},
		{"four bytes kept whole", "12345😀9\n", []piece{{"12345", true}, {"😀9", false}}},
		{"binary cut where it is", "1234567\xc3\xc39\n", []piece{{"1234567\xc3", true}, {"\xc39", false}}},
	} {
		for _, reads := range [][]int{{1 << 20}, {1}, {2}, {3, 1, 5}} {
			got := split([]byte(tt.input), max, reads)
			if !equal(got, tt.want) {
				t.Errorf("%s, reads %v:\n got %+v\nwant %+v", tt.name, reads, got, tt.want)
			}
		}
	}
}

// TestOverwritten checks that overwritten text comes as soon as something follows the "\r".
func TestOverwritten(t *testing.T) {
	t.Parallel()
	for _, reads := range []struct{ input, want string }{
		{"10%\r|20%|\r|\r3|0%\r|\n", "|10%\r!||20%\r\r!||30%"},
		{"a\rb\rc\n\rd\n|e\r", "a\rb\r!c\r!d|"},
		{"12345678901\r2\r3\n", "12345678+901\r2\r!3"},
		{"1234567890\r2", "12345678+90\r!"},
		{"123456789\r2", "123456789\r!"},
	} {
		s := NewSplitter(8, nil)
		var got []string
		for _, input := range strings.Split(reads.input, "|") {
			s.Filled(copy(s.Space(), input))
			var now strings.Builder
			for line, ok := s.Next(); ok; line, ok = s.Next() {
				now.Write(line.Text)
				if line.Overwritten {
					now.WriteByte('!')
				} else if line.Partial {
					now.WriteByte('+')
				}
			}
			got = append(got, now.String())
		}
		if strings.Join(got, "|") != reads.want {
			t.Errorf("%q: got %q, want %q", reads.input, strings.Join(got, "|"), reads.want)
		}
	}
}

// TestTail cuts a line before the bytes that tail keeps whole.
func TestTail(t *testing.T) {
	t.Parallel()
	word := func(piece []byte) int { return len(piece) - 1 - bytes.LastIndexByte(piece, ' ') }
	s := NewSplitter(8, word)
	s.Filled(copy(s.Space(), "one two three-and-more x\n"))
	var got []string
	for line, ok := s.Next(); ok; line, ok = s.Next() {
		got = append(got, string(line.Text))
	}
	// A word longer than a piece is cut all the same.
	if want := "one two |three-an|d-more x"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

func TestLongLineNeedsLittleMemory(t *testing.T) {
	t.Parallel()
	const max = 64 << 10
	line := strings.Repeat("0123456789", 1<<20)
	s := NewSplitter(max, nil)
	var got strings.Builder
	for rest := line; len(rest) > 0; {
		n := copy(s.Space(), rest)
		s.Filled(n)
		rest = rest[n:]
		for l, ok := s.Next(); ok; l, ok = s.Next() {
			if len(l.Text) != max || !l.Partial {
				t.Fatalf("a piece of %d bytes, partial %v", len(l.Text), l.Partial)
			}
			got.Write(l.Text)
		}
	}
	for l, ok := s.Last(); ok; l, ok = s.Last() {
		got.Write(l.Text)
	}
	if got.String() != line {
		t.Error("the pieces are not the line")
	}
	if cap(s.buf) > max+utf8.UTFMax+2*readSize {
		t.Errorf("the buffer grew to %d bytes", cap(s.buf))
	}
}

func FuzzSplit(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, max, read uint8) {
		limit := int(max)%32 + utf8.UTFMax
		reads := []int{int(read)%17 + 1, int(read)/17 + 1}
		got, want := split(input, limit, reads), reference(input, limit)
		if !equal(got, want) {
			t.Errorf("max %d, reads %v:\n got %+v\nwant %+v", limit, reads, got, want)
		}
	})
}

// TestSeeds fails if the committed seeds of the fuzz target are gone.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzSplit"); err != nil || len(seeds) < 8 {
		t.Errorf("%d seeds, %v", len(seeds), err)
	}
}

func equal(a, b []piece) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
