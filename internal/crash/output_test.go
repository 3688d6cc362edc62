package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	t.Parallel()
	type read struct {
		pipe int
		text string
	}
	for _, tt := range []struct {
		name  string
		reads []read
		n     int
		want  []string
	}{
		{"nothing", nil, 5, nil},
		{"lines", []read{{0, "one\ntwo\r\nthree\n"}}, 5, []string{"one", "two", "three"}},
		{"the last", []read{{0, "one\ntwo\nthree\n"}}, 2, []string{"two", "three"}},
		{"no end", []read{{0, "one\ntw"}, {0, "o"}}, 5, []string{"one", "two"}},
		{"in the order of their ends", []read{{0, "out be"}, {1, "err\n"}, {0, "gun\n"}}, 5, []string{"err", "out begun"}},
		{"two without an end", []read{{0, "out"}, {1, "err"}}, 5, []string{"out", "err"}},
		{"blank lines", []read{{0, "a\n\nb\n"}}, 5, []string{"a", "", "b"}},
		{"control", []read{{0, "\x1b[31mred\xff\n"}}, 5, []string{"�[31mred�"}},
	} {
		tail := newTail(10)
		for _, r := range tt.reads {
			tail.add(r.pipe, []byte(r.text))
		}
		if got := tail.lines(tt.n); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	var none *tail
	if newTail(0) != nil || none.lines(5) != nil {
		t.Error("a tail for no lines is not nil")
	}
}

// TestTailWraps writes more than there is room for, in reads of every size.
func TestTailWraps(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	all := text.String()
	for _, size := range []int{1, 7, 1000, leastRoom - 1, leastRoom, leastRoom + 1, len(all)} {
		tail := newTail(10)
		for at := 0; at < len(all); at += size {
			tail.add(0, []byte(all[at:min(at+size, len(all))]))
		}
		got := tail.lines(10_000)
		if len(got) < 1000 || !strings.HasPrefix(got[0], "…") {
			t.Fatalf("size %d: %d lines from %q", size, len(got), got[:min(len(got), 3)])
		}
		for i, line := range got[1:] {
			if want := fmt.Sprintf("line %d", 20_000-len(got)+1+i); line != want {
				t.Fatalf("size %d: line %q, want %q", size, line, want)
			}
		}
	}
}

// TestTailOfTwo has one pipe's output overwrite the beginning of the other's.
func TestTailOfTwo(t *testing.T) {
	t.Parallel()
	tail := newTail(10)
	tail.add(1, []byte("error begins"))
	tail.add(0, []byte(strings.Repeat("x\n", leastRoom)))
	tail.add(1, []byte(" and ends\n"))
	got := tail.lines(2)
	if want := []string{"x", "… and ends"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// So many short reads exceed maxChunks, and the oldest lose their order.
	for i := range 3 * maxChunks {
		tail.add(i%2, []byte("y\n"))
	}
	if got := tail.lines(10); len(got) != 10 || got[9] != "y" {
		t.Errorf("%q", got)
	}
	tail.add(0, []byte(strings.Repeat("z", 2*longLine)+"\n"))
	if got := tail.lines(1); len(got) != 1 || len(got[0]) > longLine+10 {
		t.Errorf("a line of %d bytes", len(got[0]))
	}
}

func BenchmarkTail(b *testing.B) {
	tail := newTail(50)
	text := []byte(strings.Repeat("an ordinary line of some length, as apps write them\n", 1260))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tail.add(0, text)
	}
}
