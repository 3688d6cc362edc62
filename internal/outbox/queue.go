package outbox

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A record is one entry as the queue keeps it: a header, then the message, then
// further fields. It is written once, when the entry is added; only its ID and
// its state change afterwards.
//
//	 0  uint32  size of the whole record, in bytes
//	 4  uint32  length of the message
//	 8  uint8   stream
//	 9  uint8   entry.Flags
//	10  uint8   state
//	11  uint8   number of further fields
//	12  uint32  sequence number of the ID
//	16  uint64  milliseconds of the ID
//	24          message; then, for each further field, name and value, each
//	            behind its length as a uint32
type record []byte

const headerSize = 24

const (
	stateLanded  = 1 << iota // it is in its stream, or will never be: not to be sent
	stateRefused             // Redis answered that it did not take it, and never had it before
	stateResent              // it was sent before, and what came of that is not known
	stateBehind              // sent again, Redis answered that the stream has this ID or a later one
	stateKept                // wrapp's own words: not dropped to make room
)

func (r record) message() []byte      { return r[headerSize:][:binary.LittleEndian.Uint32(r[4:])] }
func (r record) stream() entry.Stream { return entry.Stream(r[8]) }
func (r record) flags() entry.Flags   { return entry.Flags(r[9]) }
func (r record) is(state byte) bool   { return r[10]&state != 0 }
func (r record) set(state byte)       { r[10] |= state }
func (r record) clear(state byte)     { r[10] &^= state }

func (r record) id() entry.ID {
	return entry.ID{Ms: binary.LittleEndian.Uint64(r[16:]), Seq: uint64(binary.LittleEndian.Uint32(r[12:]))}
}

func (r record) setID(id entry.ID) {
	binary.LittleEndian.PutUint32(r[12:], uint32(id.Seq))
	binary.LittleEndian.PutUint64(r[16:], id.Ms)
}

// fields are all fields of the entry but `message`, names and values in turn.
func (r record) fields() []string {
	fields := r.flags().Fields()
	rest := r[headerSize+len(r.message()):]
	for range 2 * int(r[11]) {
		n := binary.LittleEndian.Uint32(rest)
		fields = append(fields, string(rest[4:4+n]))
		rest = rest[4+n:]
	}
	return fields
}

// slabSize is the room of one slab in bytes; a record that is larger has a slab
// to itself.
const slabSize = 64 << 10

