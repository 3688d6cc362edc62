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

// Capacities of a slab of lines and of a slab of wrapp's own entries, in bytes. A larger
// record has a slab to itself.
const (
	slabSize = spool.ExtentSize
	ownSize  = 4 << 10
)

// retainBytes is how many bytes of landed records stay in memory, in case the server
// loses them.
const retainBytes = 1 << 20

// A slab holds records of one class, one after the other. The bytes of a record that was sent
// stay in place until it has landed: the sender reads them without the queue's lock.
type slab struct {
	buf     []byte // buf: nil while only the spool has it
	size    int    // size: length of the records in bytes, also while buf is nil
	class   spool.Class
	counts  spool.Counts
	left    bool   // left: an earlier process left it; some records may have landed, and nothing is appended
	writer  uint64 // writer: the process that numbered its records
	ordinal uint64 // ordinal: of its first record

	place     spool.Place // place: where the spool has the byte at savedFrom
	savedFrom int         // savedFrom: the spool has the bytes [savedFrom, saved)
	saved     int
	spooled   int  // spooled: how many of its records this process wrote to the spool
	writing   bool // writing: spillOnce is writing it to the spool
}

// A cursor is a place between two records: an offset in a slab. Slabs have consecutive numbers.
// Dropping a slab, which was never sent, lowers the numbers of those after it; cursors into what was
// sent stay valid.
type cursor struct {
	slab   uint64
	offset int
}

func (p cursor) before(q cursor) bool {
	return p.slab < q.slab || p.slab == q.slab && p.offset < q.offset
}

// queue is the bounded FIFO of all records that are not yet known to be in Redis. It owns
// the bytes: add copies. Its slabs are in memory, in the spool, or both; see mode.
// When the memory is full, a line waits for the disk or Redis to make room. If neither is about to, and
// block is unset, add drops the oldest entries that were never sent, and counts them: lines first, then
// crash reports. wrapp's own entries, crash reports too, never wait; see makeOwnRoom.
type queue struct {
	mu   sync.Mutex
	room sync.Cond // room: something left the queue or its memory, or away or closed changed

	writer uint64 // writer: this process

	slabs []*slab // slabs: those before head have landed and are retained
	first uint64  // first: number of slabs[0]
	head  cursor  // head: first record not known to have landed
	next  cursor  // next: first record to send; after a lost connection rewind moves it back to head
	doubt cursor  // doubt: end of the records that this process sent, or that an earlier one may have sent

	progress progress // progress: of the writer of the records at head

	free []*slab // free: empty slabs of slabSize, for use again

	held     int // held: bytes of the records in memory that are not known to have landed
	retained int // retained: bytes of the slabs before head
	limit    int // limit: of held, in bytes; beyond it add waits or drops; see makeOwnRoom
	block    bool
	away     string // away: why Redis is not taking entries, "" while it is
	closed   bool   // closed: nothing is added any more

	lines           uint64                       // lines: the app's lines since New, also those that were dropped
	drops           spool.Counts                 // drops: dropped entries, not reported yet
	droppedReported uint64                       // droppedReported: dropped entries in all reports
	whatWasFull     string                       // whatWasFull: what had no room at the last drop, for the report
	dropped         func(lines int, text string) // dropped: Options.Dropped
	refusals        [logstream.Count]refusal     // refusals: not reported yet
	refused, aside  int                          // refused: entries refused for good since New; aside: those of them among the dead letters

	ordinal uint64   // ordinal: of the next record; adopt lifts it above those of an earlier process
	last    entry.ID // last: of the newest record
	clock   uint64   // clock: time of the newest line, in milliseconds; set back after a reported step of the clock

	disk

	wake    chan struct{} // wake: readable when the sender has work
	emptied chan struct{} // emptied: readable when everything has landed
}

// progress says how far one writer's records have landed: in each stream, all up to
// and including an ordinal.
type progress struct {
	writer uint64
	landed [logstream.Count]uint64
}

