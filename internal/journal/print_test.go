package journal

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// TestKilled has a wrapp that was killed in the middle of two lines: the next run's line
// does not become a piece of theirs.
func TestKilled(t *testing.T) {
	t.Parallel()
	piece, _ := entry.NewJSON(entry.Context{}).Append(nil, []byte("err"), entry.Meta{Stderr: true, Partial: true})
	var text strings.Builder
	var j Joiner
	lines := j.Add([]Entry{
		{Message: []byte("out"), Partial: true},
		{Message: piece, Partial: true, Stderr: true},
		{Message: []byte("{{__NEW_RUN_2026-11-23_20-15-01}}")},
		{Message: []byte("{{__NEW_RUN_"), Stderr: true, Partial: true},
		{Message: []byte("of the app"), Stderr: true},
		{Message: []byte("cut"), Partial: true},
		{Message: []byte("{{__END_RUN_2026-11-23_20-15-02_exit_0}}")},
	})
	for _, l := range append(lines, j.Rest()...) {
		label, _ := labelOf(&l)
		text.WriteString(label + string(l.Text) + "\n")
	}
	want := "out    out\nerr    err\nout    {{__NEW_RUN_2026-11-23_20-15-01}}\nerr    {{__NEW_RUN_of the app\nout    cut\nout    {{__END_RUN_2026-11-23_20-15-02_exit_0}}\n"
	if text.String() != want {
		t.Errorf("\n%swant\n%s", &text, want)
	}
}

// TestSource: run markers are wrapp's, not the app's. The app may print on stdout what another
// wrapp says of its stderr.
func TestSource(t *testing.T) {
	t.Parallel()
	copied, _ := entry.NewJSON(entry.Context{}).Append(nil, []byte("copied"), entry.Meta{Stderr: true})
	var j Joiner
	lines := j.Add([]Entry{
		{Message: []byte("{{__NEW_RUN_2026-11-23_20-15-01}}")},
		{Message: []byte("{{__NEW_RUN_ is"), Partial: true},
		{Message: []byte(" of the app")},
		{Message: []byte("bad"), Stderr: true},
		{Message: copied},
		{Stream: logstream.Status, Message: []byte("started")},
		{Message: []byte("{{__END_RUN_2026-11-23_20-15-02_exit_0}}")},
	})
	for source, want := range map[string][]string{"stdout": {"{{__NEW_RUN_ is of the app", "copied"}, "stderr": {"bad"}} {
		var got []string
		filter := Filter{Source: source}
		for _, l := range filter.Select(slices.Clone(lines)) {
			got = append(got, string(l.Text))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", source, got)
		}
	}
}

// TestOwnKeys: no field of the app's takes the place of a key that wrapp logs writes.
func TestOwnKeys(t *testing.T) {
	t.Parallel()
	const made = `{"time":"2026-11-23T20:15:01.000000001Z","level":"INFO","msg":"m","service":"s","source":"stdout","run":"r","pid":1,"seq":2`
	document := func(fields string) []byte { return []byte(made + fields + "}") }
	for _, tt := range []struct {
		entries []Entry
		want    string
	}{
		{
			[]Entry{{App: "a", Message: document(`,"_id":{"x":[1,"_id"]},"b":"c","_stream":null`)}},
			`{"_id":"0-0/a/info","_stream":"info",` + made[1:] + `,"app._id":{"x":[1,"_id"]},"b":"c","app._stream":null}`,
		},
		{[]Entry{{App: "a", Message: document(`,"b":"\u00e4"`)}}, `{"_id":"0-0/a/info","_stream":"info",` + made[1:] + `,"b":"\u00e4"}`},
		{
			[]Entry{{App: "a", Message: []byte("m"), Fields: []string{"_id", "x", "time", "y", "z", "1"}}},
			`{"_id":"0-0/a/info","_stream":"info","time":"1970-01-01T00:00:00.000000000Z","level":"INFO","msg":"m","service":"a","source":"stdout","app._id":"x","app.time":"y","z":"1"}`,
		},
	} {
		var text strings.Builder
		var j Joiner
		lines := j.Add(tt.entries)
		if !lines[0].JSON {
			lines[0].Time = lines[0].Time.UTC()
		}
		if err := NewPrinter(&text, Style{Output: JSON}).Print(lines); err != nil {
			t.Fatal(err)
		}
		if text.String() != tt.want+"\n" {
			t.Errorf("\n%swant\n%s", text.String(), tt.want)
		}
	}
}

