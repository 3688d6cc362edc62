package journal

import (
	"errors"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Cursor is a place in the sequence of entries, for programs that ship them on: after the
// entry of this ID, app and stream. Without an app it is after all entries of the ID. The
// zero Cursor is before everything.
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

// before returns the last ID of a source that is not after the Cursor.
func (c Cursor) before(s *source) entry.ID {
	if c.ID == (entry.ID{}) || c.App == "" || s.app < c.App || s.app == c.App && s.stream <= c.Stream {
		return c.ID
	}
	return c.ID.Previous()
}

// end returns the last ID of a source that is before the Cursor, or "" for the zero Cursor.
func (c Cursor) end(s *source) string {
	switch {
	case c.App != "" && (s.app < c.App || s.app == c.App && s.stream < c.Stream):
		return c.ID.String()
	case c.ID == entry.ID{}:
		return ""
	}
	return c.ID.Previous().String()
}
