package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A Gap reports entries that a stream had lost before they were read.
type Gap struct {
	Key     string
	Entries int64 // trimmed or deleted entries; 0: not known (Redis before 7 does not count)
	About   bool  // Entries is approximate, since entries were deleted by hand
	Anew    bool  // the stream was deleted and begun anew; its earlier entries are not known
	Denied  bool  // the user may not XINFO, so a gap would not be seen
}

// A state is the answer to XINFO STREAM.
type state struct {
	exists, denied bool
	first, last    entry.ID // last: newest entry ever added, even if it is gone
	length         int64
	added          int64 // added: entries ever added; -1: this Redis does not count them
	deleted        bool  // deleted: entries were deleted by hand
}

// inspect returns the states of the reader's streams.
func (r *Reader) inspect(ctx context.Context, client *redisconn.Client) ([]state, error) {
	asks := make([]rueidis.Completed, len(r.sources))
	for i := range r.sources {
		asks[i] = client.B().XinfoStream().Key(r.sources[i].key).Build()
	}
	states := make([]state, len(r.sources))
	for i, answer := range client.DoMulti(ctx, asks...) {
		about, err := answer.AsMap()
		reply := redisconn.Reply(err)
		switch {
		case err == nil:
			states[i], err = parseState(about)
		case redisconn.Denied(reply):
			states[i].denied, err = true, nil
		case strings.HasSuffix(reply, "no such key"), redisconn.IsWrongType(err):
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("inspect %s: %w", r.sources[i].key, err)
		}
	}
	return states, nil
}

func parseState(about map[string]rueidis.RedisMessage) (s state, err error) {
	s.exists = true
	number := func(name string) (n int64) {
		if err == nil {
			m := about[name]
			n, err = m.AsInt64()
		}
		return n
	}
	id := func(name string) (id entry.ID) {
		if err == nil {
			m := about[name]
			var text string
			if text, err = m.ToString(); err == nil {
				id, err = entry.ParseID(text)
			}
		}
		return id
	}
	s.length, s.last, s.added = number("length"), id("last-generated-id"), -1
	if _, counted := about["entries-added"]; counted {
		s.added = number("entries-added")
		s.deleted = id("max-deleted-entry-id") != entry.ID{}
	}
	if m := about["first-entry"]; err == nil && !m.IsNil() {
		var e rueidis.XRangeEntry
		if e, err = m.AsXRangeEntry(); err == nil {
			s.first, err = entry.ParseID(e.ID)
		}
	}
	return s, err
}

// Number sets each entry's place among all entries ever added to its stream, and returns the
// gaps before these entries. Call it right after Next.
func (r *Reader) Number(ctx context.Context, client *redisconn.Client, entries []Entry) ([]Gap, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	of := make(map[string][]*Entry)
	some := new(Reader)
	for i := range entries {
		e := &entries[i]
		s := r.source(e)
		if of[s.key] == nil {
			some.sources = append(some.sources, *s)
		}
		of[s.key] = append(of[s.key], e)
	}
	states, err := some.inspect(ctx, client)
	if err != nil {
		return nil, err
	}
	var gaps []Gap
	for i := range states {
		s := r.source(of[some.sources[i].key][0])
		if gap, is := s.number(of[s.key], &states[i]); is {
			gaps = append(gaps, gap)
		}
	}
	return gaps, nil
}

func (r *Reader) source(e *Entry) *source {
	return &r.sources[slices.IndexFunc(r.sources, func(s source) bool { return s.app == e.App && s.stream == e.Stream })]
}

// number numbers entries, which are all that were read after s.numbered. The state is newer
// than the read: Redis may since have added entries and trimmed these. Entries that were
// both added and trimmed since count as missing here, and not at the next read.
func (s *source) number(entries []*Entry, state *state) (gap Gap, is bool) {
	was, n := s.numbered, int64(len(entries))
	count := int64(-1) // number of the newest entry
	if was.Count >= 0 {
		count = was.Count + n
	}
	gap.Key = s.key
	switch {
	case state.denied:
		gap.Denied, is = true, true
	case !state.exists || state.length > 0 && !was.ID.Less(state.first):
		// No entry is missing: the stream still reaches back to was.
	case state.added < 0:
		is = was.ID != entry.ID{}
	default:
		gone := state.added - state.length // entries that the stream no longer has
		trimmed := int64(0)                // how many of entries are gone
		for trimmed < n && (state.length == 0 || entries[trimmed].ID.Less(state.first)) {
			trimmed++
		}
		known := count >= 0
		missing := gone + n - trimmed - count
		count = gone + n - trimmed
		gap.About = state.deleted
		switch {
		case !known:
			is = true
		case missing > 0:
			gap.Entries, is = missing, true
		case missing < 0 && !state.deleted:
			gap.Anew, is = true, true
		}
	}
	for i, e := range entries {
		if count >= 0 {
			e.number = count - n + int64(i) + 1
		}
	}
	s.numbered = Place{entries[n-1].ID, count}
	return gap, is
}
