package outbox

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/spool"
)

const (
	syncEvery       = 100 * time.Millisecond // between syncs of the spool
	diskReportEvery = time.Hour              // between reports of disk errors
	closingDisk     = 10 * time.Second       // how long Close writes to the spool; it gives up the disk after twice that
)

// disk is the part of a queue that keeps slabs in a spool; see mode. A slab in the spool
// may leave the memory; it is read again when its turn comes to be sent. A segment is
// removed when all its records have landed.
type disk struct {
	store     *spool.Spool // store: nil without a spool
	storeSize int64        // storeSize: limit of all segments together, in bytes

	mode      mode
	retryAt   time.Time // retryAt: when a broken disk is tried again
	diskError error     // diskError: nil if the last write worked
	episode   episode
	left      int      // left: records of an earlier process that the spool is still to deliver
	earlier   []uint64 // earlier: the writers of segments that were in the spool

	slow bool      // slow: the running operations have taken longer than slowDisk
	full bool      // full: the next slab finds no room in the spool
	busy time.Time // busy: when spillAll's running operations began; zero without any

	patience time.Duration // patience: a full spool waits so long for Redis to take one segment
	dropAt   time.Time     // dropAt: when that wait ends; zero while none is under way

	written    cursor         // written: everything from head to here is in the spool
	evictFrom  uint64         // evictFrom: evict leaves slabs below that number as they are
	unloaded   int            // unloaded: slabs that are only in the spool
	refs       map[uint64]int // refs: slabs in each segment
	obsolete   []uint64       // obsolete: segments to be removed
	unreadable struct {       // unreadable: records that the disk has lost, not reported yet
		records int
		why     error
	}

	spill, sync, watch chan struct{}
	watching           bool
}

func (d *disk) init() {
	d.refs, d.patience = make(map[uint64]int), slowRedis
	d.spill, d.sync, d.watch = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
}

// watched makes watchAll check soon.
func (d *disk) watched() {
	if !d.watching {
		d.watching = true
		poke(d.watch)
	}
}

// spool returns the spool, or nil.
func (q *queue) spool() *spool.Spool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.store
}

// adopt starts to use a spool, at the start or when another process releases it (openSpool). It
// appends the records that an earlier process left there to the queue, and returns their number.
// The caller holds mu.
func (q *queue) adopt(store *spool.Spool, size int64, left *spool.Left) (records int) {
	q.store, q.storeSize = store, size
	q.earlier = slices.Collect(maps.Keys(left.Notes.Done))
	first := len(q.slabs) == 0
	for _, x := range left.Extents {
		q.slabs = append(q.slabs, &slab{
			size: x.Bytes, class: x.Class, counts: x.Counts, left: true, ordinal: x.Ordinal, writer: x.Writer,
			place: x.Place, saved: x.Bytes,
		})
		q.refs[x.Segment]++
		q.unloaded++
		records += x.Counts.Sum()
	}
	if q.last.Less(left.Last) {
		q.last = left.Last
	}
	q.clock = max(q.clock, left.Last.Ms)
	// Ordinals are each writer's own, but that of the next record must be above all in the queue:
	// the head has reached it only when everything has landed; see drained and checkProgress.
	q.ordinal = max(q.ordinal, left.Next)
	if first {
		q.evictFrom, q.written = uint64(len(q.slabs)), q.end()
	}
	if records > 0 {
		q.become(draining, "")
	}
	for _, found := range left.Found {
		q.say(found)
	}
	if left.Missing > 0 {
		q.say(fmt.Sprintf(sayMissing, left.Missing))
	}
	q.sayDrops(left.Notes.Dropped, whyEarlier)
	q.left += records
	return records
}

// evict frees the memory of the oldest unsent slab that the spool has too. It returns false
// without one.
func (q *queue) evict() bool {
	for i := max(q.unsent(), int(q.evictFrom)-int(q.first)); i < len(q.slabs)-1; i++ {
		s := q.slabs[i]
		if s.buf == nil || s.size == 0 {
			continue
		}
		if s.saved < s.size || s.savedFrom > 0 || s.writing {
			return false // the spool gets slabs in order: no later one is in it either
		}
		q.evictFrom = q.first + uint64(i) + 1
		q.held -= s.size
		q.recycle(s)
		s.buf = nil
		q.unloaded++
		return true
	}
	return false
}

// unsave gives up a slab's place in the spool.
func (q *queue) unsave(s *slab) {
	if seg := s.place.Segment; seg != 0 {
		if q.refs[seg]--; q.refs[seg] <= 0 {
			delete(q.refs, seg)
			q.obsolete = append(q.obsolete, seg)
			q.full, q.dropAt = false, time.Time{}
			poke(q.spill)
		}
	}
	s.place, s.savedFrom, s.saved = spool.Place{}, 0, 0
}

