package outbox

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

type record = spool.Record

// slabSize is the room of one slab of lines in bytes, ownSize that of one of wrapp's own
// entries; a record that is larger has a slab to itself.
const (
	slabSize = spool.RunSize
	ownSize  = 4 << 10
)

// retainBytes is how much of what has landed is kept in memory, in bytes, for
// the case that the server loses it.
const retainBytes = 1 << 20

// A slab holds records of one class, one behind the other. Its bytes stay in place once they
// were first sent; from then on a record may be read without the queue's lock.
type slab struct {
	buf     []byte // nil while only the spool has it
	size    int    // length of the records in bytes, also while buf is nil
	class   spool.Class
	counts  spool.Counts
	left    bool   // an earlier run left it: some of it may have landed, and nothing is added
	writer  uint64 // the run that numbered its records
	ordinal uint64 // of its first record

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

// queue is the bounded FIFO of all that is not yet known to be in Redis. It owns
// the bytes: add copies. Its slabs are in memory, in the spool, or both; see mode.
// When the memory is full and the spool cannot help, add waits for room if Redis is taking
// entries or block is set. Else it drops the oldest waiting lines and counts them: lines
// first, then crash reports, then wrapp's other entries.
type queue struct {
	mu   sync.Mutex
	room sync.Cond // something left the queue or its memory, or away or closed changed

	writer uint64 // of the records that add makes

	slabs []*slab  // those before head have landed and are retained
	first uint64   // number of slabs[0]
	head  position // first record not known to have landed
	next  position // first record that is not on its way
	doubt position // end of what was ever sent; after a lost connection next is before it

	progress progress // how far the streams are, by the records at head

	free []*slab // empty slabs of slabSize, for use again

	held     int // bytes of the records in memory that are not known to have landed
	retained int // bytes of the slabs before head
	limit    int // of held, in bytes; beyond it add waits or drops
	block    bool
	away     bool // Redis is not taking entries
	closed   bool // the sender takes no more from the queue

	lines           uint64       // of the app that came
	drops           spool.Counts // dropped for want of room, and not told yet
	droppedReported uint64       // how many drops were told
	whatWasFull     string
	dropped         func(lines int, text string) // Options.Dropped
	refusals        [logstream.Count]refusal     // not told yet
	refusedInAll    refusal                      // told

	ordinal uint64   // of the next record
	last    entry.ID // of the newest record
	clock   uint64   // milliseconds of the newest instant that add was given

	disk

	wake    chan struct{} // there is something for the sender to look at
	emptied chan struct{} // everything has landed
}

// progress is how far one writer's records have landed: in each stream all up to
// an ordinal.
type progress struct {
	writer uint64
	landed [logstream.Count]uint64
}

func (p *progress) has(r record) bool {
	return r.Ordinal() <= p.landed[r.Stream()] || r.Is(spool.Settled)
}

func newQueue(limit int, block bool, writer uint64) *queue {
	q := &queue{
		limit: limit, block: block, away: true, ordinal: 1, writer: writer,
		progress: progress{writer: writer},
		wake:     make(chan struct{}, 1), emptied: make(chan struct{}, 1),
	}
	q.disk.init()
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

// add appends one entry read at the given instant. The caller holds mu, which add gives
// up while it waits.
func (q *queue) add(stream logstream.Stream, flags entry.Flags, ms uint64, message []byte, fields []string, state byte) {
	if r := q.place(stream, ms, spool.Size(message, fields), state); r != nil {
		ordinal, id := r.Ordinal(), r.ID()
		r.Fill(ordinal, id, stream, flags, state, message, fields)
	}
}

// addRecord appends a copy of a line's record, which has no numbers yet, likewise.
func (q *queue) addRecord(line record, ms uint64) {
	if r := q.place(line.Stream(), ms, len(line), 0); r != nil {
		ordinal, id := r.Ordinal(), r.ID()
		copy(r, line)
		r.Number(ordinal, id)
	}
}

// place returns the room for a record of that size, with its numbers in it; nil if the
// queue is closed. The ID is the given instant's millisecond, or just after the last ID
// where the clock has not moved on.
func (q *queue) place(stream logstream.Stream, ms uint64, size int, state byte) record {
	if state&spool.Kept == 0 {
		q.lines++
		q.makeRoom(size)
	} else {
		q.makeOwnRoom(size)
	}
	if q.closed {
		if state&spool.Kept == 0 {
			q.drops[stream]++
		}
		return nil
	}
	if state&spool.Kept == 0 {
		if back := time.Duration(q.clock-ms) * time.Millisecond; ms+clockStep < q.clock {
			q.say(fmt.Sprintf(sayClockBack, back))
			q.clock = ms
		}
		q.clock = max(q.clock, ms)
	}
	id := entry.ID{Ms: ms}
	if !q.last.Less(id) {
		id = following(q.last)
	}
	q.last = id

	s := q.tail(size, spool.ClassOf(stream, state))
	at := len(s.buf)
	if at == 0 {
		s.ordinal = q.ordinal
	}
	s.buf = s.buf[:at+size]
	s.size = len(s.buf)
	r := record(s.buf[at:])
	r.Number(q.ordinal, id)
	q.ordinal++
	s.counts[stream]++
	q.held += size
	q.watched()
	return r
}

// say adds an entry of wrapp's own to the status stream. The caller holds mu.
func (q *queue) say(message string) {
	q.add(logstream.Status, 0, milliseconds(time.Now()), []byte(message), nil, spool.Kept)
}

// following is the ID we give after id. A record keeps 32 bits of sequence
// number.
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
				q.beginSpooling(whyAway)
			}
			if q.mode == spooling && q.evict() {
				continue
			}
			// While Redis takes entries, wait for Redis, however slow the disk is.
			if q.mode == spooling && !q.block && q.away && (q.slow || q.full) {
				if q.dropOldest(spool.Words) {
					continue
				}
				if q.full {
					return // what cannot be dropped is too large for the spool
				}
			}
			if q.mode == spooling && q.written == q.end() {
				return // all of it is on disk and was sent: nothing can be dropped
			}
			poke(q.spill)
		case q.away && !q.block:
			if !q.dropOldest(spool.Words) {
				return // all that is left was sent, or is wrapp's own
			}
			continue
		}
		q.signal()
		q.room.Wait()
	}
}

