package traceback

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// feed passes lines, all at once, to a Recognizer and closes it.
func feed(all ...string) []Report {
	return recognise([]byte(strings.Join(all, "\n")+"\n"), 4096)
}

const (
	goStart = "panic: boom\n\ngoroutine 1 [running]:\nmain.main()"
	goPlace = "\t/app/main.go:3 +0x1d"
)

func TestGap(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		idle  bool
		want  int // reports before the last line
	}{
		{"at once", 0, false, 0},
		{"just in time", gap - 1, false, 0},
		{"just in time, asked", gap - 1, true, 0},
		{"overdue", gap, false, 1},
		{"overdue, asked", gap, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var reports []Report
			r := New(func(report Report) { reports = append(reports, report) })
			now := time.Unix(1e9, 0)
			begin := now
			for line := range strings.SplitSeq(goStart, "\n") {
				r.Line([]byte(line), now)
				now = now.Add(time.Millisecond)
			}
			end := now.Add(-time.Millisecond)
			if !r.Open() {
				t.Fatal("no block is open")
			}
			now = end.Add(test.after)
			if test.idle {
				r.Idle(now)
				if len(reports) != test.want || r.Open() != (test.want == 0) {
					t.Fatalf("%d reports, open: %v", len(reports), r.Open())
				}
			}
			r.Line([]byte(goPlace), now)
			if len(reports) != test.want {
				t.Fatalf("%d reports, want %d", len(reports), test.want)
			}
			r.Close()
			text := goStart
			if test.want == 0 {
				text, end = text+"\n"+goPlace, now
			}
			if len(reports) != 1 || reports[0].Text != text {
				t.Fatalf("%+v", reports)
			}
			if r := reports[0]; !r.Begin.Equal(begin) || !r.End.Equal(end) {
				t.Errorf("from %v to %v, want %v to %v", r.Begin, r.End, begin, end)
			}
		})
	}
}

// TestSlowGap waits longer for runtimes that resolve symbols.
func TestSlowGap(t *testing.T) {
	n := 0
	r := New(func(Report) { n++ })
	now := time.Unix(1e9, 0)
	r.Line([]byte("==1==ERROR: AddressSanitizer: SEGV on unknown address"), now)
	now = now.Add(slowGap - 1)
	r.Idle(now)
	r.Line([]byte("    #0 0x12 in main a.c:1"), now)
	r.Line([]byte("==1==ABORTING"), now)
	if n != 1 || r.Open() {
		t.Errorf("%d reports, open: %v", n, r.Open())
	}
}

// TestAside has foreign lines between those of a traceback.
func TestAside(t *testing.T) {
	head := strings.Split(goStart, "\n")
	for n, kept := range map[int]bool{0: true, 1: true, asideLines: true, asideLines + 1: false} {
		all := append([]string{}, head...)
		for i := range n {
			all = append(all, fmt.Sprint("another thread's line ", i))
		}
		reports := feed(append(all, goPlace, "an end")...)
		if len(reports) != 1 {
			t.Fatalf("%d lines aside: %d reports", n, len(reports))
		}
		want := goStart
		if kept {
			want = strings.Join(append(all, goPlace), "\n")
		}
		if reports[0].Text != want {
			t.Errorf("%d lines aside:\n%s", n, reports[0].Text)
		}
	}
	reports := feed(goStart, strings.Repeat("x", asideBytes), goPlace)
	if len(reports) != 1 || reports[0].Text != goStart {
		t.Errorf("a long line aside: %d reports", len(reports))
	}
}

// TestText has texts that just fit, and longer ones.
func TestText(t *testing.T) {
	for _, size := range []int{0, 1, headSize - 1, headSize, headSize + 1, headSize + tailSize, headSize + tailSize + 1, 3 << 20} {
		for _, width := range []int{1, 80, 5000, 1 << 20} {
			var whole []byte
			for i := 0; len(whole) < size; i++ {
				line := fmt.Sprintf("%d:%s", i, strings.Repeat("-", width))
				whole = append(whole, line[:min(len(line), size-len(whole))]...)
				whole = append(whole, '\n')
			}
			for _, step := range []int{1 << 10, 1<<20 + 3} {
				var x text
				for rest := whole; len(rest) > 0; rest = rest[min(step, len(rest)):] {
					x.add(rest[:min(step, len(rest))])
				}
				got := x.bytes()
				if len(whole) <= headSize+tailSize {
					if !bytes.Equal(got, bytes.TrimSuffix(whole, newline)) {
						t.Errorf("%d of width %d: not the same", size, width)
					}
					continue
				}
				i := bytes.Index(got, []byte("[… "))
				if i < 0 {
					t.Fatalf("%d of width %d: the cut does not show", size, width)
				}
				var cut int
				fmt.Sscanf(string(got[i:]), "[… %d bytes left out …]", &cut)
				_, tail, _ := bytes.Cut(got[i:], newline)
				head := bytes.TrimSuffix(got[:i], newline)
				if !bytes.HasPrefix(whole, head) || !bytes.HasSuffix(bytes.TrimSuffix(whole, newline), tail) {
					t.Errorf("%d of width %d: not its beginning and end", size, width)
				}
				if off := cut + len(head) + len(tail) - len(whole); off < -2 || off > 2 {
					t.Errorf("%d of width %d: %d and %d kept, %d left out", size, width, len(head), len(tail), cut)
				}
				if width < 5000 && len(got) < headSize+tailSize-20000 || len(got) > headSize+tailSize+100 {
					t.Errorf("%d of width %d: %d bytes", size, width, len(got))
				}
			}
		}
	}
}

