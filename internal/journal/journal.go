// Package journal reads the streams of apps back as one sequence.
package journal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// An Entry is one entry of one of the streams.
type Entry struct {
	Stream  logstream.Stream
	ID      entry.ID
	Message []byte
	Stderr  bool
	Partial bool
	Level   loglevel.Level // of the field `level`
	App     string
	Fields  []string // the other fields, name and value in turn, sorted by name

	number int64 // number: place among all entries ever added to the stream, from 1; 0: not known
}

// Time returns when wrapp read the entry's line.
func (e *Entry) Time() time.Time { return e.ID.Time() }

// EntryName returns the entry's name.
func (e *Entry) EntryName() EntryName { return EntryName{e.ID, e.App, e.Stream} }

// A Reader reads the streams of apps. Each call returns its entries in the order of their IDs, then
// of the app's name, then of the stream. Last and Next return each entry once; while Next reads a
// backlog, later calls may return older entries of another stream.
type Reader struct {
	Until  time.Time     // Last returns no later entry; zero: all
	After  EntryName     // First and Last return only entries after that one
	Before EntryName     // Last returns only entries before that one; zero: all
	Wait   time.Duration // how long Next waits for an entry; 0: defaultWait. In a cluster: always 100 ms
	Places *Places       // where Add begins; nil: before the first entries

	sources []source
}

// A source is one stream of one app.
type source struct {
	app    string
	stream logstream.Stream
	key    string
	seen   entry.ID // seen: the last entry that was returned

	numbered Place // numbered: place of the last entry that got its number
}

// NewReader returns a Reader of the apps called names.
func NewReader(names ...string) *Reader {
	r := new(Reader)
	r.Add(names...)
	return r
}

// Add adds the apps called names. Of those that are new, Next returns all entries after
// the Places.
func (r *Reader) Add(names ...string) {
	for _, name := range r.Unknown(names) {
		for s, key := range logstream.Keys(name) {
			place := r.Places.of(key)
			r.sources = append(r.sources, source{app: name, stream: logstream.Stream(s), key: key, seen: place.ID, numbered: place})
		}
	}
}

// Unknown returns the names that were not added yet.
func (r *Reader) Unknown(names []string) (unknown []string) {
	for _, name := range names {
		if !slices.ContainsFunc(r.sources, func(s source) bool { return s.app == name }) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// Follow adds the streams of an app that the Reader does not have. Next returns their entries with
// later IDs than after.
func (r *Reader) Follow(name string, after entry.ID) {
	for s, key := range logstream.Keys(name) {
		r.sources = append(r.sources, source{app: name, stream: logstream.Stream(s), key: key, seen: after})
	}
}

// Forget removes the streams of an app.
func (r *Reader) Forget(name string) {
	r.sources = slices.DeleteFunc(r.sources, func(s source) bool { return s.app == name })
}

// Only removes all streams but these.
func (r *Reader) Only(streams ...logstream.Stream) {
	r.sources = slices.DeleteFunc(r.sources, func(s source) bool { return !slices.Contains(streams, s.stream) })
}

// Following returns the number of streams that Next waits for.
func (r *Reader) Following() int { return len(r.sources) }

// First returns the first n entries of all streams together after r.After, without waiting. It does
// not move the place of Next, and ignores Until and Before.
func (r *Reader) First(ctx context.Context, client *redisconn.Client, n int) ([]Entry, error) {
	reads := make([]rueidis.Completed, len(r.sources))
	for i := range r.sources {
		s := &r.sources[i]
		reads[i] = client.B().Xrange().Key(s.key).Start(r.After.before(s).Next().String()).End("+").Count(int64(n)).Build()
	}
	var all []Entry
	for i, answer := range client.DoMulti(ctx, reads...) {
		entries, err := r.sources[i].parse(answer.AsXRange)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", r.sources[i].key, err)
		}
		all = append(all, entries...)
	}
	order(all)
	return all[:min(n, len(all))], nil
}

// Newest returns the ID of the last entry of all streams together; 0-0 if they are empty.
func (r *Reader) Newest(ctx context.Context, client *redisconn.Client) (newest entry.ID, err error) {
	reads := make([]rueidis.Completed, len(r.sources))
	for i := range r.sources {
		reads[i] = client.B().Xrevrange().Key(r.sources[i].key).End("+").Start("-").Count(1).Build()
	}
	for i, answer := range client.DoMulti(ctx, reads...) {
		entries, err := r.sources[i].parse(answer.AsXRange)
		if err != nil {
			return newest, fmt.Errorf("read %s: %w", r.sources[i].key, err)
		}
		if len(entries) > 0 && newest.Less(entries[0].ID) {
			newest = entries[0].ID
		}
	}
	return newest, nil
}

// Last returns the last n entries of all streams together that came at since or later, or
// all of these if n is negative. Next goes on after them.
func (r *Reader) Last(ctx context.Context, client *redisconn.Client, n int, since time.Time) ([]Entry, error) {
	var all []Entry
	var start entry.ID
	if ms := since.UnixMilli(); ms > 0 {
		start = entry.ID{Ms: uint64(ms) - 1, Seq: math.MaxUint64}
	}
	end := entry.ID{Ms: math.MaxUint64, Seq: math.MaxUint64}
	if !r.Until.IsZero() {
		end.Ms = uint64(max(0, r.Until.UnixMilli()))
	}
	most := max(n, 1) // entries of one stream
	if n < 0 {
		most = math.MaxInt
	}
	for i := range r.sources {
		s := &r.sources[i]
		s.seen = start
		if before := r.After.before(s); start.Less(before) {
			s.seen = before
		}
		oldest, newest, last := s.seen.Next().String(), end, s.seen
		if r.Before.ID != (entry.ID{}) {
			if before := r.Before.end(s); before.Less(end) {
				newest = before
			}
		}
		latest := newest
		for left := most; left > 0; {
			answer := client.Do(ctx, client.B().Xrevrange().Key(s.key).End(newest.String()).Start(oldest).Count(int64(min(left, atOnce))).Build())
			entries, err := s.parse(answer.AsXRange)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", s.key, err)
			}
			if len(entries) == 0 {
				break
			}
			if newest == latest {
				last = entries[0].ID
			}
			newest = entries[len(entries)-1].ID.Previous()
			left -= len(entries)
			all = append(all, entries...)
		}
		s.seen = last
	}
	order(all)
	if n >= 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all, nil
}