// makeOwnRoom limits the memory of wrapp's own entries and never waits. Otherwise an app that
// is started again and again while Redis is away would fill the memory.
func (q *queue) makeOwnRoom(size int) {
	for q.held > 0 && q.held+size > 2*q.limit {
		switch {
		case q.mode == spooling && q.evict():
		case q.usable():
			if q.away {
				q.beginSpooling(whyAway)
			}
			poke(q.spill)
			return
		case !q.away || !q.dropOldest(spool.Classes):
			return
		}
	}
}

// tail returns the last slab, with room for size bytes of records of a class.
func (q *queue) tail(size int, class spool.Class) *slab {
	if n := len(q.slabs); n > 0 {
		s := q.slabs[n-1]
		if s.buf != nil && cap(s.buf)-len(s.buf) >= size && s.class == class && !s.left {
			return s
		}
		if s.class != class && s.buf != nil && n > q.unsent() {
			s.buf = slices.Clone(s.buf) // nothing is added any more: the rest of its room is not needed
		}
	}
	var s *slab
	switch n := len(q.free); {
	case class != spool.Lines:
		s = &slab{buf: make([]byte, 0, max(size, ownSize))}
	case size > slabSize:
		s = &slab{buf: make([]byte, 0, size)}
	case n > 0:
		s = q.free[n-1]
		q.free = q.free[:n-1]
	default:
		s = &slab{buf: make([]byte, 0, slabSize)}
	}
	s.writer, s.class = q.writer, class
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
func (q *queue) each(from, to position, f func(r record, behind position) bool) {
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

// nextBatch fills b with the next records, all of one writer, if at least so many slabs wait. If
// the next slab is in the spool only, nextBatch returns it.
func (q *queue) nextBatch(b *batch, least int) (missing *slab) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first+uint64(len(q.slabs))-q.next.slab < uint64(least) {
		b.writer = q.progress.writer
		return nil
	}
	end, outstanding := q.next, q.next != q.head
	defer func() {
		b.writer, b.end = q.progress.writer, end
		q.next = end
		if q.doubt.before(end) {
			q.doubt = end
		}
	}()
	for end.slab-q.first < uint64(len(q.slabs)) {
		s := q.slabs[end.slab-q.first]
		if end.offset == s.size {
			if end.slab-q.first == uint64(len(q.slabs)-1) {
				return nil
			}
			end = position{end.slab + 1, 0}
			continue
		}
		if s.writer != q.progress.writer {
			if outstanding || b.records > 0 {
				return nil // another's go first
			}
			q.progress = progress{writer: s.writer}
		}
		if s.buf == nil {
			if b.records > 0 {
				return nil
			}
			return s
		}
		for end.offset < len(s.buf) {
			if b.full() {
				return nil
			}
			r := spool.At(s.buf, end.offset)
			end.offset += len(r)
			if !q.progress.has(r) {
				b.add(r)
			}
		}
	}
	return nil
}

// advance notes that all up to a position has landed, and lets go of it.
func (q *queue) advance(landed [logstream.Count]uint64, end position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress.landed = landed
	q.release(end)
}

// rewind notes what has landed, lets go of it, and has the rest be sent again.
func (q *queue) rewind(landed [logstream.Count]uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress.landed = landed
	q.release(q.landedFrom(q.head))
	q.next = q.head
}

// landedFrom returns the end of the records from a position on that need not be
// sent.
func (q *queue) landedFrom(from position) position {
	end := from
	q.each(from, q.doubt, func(r record, behind position) bool {
		if !q.progress.has(r) {
			return false
		}
		end = behind
		return true
	})
	return end
}

// release lets go of everything before end. The caller holds mu.
func (q *queue) release(end position) {
	for q.head.slab < end.slab {
		s := q.slabs[q.head.slab-q.first]
		if s.buf != nil {
			q.held -= s.size - q.head.offset
			q.retained += s.size
			if cap(s.buf) > 2*len(s.buf) { // lines and own entries in turns leave much room unused
				s.buf = slices.Clone(s.buf)
			}
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
	if q.onDisk() && !q.head.before(q.written) {
		poke(q.spill)
	}
	q.room.Broadcast()
}

// again queues the retained entries of a stream behind the ordinal has, which the server has
// lost, to be sent again. It returns how many these are.
func (q *queue) again(stream logstream.Stream, has uint64) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	was, head := q.head, q.head
	q.each(position{q.first, 0}, was, func(r record, behind position) bool {
		if r.Stream() != stream || r.Ordinal() <= has || r.Is(spool.Settled) {
			return true
		}
		// A retained slab of an earlier run has ordinals below all of this one's, and
		// the position speaks of this one.
		if s := q.slabs[behind.slab-q.first]; s.writer != q.progress.writer {
			return true
		}
		if n++; n == 1 {
			head = position{behind.slab, behind.offset - len(r)}
		}
		return true
	})
	q.progress.landed[stream] = has
	if n == 0 {
		return 0
	}
	for p := head; p.slab < was.slab; p = (position{p.slab + 1, 0}) {
		if s := q.slabs[p.slab-q.first]; s.buf != nil {
			q.held += s.size - p.offset
			q.retained -= s.size
		}
	}
	q.held += was.offset
	if head.slab == was.slab {
		q.held -= head.offset
	}
	q.head, q.next = head, head
	return n
}

// drained says whether there is no record from head on: there may be slabs of
// which everything was dropped. The caller holds mu.
func (q *queue) drained() bool { return q.headOrdinal() == q.ordinal }

// headOrdinal is the ordinal of the first record not known to have landed.
func (q *queue) headOrdinal() uint64 {
	for p := q.head; p.slab-q.first < uint64(len(q.slabs)); p = (position{p.slab + 1, 0}) {
		s := q.slabs[p.slab-q.first]
		switch {
		case p.offset >= s.size:
		case s.buf != nil:
			return spool.At(s.buf, p.offset).Ordinal()
		default:
			return s.ordinal
		}
	}
	return q.ordinal
}

// slabAt returns the slab with a number, or nil.
func (q *queue) slabAt(number uint64) *slab {
	if number < q.first || number-q.first >= uint64(len(q.slabs)) {
		return nil
	}
	return q.slabs[number-q.first]
}

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
	poke(q.spill) // a full spool waits for Redis only while Redis takes entries
	q.mu.Unlock()
	q.room.Broadcast()
}

// close releases callers who wait for room. Lines that are added from now on are dropped and
// counted.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.Broadcast()
}

// len is the number of entries that are not known to have landed.
func (q *queue) len() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := q.head.slab - q.first; i < uint64(len(q.slabs)); i++ {
		if s := q.slabs[i]; s.buf == nil && s.size > 0 {
			n += s.counts.Sum()
		}
	}
	q.each(q.head, q.end(), func(r record, _ position) bool {
		if !q.progress.has(r) {
			n++
		}
		return true
	})
	return n
}

// ended says whether everything has landed and nothing more will come.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.drained()
}

// withLock calls f under the lock.
func (q *queue) withLock(f func(*queue)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(q)
}

// empty says whether everything has landed.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drained()
}

// milliseconds is t as an entry's ID counts it.
func milliseconds(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
