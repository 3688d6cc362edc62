package traceback

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// ordinaryLines returns output that mentions panics and tracebacks but has none.
func ordinaryLines(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/ordinary.txt")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func capture(t testing.TB, d deathCase) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", d.name+".out"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOrdinaryOutput(t *testing.T) {
	all := ordinaryLines(t)
	for _, r := range recognise(all, 4096) {
		t.Errorf("all: %s\n%s", r.Title, r.Text)
	}
	// Each line alone, at the very end, among others, several times, backwards.
	var backwards []byte
	for line := range bytes.Lines(all) {
		backwards = append(bytes.Clone(line), backwards...)
		for name, text := range map[string][]byte{
			"alone":    line,
			"unended":  bytes.TrimRight(line, "\n"),
			"twice":    bytes.Repeat(line, 2),
			"often":    bytes.Repeat(line, 100),
			"followed": append(bytes.Clone(line), "\n\nIt goes on.\n  Indented.\n\ta tab\n"...),
		} {
			for _, r := range recognise(text, 4096) {
				t.Errorf("%s: %s\n%s", name, r.Title, r.Text)
			}
		}
	}
	for _, r := range recognise(backwards, 4096) {
		t.Errorf("backwards: %s\n%s", r.Title, r.Text)
	}
}

// TestQuoted wants no report of a traceback that is quoted in a log's lines.
func TestQuoted(t *testing.T) {
	for _, d := range deaths {
		for _, before := range []string{"| ", "2026-11-23 23:16:12 ERROR ", "[worker] ", "\t", "> ", "app "} {
			var quoted []byte
			for line := range bytes.Lines(capture(t, d)) {
				quoted = append(append(quoted, before...), line...)
			}
			for _, r := range recognise(quoted, 4096) {
				t.Errorf("%s behind %q: %s\n%s", d.name, before, r.Title, r.Text)
			}
		}
	}
}

// TestCutShort wants no report of a first line alone, except for the forms named here.
func TestCutShort(t *testing.T) {
	enough := map[string]bool{native: true}
	for _, d := range deaths {
		var first []byte
		for line := range bytes.Lines(capture(t, d)) {
			if line = bytes.TrimRight(line, "\n"); len(line) > 0 && !isOrdinary(line) {
				first = line
				break
			}
		}
		n := len(recognise(first, 4096))
		switch {
		case enough[d.lang], d.lang == "Rust", d.lang == "Java":
		case n > 0:
			t.Errorf("%s: a report of its first line alone: %s", d.name, first)
		}
	}
}

// TestAmong wants the same reports with other output around them.
func TestAmong(t *testing.T) {
	around := ordinaryLines(t)
	for _, d := range deaths {
		if d.count == none || d.name == "cpp/lines" { // which ends with the output
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			output := capture(t, d)
			alone := recognise(output, 4096)
			text := append(append(bytes.Clone(around), output...), around...)
			among := recognise(text, 4096)
			if len(among) != len(alone) {
				t.Fatalf("%d reports, %d alone", len(among), len(alone))
			}
			for i, r := range among {
				if r.Text != alone[i].Text || r.Title != alone[i].Title {
					t.Errorf("%s\n%s\nalone %s\n%s", r.Title, r.Text, alone[i].Title, alone[i].Text)
				}
			}
		})
	}
}

// TestBetween wants a complete report even if another thread prints a line in its middle.
func TestBetween(t *testing.T) {
	const stray = "ordinary line: of another thread\n"
	for _, d := range deaths {
		if d.count == none {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			all := bytes.SplitAfter(capture(t, d), []byte("\n"))
			first := 0
			for len(bytes.TrimSpace(all[first])) == 0 || isOrdinary(all[first]) {
				first++
			}
			// Node.js writes the place, line and caret at once; so are the lines above
			// the head of a signal's report.
			for at := first + 4; at < min(len(all), 200); at++ {
				if bytes.Contains(all[at-1], []byte(" panicked at ")) {
					continue // Rust writes that and the message in one piece.
				}
				var output []byte
				for i, line := range all {
					if i == at {
						output = append(output, stray...)
					}
					output = append(output, line...)
				}
				reports := recognise(output, 4096)
				d.title = title([]byte(reportTitle(reports)))
				checked := d
				checked.title = mask(checked.title)
				check(t, checked, output, reports)
				if t.Failed() {
					t.Fatalf("with a line before line %d", at+1)
				}
			}
		})
	}
}

// reportTitle returns the first report's title; a line in the middle of a message may be in
// it.
func reportTitle(reports []Report) string {
	if len(reports) == 0 {
		return ""
	}
	return reports[0].Title
}