// TestEndlessLine: an app that writes no line end fills no memory.
func TestEndlessLine(t *testing.T) {
	t.Parallel()
	piece := bytes.Repeat([]byte("x"), 1<<20)
	var j Joiner
	var sizes []int
	for range 25 {
		for _, l := range j.Add([]Entry{{Message: piece, Partial: true}}) {
			sizes = append(sizes, len(l.Text))
		}
	}
	for _, l := range j.Add([]Entry{{Message: []byte("end")}}) {
		sizes = append(sizes, len(l.Text))
	}
	if want := []int{mostJoined, mostJoined, 5<<20 + 3}; !slices.Equal(sizes, want) {
		t.Errorf("lines of %v bytes, want %v", sizes, want)
	}
}

// TestPrintName: every writer of this Redis can name an app.
func TestPrintName(t *testing.T) {
	t.Parallel()
	line := Line{App: "a\x1b]0;b\x07", Text: []byte("x")}
	for harmless, want := range map[bool]string{true: " a^[]0;b^G out    x\n", false: " a\x1b]0;b\x07 out    x\n"} {
		var text strings.Builder
		if err := NewPrinter(&text, Style{Apps: true, Harmless: harmless}).Print([]Line{line}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(text.String(), want) {
			t.Errorf("%q, want ... %q", text.String(), want)
		}
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	at := func(ms uint64) entry.ID { return entry.ID{Ms: ms} }
	entries := []Entry{
		{Stream: logstream.Info, ID: at(1), Message: []byte("ab"), Partial: true},
		{Stream: logstream.Info, ID: at(2), Message: []byte("ERROR: x"), Stderr: true},
		{Stream: logstream.Status, ID: at(3), Message: []byte("started")},
		{Stream: logstream.Info, ID: at(4), Message: []byte("cd")},
		{Stream: logstream.Crash, ID: at(5), Message: []byte("two\nlines\n")},
		{Stream: logstream.Info, ID: at(6), Message: []byte("\x1b[2Jevil\x1b[31mred\x07\x7f\u009b"), Stderr: true},
		{Stream: logstream.Info, ID: at(7), Message: []byte("never ended"), Partial: true},
	}
	for _, tt := range []struct {
		name     string
		terminal bool
		want     []string
	}{
		{"pipe", false, []string{"err    ERROR: x", "status started", "out    abcd", "crash  two", "lines", "err    \x1b[2Jevil\x1b[31mred\x07\x7f\u009b", "out    never ended"}},
		{"terminal", true, []string{
			red + "err    ERROR: x" + plain, cyan + "status started" + plain, "out    abcd" + plain, alarm + "crash  two", "lines" + plain,
			"err    ^[[2Jevil\x1b[31mred^G^??" + plain, "out    never ended" + plain,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			p := NewPrinter(&text, Style{Colour: tt.terminal, Harmless: tt.terminal})
			var j Joiner
			// The entries come one at a time.
			for i := range entries {
				if err := p.Print(j.Add(entries[i : i+1])); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Print(j.Rest()); err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
			if len(got) != len(tt.want) {
				t.Fatalf("%d lines: %q", len(got), got)
			}
			for i, want := range tt.want {
				if !strings.HasSuffix(got[i], want) {
					t.Errorf("line %d: %q, want ... %q", i, got[i], want)
				}
			}
		})
	}
}
