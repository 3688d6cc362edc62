package outbox

import (
	"fmt"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

type record = spool.Record

// slabSize is the room of one slab in bytes; a record that is larger has a slab
// to itself.
const slabSize = spool.RunSize

// retainBytes is how much of what has landed is kept in memory, in bytes, for
// the case that the server loses it.
const retainBytes = 1 << 20

// A slab holds records one behind the other. Its bytes never move, so a record
// may be read without the queue's lock once it has been added.
type slab struct {
	buf     []byte // nil while only the spool has it
	size    int    // of buf, also while there is none
	records int
	kept    bool     // only spool.Kept records are left in it, and nothing is added
	left    bool     // an earlier process left it: its records are in doubt, and nothing is added
	ordinal uint64   // of its first record
	first   entry.ID // of its first record as the spool has it

	place     spool.Place // where the spool has savedFrom
	savedFrom int         // the spool has the bytes [savedFrom, saved)
	saved     int
	writing   bool // it is just being written to the spool
}

// A position is a place between two records: an offset in the slab with that
// number, counted from the first slab there ever was.
type position struct {
	slab   uint64
	offset int
}

func (p position) before(q position) bool {
	return p.slab < q.slab || p.slab == q.slab && p.offset < q.offset
}

// queue is the bounded FIFO of all that is not yet known to be in Redis: first
// what has been sent and not answered, then what waits. It owns the bytes: add
// copies. Its slabs are in memory, in the spool, or both; see spilling. When the
// memory is full and there is no spool to take it, add waits for room while
// Redis is taking entries, and drops the oldest waiting lines while it is not;
// what is dropped is counted. wrapp's own entries are the last to be dropped, of
// them crash reports first.
type queue struct {
	mu   sync.Mutex
	room sync.Cond // something left the queue or its memory, or away or closed changed

	slabs []*slab  // those before head have landed and are retained
	first uint64   // number of slabs[0]
	head  position // first record not known to have landed
	next  position // first record not sent on the present connection
	doubt position // first record never sent on any connection
	free  []*slab  // empty slabs of slabSize, for use again

	held     int // bytes of the records in memory that are not known to have landed
	retained int // bytes of the slabs before head
	limit    int // of held; only what add brings beyond it waits or drops
	block    bool
	away     bool // Redis is not taking entries
	closed   bool // nobody will take from the queue any more
	dropped  [entry.Streams]int

	// Slabs below these numbers have no lines, and no crash reports, to drop.
	dropFrom, reportsFrom uint64

	gaps int // slabs dropped since closeGaps took them out

	ordinal    uint64   // of the next record
	last       entry.ID // of the newest record
	clock      uint64   // milliseconds of the newest instant that add was given
	renumbered []renumbering
	settled    []spool.Span // merged: left records that have landed, or were dropped

	spilling

	wake    chan struct{} // there is something for the sender to look at
	emptied chan struct{} // everything has landed
}

// A renumbering with its origin.
type renumbering struct {
	spool.Renumbering
	ours bool // nothing was sent under the new IDs before this process
}

func newQueue(limit int, block bool) *queue {
	q := &queue{
		limit: limit, block: block, away: true, ordinal: 1,
		wake: make(chan struct{}, 1), emptied: make(chan struct{}, 1),
	}
	q.spilling.init()
	q.room.L = &q.mu
	return q
}

// signal tells the sender that there is something to look at.
func (q *queue) signal() { poke(q.wake) }

// poke makes c readable, if it is not already.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// clockStep is how far, in milliseconds, the clock must go back to be worth a word.
const clockStep = 1000

// add appends one entry read at the given instant. Its ID is that instant's
// millisecond, or just after the last ID where the clock has not moved on. The
// caller holds mu, which add gives up while it waits.
func (q *queue) add(stream entry.Stream, flags entry.Flags, ms uint64, message []byte, fields []string, state byte) {
	size := spool.Size(message, fields)
	if state&spool.Kept == 0 {
		q.makeRoom(size)
	}
	if q.closed {
		q.dropped[stream]++
		return
	}
	if state&spool.Kept == 0 {
		if back := time.Duration(q.clock-ms) * time.Millisecond; ms+clockStep < q.clock {
			q.say(fmt.Sprintf("the clock went back by %v; the IDs of entries go on from where they were", back))
			q.clock = ms
		}
		q.clock = max(q.clock, ms)
	}
	id := entry.ID{Ms: ms}
	if !q.last.Less(id) {
		id = following(q.last)
	}
	q.last = id

	s := q.tail(size)
	at := len(s.buf)
	if at == 0 {
		s.ordinal, s.first = q.ordinal, id
	}
	s.buf = s.buf[:at+size]
	s.size = len(s.buf)
	record(s.buf[at:]).Fill(q.ordinal, id, stream, flags, state, message, fields)
	q.ordinal++
	s.records++
	q.held += size
	q.watched()
}

// say adds an entry of wrapp's own to the status stream. The caller holds mu.
func (q *queue) say(message string) {
	q.add(entry.Status, 0, milliseconds(time.Now()), []byte(message), nil, spool.Kept)
}

// following is the ID we give after id. A record keeps 32 bits of sequence
// number, which is enough unless another writer chose a larger one.
func following(id entry.ID) entry.ID {
	if id.Seq >= 1<<32-1 {
		return entry.ID{Ms: id.Ms + 1}
	}
	return entry.ID{Ms: id.Ms, Seq: id.Seq + 1}
}

// makeRoom returns when size more bytes may be held. An entry larger than the
// whole queue is let in when nothing else is.
func (q *queue) makeRoom(size int) {
	for q.held > 0 && q.held+size > q.limit && !q.closed {
		switch {
		case q.usable():
			if q.away {
				q.beginSpooling("Redis is away")
			}
			if q.spooling && q.evict() {
				continue
			}
			// Where Redis takes entries it makes room, be the disk as slow as it may.
			if q.spooling && !q.block && q.away && (q.slow || q.full) {
				if q.dropOldest() {
					continue
				}
				if q.full {
					return // what cannot be dropped is too large for the spool
				}
			}
			if q.spooling && q.written == q.end() {
				return // what is in memory is in doubt: Redis may have it or not
			}
			poke(q.spill)
		case q.away && !q.block:
			if !q.dropOldest() {
				return // all that is left is in doubt or wrapp's own
			}
			continue
		}
		q.signal()
		q.room.Wait()
	}
}

// tail returns the last slab, with room for size bytes.
func (q *queue) tail(size int) *slab {
	if n := len(q.slabs); n > 0 {
		if s := q.slabs[n-1]; s.buf != nil && cap(s.buf)-len(s.buf) >= size && !s.kept && !s.left {
			return s
		}
	}
	var s *slab
	switch n := len(q.free); {
	case size > slabSize:
		s = &slab{buf: make([]byte, 0, size)}
	case n > 0:
		s = q.free[n-1]
		q.free = q.free[:n-1]
	default:
		s = &slab{buf: make([]byte, 0, slabSize)}
	}
	q.slabs = append(q.slabs, s)
	return s
}

func (q *queue) recycle(s *slab) {
	if cap(s.buf) == slabSize && len(q.free) < 32 {
		q.free = append(q.free, &slab{buf: s.buf[:0]})
	}
}

// each calls f for the records in memory between two positions, until f returns
// false. The caller holds mu.
func (q *queue) each(from, to position, f func(record, position) bool) {
	for p := from; p.slab-q.first < uint64(len(q.slabs)); p = (position{p.slab + 1, 0}) {
		if !p.before(to) {
			return
		}
		buf := q.slabs[p.slab-q.first].buf
		for p.offset < len(buf) {
			if !p.before(to) {
				return
			}
			r := spool.At(buf, p.offset)
			p.offset += len(r)
			if !f(r, p) {
				return
			}
		}
	}
}

// end is the position behind the newest record.
func (q *queue) end() position {
	if n := len(q.slabs); n > 0 {
		return position{q.first + uint64(n-1), q.slabs[n-1].size}
	}
	return position{q.first, 0}
}

// A span is a run of records within one slab that goes into one batch.
type span struct{ buf []byte }

// take appends to spans what is to be sent next, up to some records and bytes, in which
// what is not copied counts as directBytes, and marks it as sent. It returns the number
// of records that are to be sent, and the positions before and behind them; or, if it
// could take nothing, the slab that has to be read from the spool first.
func (q *queue) take(spans []span, maxBytes, maxRecords int) (_ []span, records int, start, end position, missing *slab) {
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes := 0
	start, end = q.next, q.next
	limit := q.end()
	if q.settling() {
		limit = q.written
	}
	for bytes < maxBytes && records < maxRecords && end.before(limit) {
		s := q.slabs[end.slab-q.first]
		if end.offset == s.size {
			end = position{end.slab + 1, 0}
			continue
		}
		if s.buf == nil {
			if end == q.next {
				return spans, 0, start, end, s
			}
			break
		}
		from := end.offset
		for end.offset < len(s.buf) && bytes < maxBytes && records < maxRecords && end.before(limit) {
			r := spool.At(s.buf, end.offset)
			end.offset += len(r)
			if !r.Is(spool.Landed) {
				bytes += min(len(r), directBytes)
				records++
			}
		}
		spans = append(spans, span{s.buf[from:end.offset]})
	}
	q.next = end
	if q.doubt.before(end) {
		q.doubt = end
	}
	return spans, records, start, end, nil
}

// waiting is the number of bytes that have not been sent. It stops counting when
// there are enough for a batch.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.settling() && !q.next.before(q.written) {
		return 0
	}
	n := -q.next.offset
	for i := q.next.slab - q.first; i < uint64(len(q.slabs)); i++ {
		n += q.slabs[i].size
		if n >= flushBytes {
			break
		}
	}
	return n
}