const (
	defaultWait = 2 * time.Second        // defaultWait: default of Reader.Wait
	pollEvery   = 100 * time.Millisecond // pollEvery: pause after a poll without entries

	atOnce = 1000 // atOnce: most entries of a stream in one command
)

// Next waits a while for further entries, and returns none if none came.
func (r *Reader) Next(ctx context.Context, client *redisconn.Client) ([]Entry, error) {
	if client.InCluster() || len(r.sources) == 0 {
		return r.poll(ctx, client)
	}
	keys, ids := make([]string, len(r.sources)), make([]string, len(r.sources))
	for i := range r.sources {
		keys[i], ids[i] = r.sources[i].key, r.sources[i].seen.String()
	}
	all, err := r.parseRead(client.Do(ctx, client.B().Xread().Count(atOnce).Block(cmp.Or(r.Wait, defaultWait).Milliseconds()).Streams().Key(keys...).Id(ids...).Build()))
	if redisconn.IsWrongType(err) {
		return r.poll(ctx, client)
	}
	order(all)
	return all, err
}

// poll is Next for streams on several servers, or with a key of another type among them: one
// command cannot block on all of them, so it asks for each and pauses.
func (r *Reader) poll(ctx context.Context, client *redisconn.Client) ([]Entry, error) {
	reads := make([]rueidis.Completed, len(r.sources))
	for i := range r.sources {
		s := &r.sources[i]
		reads[i] = client.B().Xread().Count(atOnce).Streams().Key(s.key).Id(s.seen.String()).Build()
	}
	var all []Entry
	var first error
	for _, result := range client.DoMulti(ctx, reads...) {
		entries, err := r.parseRead(result)
		if first == nil && !redisconn.IsWrongType(err) {
			first = err
		}
		all = append(all, entries...)
	}
	if len(all) > 0 {
		order(all)
		return all, nil // an error comes again
	}
	if first == nil {
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
	return nil, first
}

// parseRead returns the entries in an answer to XREAD.
func (r *Reader) parseRead(result rueidis.RedisResult) ([]Entry, error) {
	streams, err := result.AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the streams: %w", err)
	}
	var all []Entry
	for i := range r.sources {
		s := &r.sources[i]
		entries, err := s.parse(func() ([]rueidis.XRangeEntry, error) { return streams[s.key], nil })
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.key, err)
		}
		if len(entries) > 0 {
			s.seen = entries[len(entries)-1].ID
		}
		all = append(all, entries...)
	}
	return all, nil
}

func order(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.ID.Ms, b.ID.Ms), cmp.Compare(a.ID.Seq, b.ID.Seq), cmp.Compare(a.App, b.App), cmp.Compare(a.Stream, b.Stream))
	})
}

// parse returns the entries in an answer.
func (s *source) parse(list func() ([]rueidis.XRangeEntry, error)) ([]Entry, error) {
	stored, err := list()
	if redisconn.IsWrongType(err) {
		return nil, nil // another program's key must not end the reading of all apps
	}
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(stored))
	for _, x := range stored {
		if x.FieldValues == nil {
			continue // deleted while it was read
		}
		id, err := entry.ParseID(x.ID)
		if err != nil {
			return nil, err
		}
		e := Entry{
			Stream:  s.stream,
			App:     s.app,
			ID:      id,
			Message: []byte(x.FieldValues["message"]),
			Stderr:  x.FieldValues["source"] == "stderr",
			Partial: x.FieldValues["partial"] == "1",
		}
		e.Level, _ = loglevel.Parse(x.FieldValues["level"])
		for _, name := range slices.Sorted(maps.Keys(x.FieldValues)) {
			switch name {
			case "message", "source", "partial", "level":
			default:
				e.Fields = append(e.Fields, name, x.FieldValues[name])
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Parse returns the entries in an answer to XRANGE or XREVRANGE on a stream of an app, in
// the order of their IDs.
func Parse(app string, stream logstream.Stream, answer rueidis.RedisResult) ([]Entry, error) {
	s := source{app: app, stream: stream}
	entries, err := s.parse(answer.AsXRange)
	order(entries)
	return entries, err
}

// Names returns the apps that have streams in this database, sorted.
func Names(ctx context.Context, client *redisconn.Client) ([]string, error) {
	found := make(map[string]bool)
	for _, key := range logstream.Keys("*") {
		prefix, suffix, _ := strings.Cut(key, "*")
		if err := client.Scan(ctx, key, func(key string) {
			found[strings.TrimSuffix(strings.TrimPrefix(key, prefix), suffix)] = true
		}); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
