// Package journal reads an app's streams back as one sequence.
package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// An Entry is one entry of one of the streams.
type Entry struct {
	Stream  entry.Stream
	ID      entry.ID
	Message []byte
	Stderr  bool
	Partial bool
	Level   entry.Level // as the field `level` says it
}

// Time is when the entry's line was read.
func (e *Entry) Time() time.Time { return time.UnixMilli(int64(e.ID.Ms)) }

// A Reader reads the streams of one app, each entry once, in the order of their
// IDs.
type Reader struct {
	keys [entry.Streams]string
	seen [entry.Streams]entry.ID // the last entry given out of each stream
}

// NewReader returns a Reader of the app called name.
func NewReader(name string) *Reader { return &Reader{keys: entry.Keys(name)} }

// Last returns the last n entries of all streams together that came at since or
// later, or all of these if n is negative. What comes after them is for Next.
func (r *Reader) Last(conn redis.Conn, n int, since time.Time) ([]Entry, error) {
	var all []Entry
	oldest, before := "-", entry.ID{}
	if ms := since.UnixMilli(); ms > 0 {
		oldest = strconv.FormatInt(ms, 10)
		before = entry.ID{Ms: uint64(ms) - 1, Seq: math.MaxUint64}
	}
	for s, key := range r.keys {
		args := []any{key, "+", oldest}
		if n >= 0 {
			args = append(args, "COUNT", max(n, 1))
		}
		reply, err := redis.Values(conn.Do("XREVRANGE", args...))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		entries, err := parse(entry.Stream(s), reply)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		r.seen[s] = before
		if len(entries) > 0 {
			r.seen[s] = entries[0].ID
		}
		all = append(all, entries...)
	}
	order(all)
	if n >= 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all, nil
}

// wait is how long Next waits in Redis for an entry.
const wait = 2 * time.Second

// Next waits a while for entries that have not been given out, and returns none
// if none came.
func (r *Reader) Next(ctx context.Context, conn redis.Conn) ([]Entry, error) {
	args := []any{"BLOCK", wait.Milliseconds(), "COUNT", 1000, "STREAMS"}
	for _, key := range r.keys {
		args = append(args, key)
	}
	for _, id := range r.seen {
		args = append(args, id)
	}
	reply, err := redis.Values(redis.DoContext(conn, ctx, "XREAD", args...))
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the streams: %w", err)
	}
	var all []Entry
	for _, v := range reply {
		pair, err := redis.Values(v, nil)
		if err != nil || len(pair) != 2 {
			return nil, errors.New("read the streams: XREAD answered something else than streams")
		}
		key, _ := redis.String(pair[0], nil)
		s := slices.Index(r.keys[:], key)
		if s < 0 {
			return nil, fmt.Errorf("read the streams: XREAD answered for %q", key)
		}
		list, err := redis.Values(pair[1], nil)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		entries, err := parse(entry.Stream(s), list)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		if len(entries) > 0 {
			r.seen[s] = entries[len(entries)-1].ID
		}
		all = append(all, entries...)
	}
	order(all)
	return all, nil
}

func order(entries []Entry) {
	slices.SortStableFunc(entries, func(a, b Entry) int {
		switch {
		case a.ID.Less(b.ID):
			return -1
		case b.ID.Less(a.ID):
			return 1
		}
		return int(a.Stream) - int(b.Stream)
	})
}

// parse reads entries as XRANGE and XREAD list them.
func parse(stream entry.Stream, list []any) ([]Entry, error) {
	entries := make([]Entry, 0, len(list))
	for _, v := range list {
		pair, err := redis.Values(v, nil)
		if err != nil || len(pair) != 2 {
			return nil, errors.New("an entry is not an ID and fields")
		}
		text, err := redis.String(pair[0], nil)
		if err != nil {
			return nil, err
		}
		e := Entry{Stream: stream}
		if e.ID, err = entry.ParseID(text); err != nil {
			return nil, err
		}
		fields, err := redis.ByteSlices(pair[1], nil)
		if errors.Is(err, redis.ErrNil) {
			continue // deleted while it was read
		}
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(fields); i += 2 {
			switch string(fields[i]) {
			case "message":
				e.Message = fields[i+1]
			case "source":
				e.Stderr = string(fields[i+1]) == "stderr"
			case "level":
				e.Level, _ = entry.ParseLevel(string(fields[i+1]))
			case "partial":
				e.Partial = string(fields[i+1]) == "1"
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}