// release lets go of everything before end: it has landed.
func (q *queue) release(end position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.head.before(end) {
		return
	}
	for q.head.slab < end.slab {
		s := q.slabs[q.head.slab-q.first]
		if s.buf != nil {
			q.held -= s.size - q.head.offset
			q.retained += s.size
		}
		q.unsave(s)
		q.head = position{q.head.slab + 1, 0}
	}
	q.held -= end.offset - q.head.offset
	q.head.offset = end.offset
	for q.retained > retainBytes && q.first < q.head.slab {
		s := q.slabs[0]
		if s.buf != nil {
			q.retained -= s.size
			q.recycle(s)
		}
		q.slabs[0] = nil // or the array keeps it
		q.slabs = q.slabs[1:]
		q.first++
	}
	if q.drained() {
		poke(q.emptied)
	}
	if q.settling() && !q.head.before(q.written) {
		poke(q.spill)
	}
	q.room.Broadcast()
}

// drained says whether there is no record from head on: there may be slabs of
// which everything was dropped. The caller holds mu.
func (q *queue) drained() bool { return q.headOrdinal() == q.ordinal }

// position is that of the first record not known to have landed.
func (q *queue) position() position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head
}

// setAway says whether Redis is taking entries.
func (q *queue) setAway(away bool) {
	q.mu.Lock()
	q.away = away
	q.watched()
	q.mu.Unlock()
	q.room.Broadcast()
}

// close lets go of whoever waits for room; what is added from now on is
// dropped and counted.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.Broadcast()
}

// len is the number of entries in the queue.
func (q *queue) len() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := q.head.slab - q.first; i < uint64(len(q.slabs)); i++ {
		if s := q.slabs[i]; s.buf == nil && s.size > 0 {
			n += s.records
		}
	}
	q.each(q.head, q.end(), func(r record, _ position) bool {
		if !r.Is(spool.Landed) {
			n++
		}
		return true
	})
	return n
}

// empty says whether everything has landed.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drained()
}

// milliseconds is t as an entry's ID counts it.
func milliseconds(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