func (p *progress) has(r record) bool {
	return r.Ordinal() <= p.landed[r.Stream()] || r.Is(spool.Skip)
}

func newQueue(limit int, block bool, writer uint64) *queue {
	q := &queue{
		limit: limit, block: block, away: whyAway, ordinal: 1, writer: writer,
		progress: progress{writer: writer},
		wake:     make(chan struct{}, 1), emptied: make(chan struct{}, 1),
	}
	q.disk.init()
	q.room.L = &q.mu
	return q
}

// signal wakes the sender. add does so only when it has to wait.
func (q *queue) signal() { poke(q.wake) }

// poke makes c readable, if it is not already.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// clockStep is the largest backward step of the clock that is not reported, in milliseconds.
const clockStep = 1000

// add appends one entry that was read at ms, unless the queue is closed. Its ID is <ms>-0, or the
// ID after last if last is not below <ms>-0. The caller holds mu; add releases mu while it waits for
// room.
func (q *queue) add(stream logstream.Stream, flags entry.Flags, ms uint64, message []byte, fields []string, state byte) {
	size := spool.Size(message, fields)
	if state&spool.Own == 0 {
		q.lines++
		q.makeRoom(size)
	} else {
		q.makeOwnRoom(size)
	}
	if q.closed {
		if state&spool.Own == 0 {
			q.drops[stream]++
		}
		return
	}
	if state&spool.Own == 0 {
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
	record(s.buf[at:]).Fill(q.ordinal, id, stream, flags, state, message, fields)
	q.ordinal++
	s.counts[stream]++
	q.held += size
	q.watched()
}

// say adds an entry of wrapp's own to the status stream. The caller holds mu.
func (q *queue) say(message string) {
	q.add(logstream.Status, 0, milliseconds(time.Now()), []byte(message), nil, spool.Own)
}

// following returns the next ID after id. A record has 32 bits for the sequence number.
func following(id entry.ID) entry.ID {
	if id.Seq >= 1<<32-1 {
		return entry.ID{Ms: id.Ms + 1}
	}
	return entry.ID{Ms: id.Ms, Seq: id.Seq + 1}
}

// makeRoom waits until size more bytes may be held. While Redis is away and block is unset, it drops
// instead if the spool is slow or full, or there is none to use. An entry larger than limit may be
// held alone. Each return in the loop leaves more than limit held, for the reason beside it.
func (q *queue) makeRoom(size int) {
	for q.held > 0 && q.held+size > q.limit && !q.closed {
		switch {
		case q.usable():
			if q.away != "" {
				q.become(spooling, q.away)
			}
			if q.mode == spooling && q.evict() {
				continue
			}
			// While Redis takes entries, only spillOnce drops, from a spool that stays full.
			if q.mode == spooling && !q.block && q.away != "" && (q.slow || q.full) {
				if q.dropOldest(spool.Lines, spool.Words) {
					continue
				}
				return // the rest cannot be dropped, and the spool has no room or its disk hangs
			}
			if q.mode == spooling && q.written == q.end() {
				return // everything is on disk; evict leaves what was sent, and the last slab
			}
			poke(q.spill)
		case q.away != "" && !q.block:
			if !q.dropOldest(spool.Lines, spool.Words) {
				return // the rest was sent, or is Words
			}
			continue
		}
		q.signal()
		q.room.Wait()
	}
}

// makeOwnRoom is makeRoom for wrapp's own entries. It never waits. While Redis is away and no
// spool is usable it drops entries beyond twice the limit: an app that restarts again and again
// must not fill the memory then. With block it drops no lines, and own entries only once these alone
// exceed the limit.
func (q *queue) makeOwnRoom(size int) {
	lowest := spool.Lines
	if q.block {
		lowest = spool.Lines + 1
	}
	for q.held > 0 && q.held+size > 2*q.limit && !q.closed {
		switch {
		case q.mode == spooling && q.evict():
		case q.usable() && !q.full && !q.slow:
			if q.away != "" {
				q.become(spooling, q.away)
			}
			poke(q.spill)
			return
		case q.away == "" || q.block && q.ownHeld()+size <= q.limit || !q.dropOldest(lowest, spool.Classes):
			return
		}
	}
}

// ownHeld returns the bytes of wrapp's own entries, crash reports too, in memory that have not landed.
func (q *queue) ownHeld() (n int) {
	landed := q.head.offset // landed: bytes of the slab at head; of the others 0
	for _, s := range q.slabs[q.head.slab-q.first:] {
		if s.class != spool.Lines && s.buf != nil {
			n += len(s.buf) - landed
		}
		landed = 0
	}
	return n
}

// tail returns the last slab, with room for size bytes of records of a class.
func (q *queue) tail(size int, class spool.Class) *slab {
	if n := len(q.slabs); n > 0 {
		s := q.slabs[n-1]
		// The last slab may be behind head or next: drop removes slabs.
		if s.buf != nil && cap(s.buf)-len(s.buf) >= size && s.class == class && !s.left &&
			q.first+uint64(n-1) >= max(q.head.slab, q.next.slab) {
			return s
		}
		if s.class != class && s.buf != nil && n > q.unsent() {
			s.buf = slices.Clone(s.buf) // never sent, and nothing more is added: free the unused capacity
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

// each calls f for the records in memory between two cursors, each with the cursor after it,
// until f returns false. The caller holds mu.
func (q *queue) each(from, to cursor, f func(r record, after cursor) bool) {
	for p := from; p.slab-q.first < uint64(len(q.slabs)); p = (cursor{p.slab + 1, 0}) {
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

// end returns the cursor after the newest record.
func (q *queue) end() cursor {
	if n := len(q.slabs); n > 0 {
		return cursor{q.first + uint64(n-1), q.slabs[n-1].size}
	}
	return cursor{q.first, 0}
}

// nextBatch adds the next records to b, all of one writer, but none if fewer than `least` slabs
// wait. If only the spool has the next slab, nextBatch returns that slab, to be loaded; see fillBatch.
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
			end = cursor{end.slab + 1, 0}
			continue
		}
		if s.writer != q.progress.writer {
			if outstanding || b.records > 0 {
				return nil // the previous writer's records must land first
			}
			q.progress = progress{writer: s.writer}
		}
		if b.full() {
			return nil
		}
		if s.buf == nil {
			return s
		}
		for end.offset < len(s.buf) && !b.full() {
			r := spool.At(s.buf, end.offset)
			end.offset += len(r)
			if !q.progress.has(r) {
				b.add(r)
			}
		}
	}
	return nil
}

// advance releases all records before end: they have landed.
func (q *queue) advance(landed [logstream.Count]uint64, end cursor) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress.landed = landed
	q.release(end)
}

// rewind releases the records that Redis has acknowledged; the rest will be sent again.
func (q *queue) rewind(landed [logstream.Count]uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress.landed = landed
	q.release(q.landedFrom(q.head))
	q.next = q.head
	q.emptyLanded()
}

// emptyLanded frees what has landed behind records that have not, those of a cluster's dead node, if the
// memory holds far too much. Else it is retained: Redis may have lost it.
func (q *queue) emptyLanded() {
	for n := q.head.slab + 1; n < q.doubt.slab && q.held > 2*q.limit; n++ {
		s, landed := q.slabAt(n), true
		if s.buf == nil || s.writing {
			continue
		}
		q.each(cursor{n, 0}, cursor{n, s.size}, func(r record, after cursor) bool {
			landed = q.landed(r, after)
			return landed
		})
		if landed {
			q.held -= s.size
			q.unsave(s)
			s.buf, s.size, s.counts = nil, 0, spool.Counts{}
		}
	}
}

// landed reports whether a record has landed or is skipped, as far as progress tells; after is the
// cursor after it.
func (q *queue) landed(r record, after cursor) bool {
	return q.slabs[after.slab-q.first].writer == q.progress.writer && q.progress.has(r)
}

// landedFrom returns the end of the records that begin at from and have landed or are skipped. It
// stops at those of another writer.
func (q *queue) landedFrom(from cursor) cursor {
	end := from
	q.each(from, q.doubt, func(r record, after cursor) bool {
		if !q.landed(r, after) {
			return false
		}
		end = after
		return true
	})
	return end
}

// release moves head to end. Released records leave the spool; the last slabs of them stay in
// memory, retainBytes at most. The caller holds mu.
func (q *queue) release(end cursor) {
	for q.head.slab < end.slab {
		s := q.slabs[q.head.slab-q.first]
		if s.buf != nil {
			q.held -= s.size - q.head.offset
			q.retained += s.size
			if cap(s.buf) > 2*len(s.buf) { // alternating lines and own entries leave slabs half empty
				s.buf = slices.Clone(s.buf)
			}
		}
		q.unsave(s)
		q.head = cursor{q.head.slab + 1, 0}
	}
	q.held -= end.offset - q.head.offset
	q.head.offset = end.offset
	for q.retained > retainBytes && q.first < q.head.slab {
		s := q.slabs[0]
		if s.buf != nil {
			q.retained -= s.size
			q.recycle(s)
		}
		q.slabs[0] = nil // for the garbage collector
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

// requeueLost moves head back to the first retained entry of stream above position: the server has
// lost that one and those after it. It returns how many of the lost entries will be sent again.
func (q *queue) requeueLost(stream logstream.Stream, position uint64) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// The search goes past head, which a call for another stream may have moved back.
	was, head, landed := q.head, q.head, q.progress.landed[stream]
	q.each(cursor{q.first, 0}, q.end(), func(r record, after cursor) bool {
		// position says nothing about the records of other writers.
		if s := q.slabs[after.slab-q.first]; s.writer != q.progress.writer {
			return true
		}
		if r.Ordinal() > landed {
			return false
		}
		if r.Stream() != stream || r.Ordinal() <= position || r.Is(spool.Skip) {
			return true
		}
		n++
		if at := (cursor{after.slab, after.offset - len(r)}); at.before(head) {
			head = at
		}
		return true
	})
	q.progress.landed[stream] = position
	if head == was {
		return n
	}
	for p := head; p.slab < was.slab; p = (cursor{p.slab + 1, 0}) {
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

// drained reports whether there is no record from head on; empty slabs may remain. The
// caller holds mu.
func (q *queue) drained() bool { return q.headOrdinal() == q.ordinal }

// headOrdinal returns the ordinal of the first record not known to have landed, or the next
// ordinal if all have.
func (q *queue) headOrdinal() uint64 {
	for p := q.head; p.slab-q.first < uint64(len(q.slabs)); p = (cursor{p.slab + 1, 0}) {
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

// headNow is head for a caller without the lock.
func (q *queue) headNow() cursor {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head
}

// setAway records why Redis is not taking entries. sender.run calls it when a connection has ended
// or failed; endOutage calls it with "" when Redis takes entries again.
func (q *queue) setAway(why string) {
	q.mu.Lock()
	q.away = why
	q.watched()
	poke(q.spill) // a full spool waits longer while Redis takes entries; see waitsForRoom
	q.mu.Unlock()
	q.room.Broadcast()
}

// close releases callers that wait for room. Lines added afterwards are dropped and counted.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.Broadcast()
}

// len returns the number of entries that are not known to have landed.
func (q *queue) len() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := q.head.slab - q.first; i < uint64(len(q.slabs)); i++ {
		if s := q.slabs[i]; s.buf == nil && s.size > 0 {
			n += s.counts.Sum()
		}
	}
	q.each(q.head, q.end(), func(r record, after cursor) bool {
		if !q.landed(r, after) {
			n++
		}
		return true
	})
	return n
}

// ended reports whether everything has landed and the queue is closed.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.drained()
}

// milliseconds returns t in the unit of an entry's ID.
func milliseconds(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