// undelivered subtracts the records of a slab, which the spool will not deliver, from left and from
// the episode's spooled. The caller holds mu.
func (q *queue) undelivered(s *slab) {
	if s.left {
		q.left -= s.counts.Sum()
	}
	q.episode.spooled -= s.spooled
	s.spooled = 0
}

// fillBatch adds the next records to b, and loads the slabs among them that only the spool has. It
// adds none if fewer than `least` slabs wait.
func (o *Outbox) fillBatch(b *batch, least int) {
	for missing := o.q.nextBatch(b, least); missing != nil; missing = o.q.nextBatch(b, 0) {
		o.load(missing)
	}
}

// load reads a slab from the spool, for the sender.
func (o *Outbox) load(s *slab) {
	q := o.q
	q.mu.Lock()
	place, size, ordinal := s.place, s.size, s.ordinal
	var space []byte
	if n := len(q.free); n > 0 {
		space = q.free[n-1].buf
		q.free = q.free[:n-1]
	}
	q.mu.Unlock()
	buf, err := q.store.Read(place, size, ordinal, space)
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.size == 0 {
		return // the slab was dropped meanwhile
	}
	q.unloaded--
	if err != nil {
		// This slab is lost; those after it are not.
		first := q.unreadable.why == nil
		q.unreadable.records += s.counts.Sum()
		q.unreadable.why = err
		if first {
			q.reportUnreadable()
		}
		q.undelivered(s)
		q.unsave(s)
		s.size, s.counts = 0, spool.Counts{}
		return
	}
	s.buf = buf
	q.held += s.size
	for i := range q.slabs {
		if number := q.first + uint64(i); q.slabs[i] == s && s.left {
			if end := (cursor{number, s.size}); q.doubt.before(end) {
				q.doubt = end
			}
		}
	}
}

// spillAll runs spillOnce whenever there is work for it, until stop.
func (o *Outbox) spillAll(stop <-chan struct{}) {
	var journaled time.Time
	for {
		select {
		case <-o.q.spill:
		case <-stop:
			return
		}
		for more := true; more; {
			o.q.setBusy(time.Now())
			more = o.spillOnce()
			if time.Since(journaled) > syncEvery {
				journaled = time.Now()
				o.tryWriteJournal()
			}
			o.q.setBusy(time.Time{})
		}
	}
}

// setBusy sets when the running operations of the disk began. While they take longer than
// slowDisk and Redis is away, callers drop lines instead of waiting, unless block is set.
func (q *queue) setBusy(since time.Time) {
	q.mu.Lock()
	q.busy = since
	q.mu.Unlock()
}

// spillOnce removes obsolete segments and writes the next slab to the spool. It returns
// false when it need not be called again at once: nothing to write, no room, or a disk error.
func (o *Outbox) spillOnce() bool {
	q := o.q
	if q.spool() == nil {
		return false
	}
	o.finishDraining()
	q.mu.Lock()
	obsolete := q.obsolete
	q.obsolete = nil
	q.mu.Unlock()
	for _, seg := range obsolete {
		if err := q.store.Remove(seg); err != nil {
			o.opts.Log.Warn("an obsolete segment stays in the spool", "error", err)
		}
	}

	q.mu.Lock()
	s, chunk, fresh := q.toWrite(o.chunk[:0])
	if s == nil {
		q.mu.Unlock()
		return false
	}
	o.chunk = chunk
	from := q.written
	q.mu.Unlock()

	if q.store.Bytes()+int64(len(chunk)) > q.storeSize {
		// A slab larger than the spool would find no room even in an empty one, so nothing is
		// dropped for it.
		if int64(len(chunk)) >= q.storeSize || q.waitsForRoom() || !o.dropSegment() {
			q.mu.Lock()
			news := !q.full && q.slabAt(from.slab) == s
			q.full = q.full || news
			q.mu.Unlock()
			if news { // only once: the caller would wake us, and we the caller, without end
				q.room.Broadcast()
			}
			return false
		}
		return true
	}
	q.mu.Lock()
	if q.slabAt(from.slab) != s { // the slab was dropped, or has landed
		q.mu.Unlock()
		return true
	}
	s.writing = true
	q.full = false
	q.mu.Unlock()
	place, err := q.store.Append(chunk, fresh)
	q.mu.Lock()
	defer q.room.Broadcast()
	defer q.mu.Unlock()
	s.writing = false
	if cap(o.chunk) > 16*slabSize {
		o.chunk = nil
	}
	if err != nil {
		if !fresh {
			// The slab cannot go on where its first part is: append all of it anew. If that fails,
			// too, the disk has failed.
			q.undelivered(s)
			q.unsave(s)
			q.written = cursor{from.slab, 0}
			return true
		}
		o.diskFailed(err)
		return false
	}
	q.diskError = nil
	if from.slab < q.head.slab {
		if q.refs[place.Segment] == 0 { // all records of the segment have landed meanwhile
			q.obsolete = append(q.obsolete, place.Segment)
		}
	} else {
		if fresh {
			s.place, s.savedFrom = place, from.offset
			q.refs[place.Segment]++
		}
		s.saved = from.offset + len(chunk)
	}
	for at := 0; at < len(chunk); at += len(spool.At(chunk, at)) {
		q.episode.spooled++
		s.spooled++
	}
	q.written = cursor{from.slab, from.offset + len(chunk)}
	poke(q.sync)
	return true
}