// A slab holds records one behind the other. Its bytes never move, so a record
// may be read without the queue's lock once it has been added.
type slab struct {
	buf     []byte
	records int
	kept    bool // only stateKept records are left in it
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
// copies. When it is full, add waits for room while Redis is taking entries,
// and drops the oldest waiting lines while it is not; what is dropped is
// counted. wrapp's own entries are never dropped: they are few.
type queue struct {
	mu   sync.Mutex
	room sync.Cond // something left the queue, or away or closed changed

	slabs []*slab
	first uint64   // number of slabs[0]
	head  position // first record not known to have landed
	next  position // first record not sent on the present connection
	doubt position // first record never sent on any connection
	free  []*slab  // empty slabs of slabSize, for use again

	held    int // bytes of the slabs' records
	limit   int // bytes; only what add brings beyond it waits or drops
	block   bool
	away    bool // Redis is not taking entries
	closed  bool // nobody will take from the queue any more
	dropped int  // entries dropped, ever

	last    entry.ID      // of the newest record
	wake    chan struct{} // there is something for the sender to look at
	emptied chan struct{} // everything has landed
}

func newQueue(limit int, block bool) *queue {
	q := &queue{limit: limit, block: block, away: true, wake: make(chan struct{}, 1), emptied: make(chan struct{}, 1)}
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

// add appends one entry read at the given instant. Its ID is that instant's
// millisecond, or just after the last ID where the clock has not moved on. The
// caller holds mu, which add gives up while it waits.
func (q *queue) add(stream entry.Stream, flags entry.Flags, ms uint64, message []byte, fields []string, state byte) {
	size := headerSize + len(message)
	for _, f := range fields {
		size += 4 + len(f)
	}
	if state&stateKept == 0 {
		q.makeRoom(size)
	}
	if q.closed {
		q.dropped++
		return
	}
	id := entry.ID{Ms: ms}
	if !q.last.Less(id) {
		id = following(q.last)
	}
	q.last = id

	s := q.tail(size)
	at := len(s.buf)
	s.buf = s.buf[:at+size]
	r := record(s.buf[at:])
	binary.LittleEndian.PutUint32(r, uint32(size))
	binary.LittleEndian.PutUint32(r[4:], uint32(len(message)))
	r[8], r[9], r[10], r[11] = byte(stream), byte(flags), state, byte(len(fields)/2)
	r.setID(id)
	n := headerSize + copy(r[headerSize:], message)
	for _, f := range fields {
		binary.LittleEndian.PutUint32(r[n:], uint32(len(f)))
		n += 4 + copy(r[n+4:], f)
	}
	s.records++
	q.held += size
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
		if q.away && !q.block {
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
		if s := q.slabs[n-1]; cap(s.buf)-len(s.buf) >= size && !s.kept {
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

// dropOldest drops the oldest slab's worth of lines that were never sent: of
// those, and only those, it is certain that they are not in Redis. What wrapp
// itself had to say stays. It returns false when there is nothing to drop.
func (q *queue) dropOldest() bool {
	for i, s := range q.slabs {
		number := q.first + uint64(i)
		if s.kept || number < q.doubt.slab || number == q.doubt.slab && q.doubt.offset > 0 {
			continue
		}
		var kept slab
		for at := 0; at < len(s.buf); {
			r := recordAt(s.buf, at)
			at += len(r)
			if r.is(stateKept) {
				kept.buf = append(kept.buf, r...)
				kept.records++
			}
		}
		q.dropped += s.records - kept.records
		q.held -= len(s.buf) - len(kept.buf)
		kept.kept = true
		q.recycle(s)
		q.slabs[i] = &kept
		return true
	}
	return false
}

func (q *queue) recycle(s *slab) {
	if cap(s.buf) == slabSize {
		*s = slab{buf: s.buf[:0]}
		q.free = append(q.free, s)
	}
}

// recordAt is the record that begins at offset at of buf.
func recordAt(buf []byte, at int) record {
	return record(buf[at:][:binary.LittleEndian.Uint32(buf[at:])])
}

// each calls f for the records between two positions, until f returns false.
// The caller holds mu.
func (q *queue) each(from, to position, f func(record, position) bool) {
	for p := from; p.slab-q.first < uint64(len(q.slabs)); p = (position{p.slab + 1, 0}) {
		buf := q.slabs[p.slab-q.first].buf
		for p.offset < len(buf) {
			if !p.before(to) {
				return
			}
			r := recordAt(buf, p.offset)
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
		return position{q.first + uint64(n-1), len(q.slabs[n-1].buf)}
	}
	return position{q.first, 0}
}

// A span is a run of records within one slab that goes into one batch.
type span struct{ buf []byte }

// take appends to spans what is to be sent next, up to some bytes and records,
// and marks it as sent. It returns the number of records that are to be sent,
// and the positions before and behind them.
func (q *queue) take(spans []span, maxBytes, maxRecords int) (_ []span, records int, start, end position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes := 0
	start, end = q.next, q.next
	for bytes < maxBytes && records < maxRecords && end.slab-q.first < uint64(len(q.slabs)) {
		s := q.slabs[end.slab-q.first]
		if end.offset == len(s.buf) {
			if end.slab-q.first+1 == uint64(len(q.slabs)) {
				break
			}
			end = position{end.slab + 1, 0}
			continue
		}
		from := end.offset
		for end.offset < len(s.buf) && bytes < maxBytes && records < maxRecords {
			r := recordAt(s.buf, end.offset)
			end.offset += len(r)
			if !r.is(stateLanded) {
				bytes += len(r)
				records++
			}
		}
		spans = append(spans, span{s.buf[from:end.offset]})
	}
	q.next = end
	if q.doubt.before(end) {
		q.doubt = end
	}
	return spans, records, start, end
}

// waiting is the number of bytes that have not been sent, roughly: it counts
// whole slabs and the part of the first.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := -q.next.offset
	for i := q.next.slab - q.first; i < uint64(len(q.slabs)); i++ {
		n += len(q.slabs[i].buf)
	}
	return n
}

// release forgets everything before end: it has landed.
func (q *queue) release(end position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.head.before(end) {
		return
	}
	for q.head.slab < end.slab {
		s := q.slabs[0]
		q.held -= len(s.buf) - q.head.offset
		q.slabs = q.slabs[1:]
		q.first++
		q.head = position{q.first, 0}
		q.recycle(s)
	}
	q.held -= end.offset - q.head.offset
	q.head.offset = end.offset
	if s := q.slabs[0]; len(q.slabs) == 1 && end.offset == len(s.buf) && q.next == end {
		// Nothing is left: the slab starts again from its beginning.
		q.slabs = q.slabs[:0]
		q.first++
		q.head = position{q.first, 0}
		q.next, q.doubt = q.head, q.head
		q.recycle(s)
	}
	if q.held == 0 {
		poke(q.emptied)
	}
	q.room.Broadcast()
}

// position is that of the first record not known to have landed.
func (q *queue) position() position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head
}

// releaseLanded forgets the records at the head that are marked as landed.
func (q *queue) releaseLanded() {
	q.mu.Lock()
	end := q.head
	q.each(q.head, q.doubt, func(r record, behind position) bool {
		if r.is(stateLanded) {
			end = behind
		}
		return r.is(stateLanded)
	})
	q.mu.Unlock()
	q.release(end)
}

// rewind makes everything that is not marked as landed wait again.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.each(q.head, q.next, func(r record, _ position) bool {
		if !r.is(stateRefused) {
			r.set(stateResent)
		}
		r.clear(stateRefused | stateBehind)
		return true
	})
	q.next = q.head
}

// renumber gives the records of a stream that have not landed IDs above floor,
// where they are not above it already, and makes later ones follow. It returns
// how many IDs changed.
func (q *queue) renumber(stream entry.Stream, floor entry.ID) (changed int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.each(q.head, q.end(), func(r record, _ position) bool {
		if r.stream() != stream || r.is(stateLanded) {
			return true
		}
		if id := r.id(); floor.Less(id) {
			return false // and so are all that follow
		}
		floor = following(floor)
		r.setID(floor)
		r.clear(stateResent | stateBehind)
		r.set(stateRefused) // nothing with this ID was ever sent
		changed++
		return true
	})
	if q.last.Less(floor) {
		q.last = floor
	}
	return changed
}

// setAway says whether Redis is taking entries.
func (q *queue) setAway(away bool) {
	q.mu.Lock()
	q.away = away
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
	q.each(q.head, q.end(), func(r record, _ position) bool {
		if !r.is(stateLanded) {
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
	return q.held == 0
}

// milliseconds is t as an entry's ID counts it.
func milliseconds(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