// TestEndless has an endless traceback.
func TestEndless(t *testing.T) {
	var reports []Report
	r := New(func(report Report) { reports = append(reports, report) })
	now := time.Unix(1e9, 0)
	for line := range strings.SplitSeq(goStart, "\n") {
		r.Line([]byte(line), now)
	}
	for range 200_000 {
		r.Line([]byte(goPlace), now)
		now = now.Add(time.Millisecond)
	}
	r.Line(bytes.Repeat([]byte("\t"), 5<<20), now)
	if held := cap(r.text.head) + cap(r.text.tail) + cap(r.aside); held > 400<<10 {
		t.Errorf("%d bytes are held", held)
	}
	r.Close()
	if len(reports) != 1 || len(reports[0].Text) > headSize+tailSize+100 || !strings.HasPrefix(reports[0].Text, goStart) {
		t.Errorf("%d reports", len(reports))
	}
	// The same Recognizer again.
	for line := range strings.SplitSeq(goStart, "\n") {
		r.Line([]byte(line), now)
	}
	r.Close()
	if len(reports) != 2 || reports[1].Text != goStart {
		t.Errorf("%d reports", len(reports))
	}
}

func TestTitle(t *testing.T) {
	for _, long := range []string{"x", "é", "\x00", "\xff"} {
		reports := feed("panic: "+strings.Repeat(long, 4*maxTitle), "", "goroutine 1 [running]:", "main.main()")
		if len(reports) != 1 {
			t.Fatalf("%q: %d reports", long, len(reports))
		}
		if title := reports[0].Title; len(title) > maxTitle || !strings.HasPrefix(title, "panic:") {
			t.Errorf("%q: %q", long, title)
		}
	}
}

// TestTwoDeaths wants one death if a signal handler adds its report to the runtime's, and a
// second one if it comes later.
func TestTwoDeaths(t *testing.T) {
	assertion := "app: a.c:3: main: Assertion `0' failed."
	python := []string{"Fatal Python error: Aborted", "", "Current thread 0x1 (most recent call first):", `  File "a.py", line 3 in f`}
	reports := feed(append([]string{assertion}, python...)...)
	if len(reports) != 1 || reports[0].Title != assertion || !strings.HasSuffix(reports[0].Text, python[3]) {
		t.Errorf("%+v", reports)
	}
	var found []Report
	r := New(func(report Report) { found = append(found, report) })
	now := time.Unix(1e9, 0)
	r.Line([]byte(assertion), now)
	now = now.Add(gap)
	for _, line := range python {
		r.Line([]byte(line), now)
	}
	r.Close()
	if len(found) != 2 || found[0].Title != assertion || found[1].Title != python[0] {
		t.Errorf("%+v", found)
	}
	// A server that panics, is started again and panics again.
	if reports := feed(goStart, goPlace, "listening", goStart, goPlace); len(reports) != 2 {
		t.Errorf("%d reports", len(reports))
	}
}

// TestNoAllocation wants no allocation for ordinary lines, whatever they begin with.
func TestNoAllocation(t *testing.T) {
	all := bytes.Split(ordinaryLines(t), newline)
	r := New(nil)
	now := time.Unix(1e9, 0)
	if n := testing.AllocsPerRun(100, func() {
		for _, line := range all {
			r.Line(line, now)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLine measures the recogniser's time for a line of 92 bytes.
func BenchmarkLine(b *testing.B) {
	for _, start := range []string{
		"2026-11-23T23:16:12.123Z INFO request", "1700000000.123 request", `{"level":"info","msg":"request"`,
		"[info] request", "INFO: request", "request", "fetched", "  request", "the request", "main.c:12: request",
		"/var/lib/app: request", "FETCH request", "https://example.org/", "request\tof\tseven\twords\tand\tno\tspace",
	} {
		line := []byte((start + strings.Repeat(" with some words behind it,", 4))[:92])
		b.Run(strings.NewReplacer("/", "_", " ", "_", "\t", "_").Replace(start), func(b *testing.B) {
			r := New(func(Report) { b.Error("a report") })
			now := time.Unix(1e9, 0)
			b.ReportAllocs()
			for b.Loop() {
				r.Line(line, now)
			}
		})
	}
}

// BenchmarkTraceback measures one whole traceback.
func BenchmarkTraceback(b *testing.B) {
	for _, name := range []string{"go/crash", "python/cause", "rust/full", "cpp/asan-stack"} {
		all := bytes.Split(capture(b, deathCase{name: name}), newline)
		b.Run(strings.ReplaceAll(name, "/", "_"), func(b *testing.B) {
			r := New(func(Report) {})
			now := time.Unix(1e9, 0)
			b.ReportAllocs()
			for b.Loop() {
				for _, line := range all {
					r.Line(line, now)
				}
				r.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/line")
		})
	}
}
