package journal

import (
	"bytes"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A Line is what a person reads as one: an entry, or the pieces of a line that
// was split.
type Line struct {
	Stream entry.Stream
	Stderr bool
	Time   time.Time
	Level  entry.Level // NoLevel if the line states none
	Text   []byte
	JSON   bool          // the entry is in the JSON format
	Fields []entry.Field // the app's own, of an entry in the JSON format
	Raw    []byte        // the message as it is; of the pieces of a line, the last one's
}

// A Joiner makes lines of entries. The pieces of a line that was split come out
// with the last of them, or with the end of the run if that did not come: where wrapp was
// killed, the beginning of the next one.
type Joiner struct {
	Pieces bool     // each piece is a line of its own
	held   [2]*Line // a line whose last piece has not come; stdout, stderr
}

// Add makes lines of entries and of what is held of earlier ones.
func (j *Joiner) Add(entries []Entry) (lines []Line) {
	for i := range entries {
		e := &entries[i]
		line := read(e)
		if e.Stream == entry.Info && !j.Pieces {
			if isRunMarker(e) {
				lines = append(lines, j.Rest()...)
			}
			held := &j.held[line.pipe()]
			if first := *held; first != nil {
				first.Text = append(first.Text, line.Text...)
				first.Raw = line.Raw
				first.Level = max(first.Level, e.Level)
				line = *first
			}
			*held = nil
			if e.Partial {
				*held = &line
				continue
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Whole reports whether lines has n lines, and the last n have all of their pieces
// although the entries before those of lines are not known: the first line of a
// pipe may lack some.
func Whole(lines []Line, n int) bool {
	var first [2]bool
	for i := range lines {
		l := &lines[i]
		if l.Stream != entry.Info {
			continue
		}
		if i < len(lines)-n {
			first[l.pipe()] = true
		} else if !first[l.pipe()] {
			return false
		}
	}
	return len(lines) >= n
}

// pipe is 0 for a line of standard output and 1 for one of standard error.
func (l *Line) pipe() int {
	if l.Stderr {
		return 1
	}
	return 0
}

// isRunMarker reports whether wrapp wrote the entry at the beginning or the end of
// a run.
func isRunMarker(e *Entry) bool {
	return !e.Stderr && !e.Partial &&
		(bytes.HasPrefix(e.Message, []byte("{{__NEW_RUN_")) || bytes.HasPrefix(e.Message, []byte("{{__END_RUN_")))
}

// Rest is what there is of lines whose last piece did not come.
func (j *Joiner) Rest() (lines []Line) {
	for i, held := range j.held {
		if held != nil {
			lines = append(lines, *held)
			j.held[i] = nil
		}
	}
	return lines
}

// read makes a line of an entry.
func read(e *Entry) Line {
	line := Line{Stream: e.Stream, Stderr: e.Stderr, Time: e.Time(), Level: e.Level, Text: e.Message, Raw: e.Message}
	if m, ok := entry.ReadJSON(e.Message); ok {
		line.JSON, line.Time, line.Text, line.Fields = true, m.Time.Local(), bytes.Clone(m.Text), m.Fields
		line.Level = max(line.Level, m.Level)
		line.Stderr = e.Stderr || m.Stderr
		return line
	}
	if line.Level == entry.NoLevel {
		switch e.Stream {
		case entry.Info:
			line.Level = entry.LevelOf(e.Message)
		case entry.Error, entry.Crash:
			line.Level = entry.Severe
		}
	}
	return line
}
