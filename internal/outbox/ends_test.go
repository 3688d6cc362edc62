package outbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// short is a patience of Close, for a Redis that takes nothing.
const short = 300 * time.Millisecond

// untilOOM waits until Redis refuses entries for lack of memory.
func untilOOM(t *testing.T, o *Outbox) {
	t.Helper()
	eventually(t, "Redis refuses entries", func() (refused bool) {
		o.q.withLock(func(q *queue) { refused = strings.Contains(q.away, "OOM") })
		return refused
	})
}

// allSpooled waits until all that waits is in the spool.
func allSpooled(t *testing.T, o *Outbox) {
	t.Helper()
	eventually(t, "all is in the spool", func() (all bool) {
		o.q.withLock(func(q *queue) { all = q.mode == spooling && q.written == q.end() })
		return all
	})
}

// TestRefusedAtEnd ends while Redis takes nothing, after it has refused entries for good: the next run
// tells their number.
func TestRefusedAtEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, key := s.Dial(1), logstream.Keys("t")[logstream.Info]
	do(t, c, "SET", key, "no stream")
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	number(o, 0, 100)
	eventually(t, "the entries are refused", func() bool { return o.Stats().Refused == 100 && o.q.empty() })
	do(t, c, "CONFIG", "SET", "maxmemory", "1")
	do(t, c, "DEL", key)
	number(o, 100, 110)
	untilOOM(t, o)
	o.Close(short)
	do(t, c, "CONFIG", "SET", "maxmemory", "0")
	closeAll(t, openSpooled(t, s, dir, 64<<20, nil))
	if got := said(s, "100 entries of :info were refused by Redis for good"); len(got) != 1 {
		t.Errorf(":status has %q", said(s, ""))
	}
}

// TestRefusedWithoutSpool ends while Redis takes nothing: only lines count as lost, not a report about
// others.
func TestRefusedWithoutSpool(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, key := s.Dial(1), logstream.Keys("t")[logstream.Info]
	do(t, c, "SET", key, "no stream")
	o := open(t, s, nil)
	number(o, 0, 100)
	eventually(t, "the entries are refused", func() bool { return o.Stats().Refused == 100 && o.q.empty() })
	do(t, c, "CONFIG", "SET", "maxmemory", "1")
	do(t, c, "DEL", key)
	number(o, 100, 110)
	untilOOM(t, o)
	if lost, kept, why := o.Close(short); lost != 10 || kept != 0 {
		t.Errorf("%d lost and %d kept: %v", lost, kept, why)
	}
}

// TestUnreadableAtEnd ends while Redis takes nothing, after a segment could not be read back: all of
// its entries are counted.
func TestUnreadableAtEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	number(o, 0, 60_000)
	o.Close(short)
	s.Up()
	c := s.Dial(0)
	do(t, c, "CONFIG", "SET", "maxmemory", "1")
	o = openSpooled(t, s, dir, 64<<20, func(*Options) {
		if err := os.WriteFile(segments(t, dir)[0], nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	untilOOM(t, o)
	o.Close(short)
	do(t, c, "CONFIG", "SET", "maxmemory", "0")
	closeAll(t, openSpooled(t, s, dir, 64<<20, nil))
	told := 0
	for _, m := range said(s, "entries in the spool are lost") {
		var n int
		fmt.Sscanf(m, "%d entries", &n)
		told += n
	}
	if got := len(s.Messages(logstream.Keys("t")[logstream.Info])); got+told != 60_000 || told == 0 {
		t.Errorf("%d lines came and %d are told as lost, of 60000: %q", got, told, said(s, ""))
	}
}

// onMessage is a log that calls f with each message.
type onMessage struct {
	slog.Handler
	f func(message string)
}

func (h onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (h onMessage) Handle(_ context.Context, r slog.Record) error {
	h.f(r.Message)
	return nil
}

// TestLostAndAway ends while Redis hangs, and has lost entries just before: those are not in the spool
// any more, and the next run counts them.
func TestLostAndAway(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dir := filepath.Join(t.TempDir(), "spool")
	found, hangs := make(chan struct{}), make(chan struct{})
	wait := sync.OnceFunc(func() {
		close(found)
		<-hangs
	})
	o := openSpooled(t, s, dir, 64<<20, func(opts *Options) {
		opts.Log = slog.New(onMessage{slog.DiscardHandler, func(m string) {
			if strings.Contains(m, "Redis has lost") {
				wait() // before anything is sent again
			}
		}})
	})
	number(o, 0, 1000)
	eventually(t, "landed", o.q.empty)
	s.Down()
	number(o, 1000, 1010)
	allSpooled(t, o)
	s.Up()
	<-found
	s.Pause()
	close(hangs)
	o.Close(short)
	s.Down()
	s.Up()
	closeAll(t, openSpooled(t, s, dir, 64<<20, nil))
	if got := len(s.Messages(logstream.Keys("t")[logstream.Info])); got+toldDropped(s) != 1010 {
		t.Errorf("%d lines came and %d are told as dropped, of 1010: %q", got, toldDropped(s), said(s, ""))
	}
}

// TestHeadDropped drops the slab at head, of which nothing was sent: the slab before it has landed, and
// takes no further line.
func TestHeadDropped(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	q := newQueue(limit, false, 1)
	q.away = ""
	add := func(size int) {
		q.withLock(func(q *queue) { q.add(logstream.Info, 0, 1, bytes.Repeat([]byte("x"), size), nil, 0) })
	}
	add(40_000) // its slab has room for more
	add(limit / 2)
	b := batch{limit: 1}
	q.nextBatch(&b, 0)
	q.advance([logstream.Count]uint64{logstream.Info: 1}, b.end)
	q.setAway(whyAway)
	add(2 * limit) // drops the second
	add(20)        // drops the third
	add(20)
	if dropped := q.drops.Sum(); dropped != 2 || q.len() != 2 {
		t.Errorf("%d lines wait and %d were dropped, want 2 and 2", q.len(), dropped)
	}
}
