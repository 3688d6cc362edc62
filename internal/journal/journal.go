// Package journal reads an app's streams back as one sequence.
package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/resp"
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
	// Poll has Next look now and then, at one stream after the other, and not wait
	// in Redis for all of them: in a cluster they are on several servers.
	Poll bool

	keys [entry.Streams]string
	seen [entry.Streams]entry.ID // the last entry given out of each stream
}

// NewReader returns a Reader of the app called name.
func NewReader(name string) *Reader { return &Reader{keys: entry.Keys(name)} }

// Last returns the last n entries of all streams together that came at since or
// later, or all of these if n is negative. What comes after them is for Next.
func (r *Reader) Last(conn *redisconn.Conn, n int, since time.Time) ([]Entry, error) {
	var all []Entry
	oldest, before := "-", entry.ID{}
	if ms := since.UnixMilli(); ms > 0 {
		oldest = strconv.FormatInt(ms, 10)
		before = entry.ID{Ms: uint64(ms) - 1, Seq: math.MaxUint64}
	}
	most := max(n, 1) // of a stream
	if n < 0 {
		most = math.MaxInt
	}
	for s, key := range r.keys {
		r.seen[s] = before
		newest := "+"
		for left := most; left > 0; {
			reply, err := conn.Do("XREVRANGE", key, newest, oldest, "COUNT", min(left, atOnce))
			entries, err := parse(entry.Stream(s), reply, err)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", key, err)
			}
			if len(entries) == 0 {
				break
			}
			if newest == "+" {
				r.seen[s] = entries[0].ID
			}
			newest = entries[len(entries)-1].ID.Previous().String()
			left -= len(entries)
			all = append(all, entries...)
		}
	}
	order(all)
	if n >= 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all, nil
}

const (
	wait      = 2 * time.Second        // how long Next waits in Redis for an entry
	pollEvery = 100 * time.Millisecond // how long it waits where it looks now and then

	atOnce = 1000 // entries of a stream that are asked for in one command
)

// Next waits a while for entries that have not been given out, and returns none
// if none came.
func (r *Reader) Next(ctx context.Context, conn *redisconn.Conn) ([]Entry, error) {
	if r.Poll {
		return r.poll(ctx, conn)
	}
	args := []any{"BLOCK", wait.Milliseconds(), "COUNT", atOnce, "STREAMS"}
	for _, key := range r.keys {
		args = append(args, key)
	}
	for _, id := range r.seen {
		args = append(args, id.String())
	}
	all, err := r.take(conn.DoContext(ctx, "XREAD", args...))
	order(all)
	return all, err
}

// poll is Next for streams on several servers.
func (r *Reader) poll(ctx context.Context, conn *redisconn.Conn) ([]Entry, error) {
	for s, key := range r.keys {
		conn.Send("XREAD", "COUNT", atOnce, "STREAMS", key, r.seen[s].String())
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("read the streams: %w", err)
	}
	var all []Entry
	var first error
	for range r.keys {
		entries, err := r.take(conn.ReceiveContext(ctx))
		if first == nil {
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

// take takes the answer to XREAD.
func (r *Reader) take(answer any, err error) ([]Entry, error) {
	reply, err := resp.Values(answer, err)
	if errors.Is(err, resp.ErrNil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the streams: %w", err)
	}
	var all []Entry
	for _, v := range reply {
		pair, _ := v.([]any)
		if len(pair) != 2 {
			return nil, errors.New("read the streams: XREAD answered something else than streams")
		}
		key, _ := resp.String(pair[0], nil)
		s := slices.Index(r.keys[:], key)
		if s < 0 {
			return nil, fmt.Errorf("read the streams: XREAD answered for %q", key)
		}
		entries, err := parse(entry.Stream(s), pair[1], nil)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		if len(entries) > 0 {
			r.seen[s] = entries[len(entries)-1].ID
		}
		all = append(all, entries...)
	}
	return all, nil
}

func order(entries []Entry) {
	sort.Slice(entries, func(i, j int) bool {
		a, b := &entries[i], &entries[j]
		return a.ID.Less(b.ID) || a.ID == b.ID && a.Stream < b.Stream
	})
}

// parse reads entries as XRANGE and XREAD list them, in an answer that came with err.
func parse(stream entry.Stream, answer any, err error) ([]Entry, error) {
	list, err := resp.Values(answer, err)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(list))
	for _, v := range list {
		pair, _ := v.([]any)
		if len(pair) != 2 {
			return nil, errors.New("an entry is not an ID and fields")
		}
		text, err := resp.String(pair[0], nil)
		if err != nil {
			return nil, err
		}
		e := Entry{Stream: stream}
		if e.ID, err = entry.ParseID(text); err != nil {
			return nil, err
		}
		fields, err := resp.Fields(pair[1], nil)
		if errors.Is(err, resp.ErrNil) {
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
