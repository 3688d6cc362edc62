package outbox

import (
	"fmt"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// When entries go to the spool, and when that is worth a word.
const (
	stallLimit  = 100 * time.Millisecond // nothing was acknowledged for so long
	ageLimit    = 300 * time.Millisecond // an entry has waited for so long
	syncEvery   = 100 * time.Millisecond // what was written is made durable so often
	watchEvery  = 25 * time.Millisecond
	restEvery   = time.Second            // while Redis is away and all is in the spool
	idleEvery   = time.Hour              // while there is nothing to look after
	slowDisk    = 250 * time.Millisecond // a write that takes longer is not waited for
	announceAt  = time.Second            // a spooling that lasts longer is told
	retryDisk   = 5 * time.Second        // after an error of the disk
	tellDisk    = time.Hour              // such an error is told again
	closingDisk = 10 * time.Second       // what the end of wrapp waits for the disk
)

// spilling is the part of a queue that keeps slabs in a spool. While Redis takes
// entries in time nothing is written. When it does not, everything from head on
// and whatever is added is written by a goroutine of its own, in order, until
// Redis has caught up. What has been written may leave the memory, and is read
// again when its turn comes to be sent. A segment is removed when all that is in
// it has landed.
type spilling struct {
	store     *spool.Spool // nil if there is none
	storeSize int64
	broken    time.Time // until when the disk is not tried again

	spooling  bool
	began     time.Time
	reason    string
	announced bool
	spooled   int // records written since spooling began

	slow bool // the disk is: what it does not take in time is dropped
	full bool // what is to be written next finds no room in the spool
	busy time.Time

	written   position // everything from head to here is in the spool
	evictFrom uint64   // slabs below that number stay as they are
	unloaded  int      // slabs that are only in the spool
	refs      map[uint64]int
	obsolete  []uint64     // segments that are to be removed
	gone      []spool.Span // dropped before the spool got them; its journal is to say so

	spill, sync, watch chan struct{}
	watching           bool
}

func (d *spilling) init() {
	d.refs = make(map[uint64]int)
	d.spill, d.sync, d.watch = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
}

// usable says whether entries can go to a spool.
func (d *spilling) usable() bool { return d.store != nil && time.Now().After(d.broken) }

// watched sees to it that what was added, or can go now, is looked after at once.
func (d *spilling) watched() {
	if !d.watching {
		d.watching = true
		poke(d.watch)
	}
}

// inherit begins the queue with what an earlier process left.
func (q *queue) inherit(store *spool.Spool, size int64, left *spool.Left) (records int) {
	q.store, q.storeSize = store, size
	for _, run := range left.Runs {
		q.slabs = append(q.slabs, &slab{
			size: run.Bytes, records: run.Records, left: true, ordinal: run.Ordinal, first: run.First,
			place: run.Place, saved: run.Bytes,
		})
		q.refs[run.Segment]++
		q.unloaded++
		records += run.Records
	}
	for _, n := range left.Notes.Renumbered {
		q.renumbered = append(q.renumbered, renumbering{Renumbering: n})
	}
	q.settled = left.Notes.Settled
	for s, n := range left.Notes.Dropped {
		q.dropped[s] = int(n)
	}
	q.last, q.clock, q.ordinal = left.Last, left.Last.Ms, left.Next
	q.evictFrom = uint64(len(q.slabs))
	q.written = q.end()
	return records
}

// beginSpooling has everything from head on go to the spool.
func (q *queue) beginSpooling(reason string) {
	if q.spooling {
		return
	}
	q.spooling, q.full = true, false
	q.began, q.reason, q.announced, q.spooled = time.Now(), reason, false, 0
	if q.written.before(q.head) {
		q.written = q.head
	}
	q.watched()
	poke(q.spill)
}

// settling says that what comes after written is not to be sent before all that
// the spool has is settled and gone. Otherwise, after a kill at that moment, the
// stream could have been trimmed to entries that the spool knows nothing of, and
// nothing would show that those in the spool have landed.
func (q *queue) settling() bool { return !q.spooling && len(q.refs) > 0 }

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

// effective is the ID that a record of a stream has which the spool has with
// the given one. ours says that it was changed by this process.
func (q *queue) effective(stream entry.Stream, ordinal uint64, id entry.ID) (_ entry.ID, ours bool) {
	for _, n := range q.renumbered {
		if n.Stream == stream {
			to := n.Apply(ordinal, id)
			ours = ours || n.ours && to != id
			id = to
		}
	}
	return id, ours
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
	if q.slabAt(q.next.slab) != s || s.buf != nil {
		return // it was dropped meanwhile
	}
	q.unloaded--
	if err != nil {
		// The disk has failed us: these are lost, and what follows is not.
		q.say(fmt.Sprintf("%d entries in the spool are lost: %v", s.records, err))
		q.unsave(s)
		s.size, s.records = 0, 0
		return
	}
	q.revive(buf, s.left)
	s.buf = buf
	q.held += s.size
	if end := (position{q.next.slab, s.size}); s.left && q.doubt.before(end) {
		q.doubt = end
	}
}

// revive gives records that were read from the spool their IDs and states. left
// says that an earlier process left them.
func (q *queue) revive(buf []byte, left bool) {
	for at := 0; at < len(buf); {
		r := spool.At(buf, at)
		at += len(r)
		id, ours := q.effective(r.Stream(), r.Ordinal(), r.ID())
		r.SetID(id)
		if !left {
			continue
		}
		if spool.Covers(q.settled, r.Ordinal()) {
			r.Set(spool.Landed)
		} else if !ours {
			r.Set(spool.Resent)
		}
	}
}

// slabAt is the slab with a number, nil if there is none.
func (q *queue) slabAt(number uint64) *slab {
	if number < q.first || number-q.first >= uint64(len(q.slabs)) {
		return nil
	}
	return q.slabs[number-q.first]
}

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
