package traceback

import (
	"bytes"
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/lines"
)

// ordinary has the beginnings of the other lines that programs and runtimes print around
// their reports.
var ordinary = []string{
	"ordinary line", "ERROR:root:", "Task exception was never retrieved", "future: <Task",
	"Found 1 data race", "ThreadSanitizer: reported",
}

func isOrdinary(line []byte) bool {
	for _, start := range ordinary {
		if has(line, start) {
			return true
		}
	}
	return ends(line, "] ordinary line before") // glog's
}

// recognise passes a pipe's output to a Recognizer, in reads of size bytes.
func recognise(output []byte, size int) []Report {
	var reports []Report
	r := New(func(report Report) { reports = append(reports, report) })
	now := time.Unix(1e9, 0)
	split := lines.NewSplitter(1<<20, nil)
	pass := func(next func() (lines.Line, bool)) {
		for line, ok := next(); ok; line, ok = next() {
			if !line.Overwritten {
				r.Line(line.Text, now)
			}
		}
	}
	for len(output) > 0 {
		n := copy(split.Space()[:size], output)
		output = output[n:]
		split.Filled(n)
		now = now.Add(time.Microsecond)
		pass(split.Next)
	}
	pass(split.Last)
	r.Close()
	return reports
}

// check wants the reports of d, with every line of output that is not an ordinary one, except
// the last d.beyond.
func check(t *testing.T, d deathCase, output []byte, reports []Report) {
	t.Helper()
	if count := max(cmp.Or(d.count, 1), 0); len(reports) != count {
		t.Errorf("%d reports, want %d, of\n%s", len(reports), count, output)
	}
	var got []string
	for i, r := range reports {
		if r.Language != d.lang || r.Fatal != d.fatal {
			t.Errorf("%s, fatal=%v; want %s, fatal=%v", r.Language, r.Fatal, d.lang, d.fatal)
		}
		// Older Rust does not print the thread's number.
		if title := mask(r.Title); i == 0 && title != d.title && title != strings.Replace(d.title, "' (N) ", "' ", 1) {
			t.Errorf("title\n%s\nwant\n%s", title, d.title)
		}
		if r.Begin.IsZero() || r.End.Before(r.Begin) {
			t.Errorf("from %v to %v", r.Begin, r.End)
		}
		if !strings.Contains(string(output), r.Text) {
			t.Errorf("not in the output:\n%s", r.Text)
		}
		got = append(got, filled([]byte(r.Text))...)
	}
	want := filled(output)
	want = want[:len(want)-d.beyond]
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("the reports are\n%s\nwant\n%s", g, w)
	}
}

// filled returns the lines that are neither empty nor ordinary.
func filled(text []byte) []string {
	var all []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 && !isOrdinary(line) {
			all = append(all, string(line))
		}
	}
	return all
}

// mask replaces every number by "N", and cuts text that differs from run to run.
func mask(title string) string {
	var b strings.Builder
	for i := 0; i < len(title); i++ {
		n := 0
		if has([]byte(title[i:]), "0x") {
			n = 2
			for n < len(title)-i && strings.IndexByte("0123456789abcdef", title[i+n]) >= 0 {
				n++
			}
		} else {
			n = digits([]byte(title[i:]))
		}
		if n > 0 {
			b.WriteByte('N')
			i += n - 1
			continue
		}
		b.WriteByte(title[i])
	}
	return b.String()
}

// TestCaptures reads output of today's runtimes, captured by update_test.go.
func TestCaptures(t *testing.T) {
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			output := capture(t, d)
			for _, size := range []int{1, 7, 64 << 10} {
				reports := recognise(output, size)
				d.title = strings.ReplaceAll(d.title, "DIR", "/app")
				check(t, d, output, reports)
				if t.Failed() {
					break
				}
			}
		})
	}
}

// TestPrograms builds and runs the programs.
func TestPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs programs of six languages")
	}
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr := d.from.output(t, d.args, d.env)
			output, other := stderr, stdout
			if d.from.stdout {
				output, other = stdout, stderr
			}
			d.title = strings.ReplaceAll(d.title, "DIR", mask(d.from.dir))
			check(t, d, output, recognise(output, 4096))
			if more := recognise(other, 4096); len(more) > 0 {
				t.Errorf("on the other pipe: %+v", more)
			}
		})
	}
}
