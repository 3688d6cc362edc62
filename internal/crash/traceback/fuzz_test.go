package traceback

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
	"github.com/lpportorino/jettison-base-images/internal/lines"
)

// FuzzRecognize has arbitrary output, and wants no report of the same text in a log's lines.
func FuzzRecognize(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		checkAny(t, output)
		var logged []byte
		for line := range bytes.Lines(output) {
			logged = append(append(logged, "2026-11-23 INFO "...), line...)
		}
		for _, r := range recognise(logged, 4096) {
			t.Errorf("in a log's lines: %s", r.Text)
		}
	})
}

// FuzzMix has the lines of the captures in any order: two bytes choose one.
func FuzzMix(f *testing.F) {
	var all [][]byte
	seen := map[string]bool{}
	for _, seed := range seeds(f) {
		var way []byte
		for line := range bytes.Lines(seed) {
			if !seen[string(line)] && len(all) < 1<<16 {
				seen[string(line)] = true
				way = append(way, byte(len(all)>>8), byte(len(all)))
				all = append(all, line)
			}
		}
		f.Add(way)
	}
	f.Fuzz(func(t *testing.T, way []byte) {
		var output []byte
		for ; len(way) >= 2; way = way[2:] {
			output = append(output, all[(int(way[0])<<8|int(way[1]))%len(all)]...)
		}
		checkAny(t, output)
	})
}

// checkAny wants from any output: no panic and bounded memory, the same reports however the
// output is cut into reads, and no text in them that is not in the output.
func checkAny(t *testing.T, output []byte) {
	reports := recognise(output, 64<<10)
	for _, size := range []int{1, 13} {
		if again := recognise(output, size); !reflect.DeepEqual(withoutTimes(again), withoutTimes(reports)) {
			t.Fatalf("%+v in reads of %d bytes, %+v at once", again, size, reports)
		}
	}
	// Text that a carriage return overwrites is dropped.
	var came []byte
	for line := range bytes.Lines(output) {
		line = bytes.TrimRight(line, "\r\n")
		came = append(append(came, line[bytes.LastIndexByte(line, '\r')+1:]...), '\n')
	}
	for _, r := range reports {
		if kind, own := r.Stack(); !strings.HasPrefix(kind, r.Language+" ") || slices.ContainsFunc(own, func(f signature.Frame) bool { return f.Function == "" }) {
			t.Errorf("%q, %+v", kind, own)
		}
		switch {
		case len(r.Text) == 0 || len(r.Text) > headSize+tailSize+100:
			t.Errorf("a text of %d bytes", len(r.Text))
		case len(came) < headSize && !strings.Contains(string(came), r.Text):
			t.Errorf("%q is not in the output", r.Text)
		case r.Language == "" || len(r.Title) > maxTitle || !utf8.ValidString(r.Title) || strings.ContainsAny(r.Title, "\n\r\t\x00"):
			t.Errorf("%s: %q", r.Language, r.Title)
		case r.Begin.IsZero() || r.End.Before(r.Begin):
			t.Errorf("from %v to %v", r.Begin, r.End)
		}
	}
	held(t, output)
}

// held repeats output without pauses, and wants no more memory for it.
func held(t *testing.T, output []byte) {
	r := New(func(Report) {})
	split := lines.NewSplitter(1<<20, nil)
	for range 3 {
		for rest := output; len(rest) > 0; {
			n := copy(split.Space(), rest)
			rest = rest[n:]
			split.Filled(n)
			for line, ok := split.Next(); ok; line, ok = split.Next() {
				if !line.Overwritten {
					r.Line(line.Text, time.Unix(1e9, 0))
				}
			}
		}
		size := int(unsafe.Sizeof(*r)+2*unsafe.Sizeof(block{})) + cap(r.text.head) + cap(r.text.tail) + cap(r.aside) +
			cap(r.block.title) + cap(r.block.thread) + cap(r.candidate.title) + cap(r.candidate.thread)
		if size > 400<<10 {
			t.Errorf("%d bytes are held", size)
		}
	}
}

func withoutTimes(reports []Report) []Report {
	plain := append([]Report{}, reports...)
	for i := range plain {
		plain[i].Begin, plain[i].End = time.Time{}, time.Time{}
	}
	return plain
}

// seeds returns the captures and the ordinary output.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, d := range deaths {
		if text := capture(t, d); len(text) < 8<<10 {
			all = append(all, text)
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d captures", len(all))
	}
	return append(all, ordinaryLines(t))
}

// TestCaptureFiles wants a case for each capture, and a capture for each case.
func TestCaptureFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.out")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range deaths {
		known[filepath.Join("testdata", d.name+".out")] = true
	}
	for _, file := range files {
		if !known[file] {
			t.Errorf("%s belongs to no case", file)
		}
		delete(known, file)
	}
	for file := range known {
		t.Errorf("%s is missing", file)
	}
}