// diskFailed makes entries wait in memory for retryDisk, and reports an error once in
// diskReportEvery. The caller holds mu.
func (o *Outbox) diskFailed(err error) {
	o.q.diskError = err
	o.q.become(broken, "")
	if time.Since(o.diskReported) > diskReportEvery {
		o.diskReported = time.Now()
		o.opts.Log.Error("the spool cannot be written; entries wait in memory only", "error", err)
		o.q.say(fmt.Sprintf(sayBroken, err))
	}
}

// toWrite moves written to the next record that the spool lacks. It returns its slab, and
// a copy, in chunk, of the slab's bytes from there on. fresh: the spool has no part of it.
func (q *queue) toWrite(chunk []byte) (s *slab, _ []byte, fresh bool) {
	if q.mode != spooling {
		return nil, chunk, false
	}
	if q.written.before(q.head) {
		q.written = q.head
	}
	for q.written.slab-q.first < uint64(len(q.slabs)) {
		s := q.slabs[q.written.slab-q.first]
		if s.buf != nil && q.written.offset < s.size && s.saved < s.size {
			chunk = append(chunk, s.buf[q.written.offset:s.size]...)
			return s, chunk, s.place.Segment == 0
		}
		if q.written.slab-q.first == uint64(len(q.slabs)-1) {
			q.written.offset = s.size
			break
		}
		q.written = cursor{q.written.slab + 1, 0}
	}
	return nil, chunk, false
}

// waitsForRoom reports whether a full spool waits for Redis instead of dropping entries. With block
// it always waits; else only while Redis takes entries, and until patience has passed since the
// first call.
func (q *queue) waitsForRoom() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.block || q.away != "" {
		return q.block
	}
	now := time.Now()
	if q.dropAt.IsZero() {
		q.dropAt = now.Add(q.patience)
	}
	return now.Before(q.dropAt)
}

// finishDraining ends the draining when everything in the spool has landed.
func (o *Outbox) finishDraining() {
	q := o.q
	q.mu.Lock()
	over := q.onDisk() && q.delivered()
	q.mu.Unlock()
	if over {
		o.tryWriteJournal()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if over && q.onDisk() {
		for _, s := range q.slabs {
			q.unsave(s)
		}
	}
	if q.mode == draining && len(q.refs) == 0 {
		q.become(memory, "")
		q.signal()
	}
}

// delivered reports whether everything in the spool has landed.
func (q *queue) delivered() bool {
	landed := q.head.offset // landed: bytes of the slab at head; of the others 0
	for _, s := range q.slabs[q.head.slab-q.first:] {
		if s.place.Segment != 0 && s.saved > landed {
			return false
		}
		landed = 0
	}
	return true
}

// writeJournal writes into the spool's journal which of its records have landed, and the
// dropped entries that are not reported yet. durable also syncs the journal.
func (o *Outbox) writeJournal(durable bool) error {
	q := o.q
	q.mu.Lock()
	store, notes := q.store, spool.Notes{Done: q.done(), Dropped: q.drops}
	q.mu.Unlock()
	if store == nil {
		return nil
	}
	return store.WriteJournal(notes, durable)
}

// done returns, for each writer, the ordinal of its first record not known to have landed. If all
// have, it is above those of all its records.
func (q *queue) done() map[uint64]uint64 {
	done := map[uint64]uint64{}
	for _, writer := range q.earlier {
		done[writer] = math.MaxUint64
	}
	done[q.writer] = q.ordinal
	head := int(q.head.slab - q.first)
	for i := len(q.slabs) - 1; i > head; i-- {
		if s := q.slabs[i]; s.size > 0 {
			done[s.writer] = s.ordinal
		}
	}
	if head < len(q.slabs) && q.head.offset < q.slabs[head].size {
		done[q.slabs[head].writer] = q.headOrdinal()
	}
	return done
}

// tryWriteJournal calls writeJournal and only logs an error. Nothing is lost: after an error the
// next call writes the whole journal.
func (o *Outbox) tryWriteJournal() {
	if err := o.writeJournal(false); err != nil {
		o.opts.Log.Debug("write the spool's journal", "error", err)
	}
}

// syncAll syncs the spool after writes, every syncEvery at most, until stop.
func (o *Outbox) syncAll(stop <-chan struct{}) {
	for {
		select {
		case <-o.q.sync:
		case <-stop:
			return
		}
		if err := o.q.spool().Sync(); err != nil {
			o.opts.Log.Warn("the spool may not outlive a power cut", "error", err)
		}
		select {
		case <-time.After(syncEvery):
		case <-stop:
			return
		}
	}
}
