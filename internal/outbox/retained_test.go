package outbox

import (
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// TestRetainedRoom adds and sends lines and wrapp's own entries in turns, as with an app that
// restarts again and again: the retained ones take little more memory than their own size.
func TestRetainedRoom(t *testing.T) {
	t.Parallel()
	q := newQueue(1<<20, false, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range 20_000 {
		q.add(logstream.Info, 0, uint64(i), []byte("a line of some length"), nil, 0)
		q.next, q.doubt = q.end(), q.end()
		q.release(q.end())
		q.add(logstream.Status, 0, uint64(i), []byte("words of ours"), nil, spool.Own)
		q.next, q.doubt = q.end(), q.end()
		q.release(q.end())
	}
	room := 0
	for _, s := range q.slabs {
		room += cap(s.buf)
	}
	if q.retained < retainBytes/2 || room > 2*q.retained+slabSize {
		t.Errorf("%d bytes are retained in %d", q.retained, room)
	}
}

// TestOwnRoom adds many entries of wrapp's own while Redis is away, without a spool, as with
// an app that restarts again and again: the newest ones stay, the dropped ones are counted.
func TestOwnRoom(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	q := newQueue(limit, false, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	const n = 50_000
	for i := range n {
		q.add(logstream.Status, 0, uint64(i), []byte("words of ours"), nil, spool.Own)
	}
	if q.held > 2*limit {
		t.Errorf("%d bytes are held", q.held)
	}
	left := 0
	var last string
	q.each(q.head, q.end(), func(r record, _ cursor) bool {
		left++
		last = r.ID().String()
		return true
	})
	if q.drops[logstream.Status] == 0 || left+int(q.drops[logstream.Status]) != n || last != "49999-0" {
		t.Errorf("%d are left, up to %s, %d were dropped", left, last, q.drops[logstream.Status])
	}
}

// TestOwnRoomLanded adds entries of wrapp's own while Redis is away, without a spool and with
// block, behind a huge line and a crash report that has landed: none is dropped until those that
// have not landed exceed the limit.
func TestOwnRoomLanded(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	q := newQueue(limit, true, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(logstream.Crash, 0, 1, make([]byte, limit*3/4), nil, spool.Own)
	q.next, q.doubt = q.end(), q.end()
	q.release(q.end())
	q.add(logstream.Info, 0, 2, make([]byte, 2*limit), nil, 0)
	for range limit / 2 / 1000 {
		q.add(logstream.Status, 0, 3, make([]byte, 1000), nil, spool.Own)
	}
	if n := q.drops.Sum(); n > 0 {
		t.Errorf("%d entries were dropped, of %d bytes", n, limit/2)
	}
}

// TestRewindStopsAtWriter: what another process has numbered lower, behind our records that have
// landed, has not landed by that.
func TestRewindStopsAtWriter(t *testing.T) {
	t.Parallel()
	left := newQueue(1<<20, false, 2)
	left.mu.Lock()
	left.add(logstream.Info, 0, 1, []byte("a line that another process left"), nil, 0)
	left.mu.Unlock()

	q := newQueue(1<<20, false, 1)
	q.mu.Lock()
	q.ordinal = 1000
	q.add(logstream.Info, 0, 1, []byte("a line of ours"), nil, 0)
	q.slabs = append(q.slabs, left.slabs[0])
	q.held += left.held
	q.next, q.doubt = q.end(), q.end()
	q.mu.Unlock()
	q.rewind([logstream.Count]uint64{logstream.Info: 1000})
	if at := q.headOrdinal(); at != 1 || q.len() != 1 {
		t.Errorf("the queue goes on at the ordinal %d, with %d entries", at, q.len())
	}
}
