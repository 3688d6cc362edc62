package outbox

import (
	"fmt"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/spool"
)

const (
	syncEvery   = 100 * time.Millisecond // what was written is made durable so often
	tellDisk    = time.Hour              // an error of the disk is told again
	closingDisk = 10 * time.Second       // what the end of wrapp waits for the disk
)

// disk is the part of a queue that keeps slabs in a spool; see mode. What has been
// written may leave the memory, and is read again when its turn comes to be sent. A
// segment is removed when all that is in it has landed.
type disk struct {
	store     *spool.Spool // nil: without a spool
	storeSize int64

	mode      mode
	retryAt   time.Time // when a broken disk is tried again
	diskError error     // nil if the last write worked
	episode   episode

	slow bool      // what the disk does not take in time is dropped
	full bool      // what is to be written next finds no room in the spool
	busy time.Time // since when the disk does what was asked of it last; zero: it rests

	written   position       // everything from head to here is in the spool
	evictFrom uint64         // slabs below that number stay as they are
	unloaded  int            // slabs that are only in the spool
	refs      map[uint64]int // slabs in each segment
	obsolete  []uint64       // segments that are to be removed
	unread    struct {       // what the disk has lost and is not told yet
		records int
		why     error
	}

	spill, sync, watch chan struct{}
	watching           bool
}

func (d *disk) init() {
	d.refs = make(map[uint64]int)
	d.spill, d.sync, d.watch = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
}

// watched sees to it that what was added, or can go now, is looked after at once.
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

// adopt takes a spool into use. What an earlier run left in it comes behind what
// there is. It returns how many entries that are. The caller holds mu.
func (q *queue) adopt(store *spool.Spool, size int64, left *spool.Left) (records int) {
	q.store, q.storeSize = store, size
	first := len(q.slabs) == 0
	for _, run := range left.Runs {
		writer := run.Writer
		if writer == 0 {
			writer = q.writer
		}
		q.slabs = append(q.slabs, &slab{
			size: run.Bytes, class: run.Class, counts: run.Counts, left: true, ordinal: run.Ordinal, writer: writer,
			place: run.Place, saved: run.Bytes,
		})
		q.refs[run.Segment]++
		q.unloaded++
		records += run.Counts.Sum()
	}
	for s, n := range left.Notes.Dropped {
		q.drops[s] += n
	}
	if q.last.Less(left.Last) {
		q.last = left.Last
	}
	q.clock, q.ordinal = max(q.clock, left.Last.Ms), max(q.ordinal, left.Next)
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
	if records > 0 {
		// This stands behind them: when it can be read they have been delivered.
		q.say(fmt.Sprintf(sayLeft, records))
	}
	return records
}

