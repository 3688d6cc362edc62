package journal

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Line is one line of text for a reader: an entry, or the joined pieces of a line that
// was split. Of a joined line ID and Raw are the last piece's, Time, Fields and More the first's.
type Line struct {
	Stream logstream.Stream
	Stderr bool
	Time   time.Time
	Level  loglevel.Level // loglevel.None if it states none; on :error and :crash loglevel.Error, in the JSON format loglevel.Info
	Text   []byte
	JSON   bool          // the entry is in the JSON format
	Fields []entry.Field // the app's fields in the JSON format
	Raw    []byte        // the message unchanged

	App    string
	ID     entry.ID
	Joined bool     // made of pieces
	More   []string // further fields of the stream entry, name and value in turn

	runMarker bool // runMarker: see isRunMarker

	before Place // before: the Place before the entry, or before the first piece
}

// EntryName returns the name of the line's entry.
func (l *Line) EntryName() EntryName { return EntryName{l.ID, l.App, l.Stream} }

// mostJoined is the size, in bytes, at which a Joiner ends a line whose last piece has not come: an
// app that writes no line end must not fill our memory.
const mostJoined = 10 << 20

// A Joiner makes lines of entries. It holds the pieces of a split line until the last one
// comes, or they have mostJoined bytes, or else until the run's end. If wrapp was killed, the run
// ends where the next one begins.
type Joiner struct {
	Pieces bool                 // each piece is a line of its own
	held   map[string]*[2]*Line // held: lines whose last piece has not come, by app; stdout, stderr
}

// Add makes lines of entries and of the pieces that it holds.
func (j *Joiner) Add(entries []Entry) (lines []Line) {
	for i := range entries {
		e := &entries[i]
		line := read(e)
		if e.Stream == logstream.Info && !j.Pieces {
			if isRunMarker(e) {
				lines = append(lines, j.rest(e.App)...)
			}
			of := j.held[e.App]
			if of == nil {
				if j.held == nil {
					j.held = make(map[string]*[2]*Line)
				}
				of = new([2]*Line)
				j.held[e.App] = of
			}
			held := &of[line.pipe()]
			if first := *held; first != nil {
				first.Text = append(first.Text, line.Text...)
				first.Raw, first.ID, first.Joined = line.Raw, line.ID, true
				first.Level = max(first.Level, e.Level)
				line = *first
			}
			*held = nil
			if e.Partial && len(line.Text) < mostJoined {
				*held = &line
				continue
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Whole reports whether lines has n lines and the last n are complete. The first line of each
// pipe of an app counts as incomplete, since older entries may have pieces of it.
func Whole(lines []Line, n int) bool {
	type pipe struct {
		app    string
		number int
	}
	first := make(map[pipe]bool)
	for i := range lines {
		l := &lines[i]
		if l.Stream != logstream.Info {
			continue
		}
		of := pipe{l.App, l.pipe()}
		if i < len(lines)-n {
			first[of] = true
		} else if !first[of] {
			return false
		}
	}
	return len(lines) >= n
}

// pipe returns 0 for a line of standard output and 1 for one of standard error.
func (l *Line) pipe() int {
	if l.Stderr {
		return 1
	}
	return 0
}

// isRunMarker reports whether the entry of :info is a run marker. Only wrapp should have written
// it, but the app can write one, too.
func isRunMarker(e *Entry) bool {
	_, ok := entry.ParseRunMarker(e.Message)
	return ok && !e.Stderr && !e.Partial
}

// Rest returns the lines whose last piece did not come.
func (j *Joiner) Rest() (lines []Line) {
	for _, app := range slices.Sorted(maps.Keys(j.held)) {
		lines = append(lines, j.rest(app)...)
	}
	return lines
}

func (j *Joiner) rest(app string) (lines []Line) {
	if of := j.held[app]; of != nil {
		for _, line := range of {
			if line != nil {
				lines = append(lines, *line)
			}
		}
	}
	delete(j.held, app)
	return lines
}

// before returns the Place before the first piece that the Joiner holds of a stream.
func (j *Joiner) before(s *source) (place Place, held bool) {
	of := j.held[s.app]
	if of == nil || s.stream != logstream.Info {
		return place, false
	}
	for _, line := range of {
		if line != nil && (!held || line.before.ID.Less(place.ID)) {
			place, held = line.before, true
		}
	}
	return place, held
}

// Forget drops the pieces of an app.
func (j *Joiner) Forget(app string) { delete(j.held, app) }

// read makes a Line of an entry.
func read(e *Entry) Line {
	line := Line{
		Stream: e.Stream, Stderr: e.Stderr, Time: e.Time(), Level: e.Level, Text: e.Message, Raw: e.Message,
		App: e.App, ID: e.ID, More: e.Fields, before: Place{e.ID.Previous(), e.number - 1},
		runMarker: e.Stream == logstream.Info && isRunMarker(e),
	}
	if m, ok := entry.ReadJSON(e.Message); ok {
		line.JSON, line.Time, line.Text, line.Fields = true, m.Time.Local(), bytes.Clone(m.Text), m.Fields
		line.Level = max(line.Level, m.Level)
		return line
	}
	if line.Level == loglevel.None {
		switch e.Stream {
		case logstream.Info:
			line.Level = entry.LevelOf(e.Message)
		case logstream.Error, logstream.Crash:
			line.Level = loglevel.Error
		}
	}
	return line
}
