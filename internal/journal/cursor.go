package journal

import (
	"errors"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Cursor names an entry by ID, app and stream, for programs that ship entries on. Without
// an app it names all entries of the ID. The zero Cursor is before everything.
type Cursor struct {
	ID     entry.ID
	App    string
	Stream logstream.Stream
}

// String returns ID/app/stream, which ParseCursor reads.
func (c Cursor) String() string {
	if c.App == "" {
		return c.ID.String()
	}
	return c.ID.String() + "/" + c.App + "/" + c.Stream.String()
}

// ParseCursor reads a Cursor, or the ID of an entry.
func ParseCursor(s string) (c Cursor, err error) {
	id, place, placed := strings.Cut(s, "/")
	if c.ID, err = entry.ParseID(id); err != nil {
		return Cursor{}, errCursor
	}
	if !placed {
		return c, nil
	}
	last := max(strings.LastIndexByte(place, '/'), 0) // an app's name may have slashes
	app, stream := place[:last], strings.TrimPrefix(place[last:], "/")
	for s := range logstream.Count {
		if app != "" && s.String() == stream {
			c.App, c.Stream = app, s
			return c, nil
		}
	}
	return Cursor{}, errCursor
}

var errCursor = errors.New("must be the _id of a line that --output json has printed, or the ID of an entry")

// before returns the last ID of a source that does not come after the Cursor's entry.
func (c Cursor) before(s *source) entry.ID {
	if c.ID == (entry.ID{}) || c.App == "" || s.app < c.App || s.app == c.App && s.stream <= c.Stream {
		return c.ID
	}
	return c.ID.Previous()
}

// Follows reports whether an entry comes after the Cursor's.
func (c Cursor) Follows(e *Entry) bool {
	return c.before(&source{app: e.App, stream: e.Stream}).Less(e.ID)
}

// end returns the last ID of a source that comes before the Cursor's entry; without an app,
// before all entries of the ID. The ID must not be 0-0.
func (c Cursor) end(s *source) entry.ID {
	if c.App != "" && (s.app < c.App || s.app == c.App && s.stream < c.Stream) {
		return c.ID
	}
	return c.ID.Previous()
}