// evict takes the oldest slab that is in the spool and was never sent out of the
// memory.
func (q *queue) evict() bool {
	for i := max(q.unsent(), int(q.evictFrom)-int(q.first)); i < len(q.slabs)-1; i++ {
		s := q.slabs[i]
		if s.buf == nil || s.size == 0 {
			continue
		}
		if s.saved < s.size || s.savedFrom > 0 || s.writing {
			return false // the spool gets them in order
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

// unsave lets go of a slab's place in the spool.
func (q *queue) unsave(s *slab) {
	if seg := s.place.Segment; seg != 0 {
		if q.refs[seg]--; q.refs[seg] <= 0 {
			delete(q.refs, seg)
			q.obsolete = append(q.obsolete, seg)
			q.full = false
			poke(q.spill)
		}
	}
	s.place, s.savedFrom, s.saved = spool.Place{}, 0, 0
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
	if s.buf != nil || s.size == 0 || s.place != place {
		return // it was dropped meanwhile
	}
	q.unloaded--
	if err != nil {
		// The disk has failed us: these are lost, and what follows is not.
		first := q.unread.why == nil
		q.unread.records += s.counts.Sum()
		q.unread.why = err
		if first {
			q.tellUnread()
		}
		q.unsave(s)
		s.size, s.counts = 0, spool.Counts{}
		return
	}
	s.buf = buf
	q.held += s.size
	for i := range q.slabs {
		if number := q.first + uint64(i); q.slabs[i] == s && s.left {
			if end := (position{number, s.size}); q.doubt.before(end) {
				q.doubt = end
			}
		}
	}
}

// spillAll runs spillOnce as long as there is something to do, until stop.
func (o *Outbox) spillAll(stop <-chan struct{}) {
	var noted time.Time
	for {
		select {
		case <-o.q.spill:
		case <-stop:
			return
		}
		for more := true; more; {
			more = o.spillOnce()
			if time.Since(noted) > syncEvery {
				noted = time.Now()
				o.noteSoon()
			}
		}
	}
}

// spillOnce writes the next part of the queue to the spool and removes segments
// that are not needed any more. It returns false when there is nothing to do.
func (o *Outbox) spillOnce() bool {
	q := o.q
	if q.spool() == nil {
		return false
	}
	o.settle()
	q.mu.Lock()
	obsolete := q.obsolete
	q.obsolete = nil
	q.mu.Unlock()
	for _, seg := range obsolete {
		if err := o.timed(func() error { return q.store.Remove(seg) }); err != nil {
			o.opts.Log.Warn("the spool keeps a segment that is not needed", "error", err)
		}
	}

	q.mu.Lock()
	s, chunk, fresh := q.toWrite(o.chunk[:0])
	if s == nil {
		q.mu.Unlock()
		return false
	}
	o.chunk = chunk
	from, wait := q.written, q.block || !q.away
	q.mu.Unlock()

	if q.store.Bytes()+int64(len(chunk)) > q.storeSize {
		// Redis makes room while it takes entries. Nothing has to go for what would find no
		// room even then.
		if wait || int64(len(chunk)) >= q.storeSize || !o.dropSegment() {
			q.mu.Lock()
			news := !q.full && q.slabAt(from.slab) == s
			q.full = q.full || news
			q.mu.Unlock()
			if news { // once: or else we would wake each other without end
				q.room.Broadcast()
			}
			return false
		}
		return true
	}
	q.mu.Lock()
	if q.slabAt(from.slab) != s { // it was dropped, or has landed
		q.mu.Unlock()
		return true
	}
	s.writing = true
	q.full = false
	q.busy = time.Now()
	q.mu.Unlock()
	place, err := q.store.Append(chunk, fresh)
	q.mu.Lock()
	defer q.room.Broadcast()
	defer q.mu.Unlock()
	s.writing = false
	q.busy = time.Time{}
	if cap(o.chunk) > 16*slabSize {
		o.chunk = nil
	}
	if err != nil {
		if !fresh {
			// Its segment was closed before it was whole: all of it goes to the next.
			q.unsave(s)
			q.written = position{from.slab, 0}
			return true
		}
		o.diskFailed(err)
		return false
	}
	q.diskError = nil
	if from.slab < q.head.slab {
		if q.refs[place.Segment] == 0 { // all of it has landed meanwhile
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
	}
	q.written = position{from.slab, from.offset + len(chunk)}
	poke(q.sync)
	return true
}

// diskFailed has entries wait in memory for a while, and tells the first error. The
// caller holds mu.
func (o *Outbox) diskFailed(err error) {
	o.q.diskError = err
	o.q.become(broken, "")
	if time.Since(o.diskTold) > tellDisk {
		o.diskTold = time.Now()
		o.opts.Log.Error("the spool cannot be written; entries wait in memory only", "error", err)
		o.q.say(fmt.Sprintf(sayBroken, err))
	}
}

// toWrite returns the next slab that the spool lacks, with a copy of what it
// lacks in chunk. fresh says that it has nothing of it. It moves written there.
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
		q.written = position{q.written.slab + 1, 0}
	}
	return nil, chunk, false
}

// settle lets go of the spool when everything in it has landed.
func (o *Outbox) settle() {
	q := o.q
	q.mu.Lock()
	over := q.onDisk() && q.unloaded == 0 && (q.drained() || !q.head.before(q.written))
	done := q.headOrdinal()
	q.mu.Unlock()
	if over {
		if err := q.store.Note(false, func(n *spool.Notes) { n.Done = done }); err != nil {
			o.opts.Log.Debug("note", "error", err)
		}
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

// note tells the spool's journal how far Redis has taken what the spool has, and what was
// dropped and is not told yet. With durable it also has the disk keep the journal.
func (o *Outbox) note(durable bool) error {
	q := o.q
	q.mu.Lock()
	notes := o.noted
	if len(q.refs) > 0 {
		notes.Done = q.headOrdinal()
	}
	notes.Dropped = q.drops
	store, news := q.store, notes != o.noted
	o.noted = notes
	q.mu.Unlock()
	if store == nil || !news && !durable {
		return nil
	}
	return o.timed(func() error { return store.Note(durable, func(n *spool.Notes) { *n = notes }) })
}

// timed has the disk do something, and the watch see if that takes too long: no caller waits
// for it then.
func (o *Outbox) timed(do func() error) error {
	q := o.q
	q.mu.Lock()
	q.busy = time.Now()
	q.mu.Unlock()
	err := do()
	q.mu.Lock()
	q.busy = time.Time{}
	q.mu.Unlock()
	return err
}

// noteSoon is note where a failure is no loss: what it says is noted again.
func (o *Outbox) noteSoon() {
	if err := o.note(false); err != nil {
		o.opts.Log.Debug("note", "error", err)
	}
}

// syncAll makes durable what was written, every syncEvery at most, until stop.
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
