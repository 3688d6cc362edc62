package journal

import (
	"errors"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// An EntryName names an entry by ID, app and stream, for programs that ship entries on. Without
// an app it names all entries of the ID. The zero one is before everything.
type EntryName struct {
	ID     entry.ID
	App    string
	Stream logstream.Stream
}

// String returns ID/app/stream, which ParseEntryName reads.
func (n EntryName) String() string {
	if n.App == "" {
		return n.ID.String()
	}
	return n.ID.String() + "/" + n.App + "/" + n.Stream.String()
}

// ParseEntryName reads an EntryName, or the ID of an entry.
func ParseEntryName(s string) (n EntryName, err error) {
	id, place, placed := strings.Cut(s, "/")
	if n.ID, err = entry.ParseID(id); err != nil {
		return EntryName{}, errEntryName
	}
	if !placed {
		return n, nil
	}
	last := max(strings.LastIndexByte(place, '/'), 0) // an app's name may have slashes
	app, stream := place[:last], strings.TrimPrefix(place[last:], "/")
	for s := range logstream.Count {
		if app != "" && s.String() == stream {
			n.App, n.Stream = app, s
			return n, nil
		}
	}
	return EntryName{}, errEntryName
}

var errEntryName = errors.New("must be the _id of a line that --output json has printed, or the ID of an entry")

// before returns the last ID of a source that does not come after the named entry.
func (n EntryName) before(s *source) entry.ID {
	if n.ID == (entry.ID{}) || n.App == "" || s.app < n.App || s.app == n.App && s.stream <= n.Stream {
		return n.ID
	}
	return n.ID.Previous()
}

// Follows reports whether an entry comes after the named one.
func (n EntryName) Follows(e *Entry) bool {
	return n.before(&source{app: e.App, stream: e.Stream}).Less(e.ID)
}

// end returns the last ID of a source that comes before the named entry; without an app,
// before all entries of the ID. The ID must not be 0-0.
func (n EntryName) end(s *source) entry.ID {
	if n.App != "" && (s.app < n.App || s.app == n.App && s.stream < n.Stream) {
		return n.ID
	}
	return n.ID.Previous()
}
