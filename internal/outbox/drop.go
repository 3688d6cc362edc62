package outbox

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// whatIsFull returns, for :status, what had no room for an entry.
func (q *queue) whatIsFull() string {
	here := fmt.Sprintf("the memory for entries (%d KiB) was full", q.limit>>10)
	switch {
	case q.store == nil:
		return here
	case q.diskError != nil:
		why := q.diskError
		var errno syscall.Errno
		if errors.As(why, &errno) {
			why = errno
		}
		return fmt.Sprintf("the spool could not be written (%v) and %s", why, here)
	case q.slow:
		return "the disk of the spool was slow and " + here
	default:
		return fmt.Sprintf("the spool (%d KiB) was full", q.storeSize>>10)
	}
}

// dropSegment makes room in the spool: it drops the oldest unsent segment of the lowest
// class. It returns false without one.
func (o *Outbox) dropSegment() bool {
	q := o.q
	q.mu.Lock()
	seg := q.droppable()
	if seg == 0 {
		q.mu.Unlock()
		return false
	}
	for i := len(q.slabs) - 1; i >= 0; i-- {
		if q.slabs[i].place.Segment == seg {
			q.drop(i)
		}
	}
	delete(q.refs, seg)
	q.mu.Unlock()
	if err := q.store.Remove(seg); err != nil {
		o.opts.Log.Warn("a dropped segment stays in the spool", "error", err)
	}
	o.tryWriteJournal()
	q.room.Broadcast()
	return true
}

// droppable returns the oldest segment of the lowest class that this process never sent, not
// even in part, and is not being written, or 0. Of a segment that an earlier process left, some
// records may have landed: then the count of dropped ones is too high. The caller holds mu.
func (q *queue) droppable() uint64 {
	for class := range spool.Classes {
		var seg uint64
		slabs := 0
		for i := q.unsent(); i < len(q.slabs) && q.first+uint64(i) < q.written.slab; i++ {
			s := q.slabs[i]
			if s.place.Segment == 0 || s.class > class {
				continue // its segment stays: the count of its slabs never reaches refs
			}
			if s.place.Segment != seg {
				seg, slabs = s.place.Segment, 0
			}
			if slabs++; slabs == q.refs[seg] {
				return seg
			}
		}
	}
	return 0
}

// dropOldest drops the oldest slab of the lowest class in [from, below) that was never sent and
// is not in the spool: only such a slab is certainly not in Redis. It returns false
// without one.
func (q *queue) dropOldest(from, below spool.Class) bool {
	for class := from; class < below; class++ {
		for i := q.unsent(); i < len(q.slabs); i++ {
			if s := q.slabs[i]; s.class == class && s.buf != nil && s.size > 0 && s.saved == 0 && !s.writing {
				q.drop(i)
				q.full = false // the dropped slab may be the one that found no room
				poke(q.spill)
				return true
			}
		}
	}
	return false
}

// drop removes the slab with index i, which this process never sent, and counts its records. The slabs
// after it get lower numbers. A slab being written to the spool keeps its number: only
// spillOnce, which writes it, drops slabs before it.
func (q *queue) drop(i int) {
	s, number := q.slabs[i], q.first+uint64(i)
	for stream, n := range s.counts {
		q.drops[stream] += n
	}
	q.whatWasFull = q.whatIsFull()
	q.undelivered(s)
	if s.buf != nil {
		q.held -= s.size
		q.recycle(s)
	} else {
		q.unloaded--
	}
	s.buf, s.size, s.place = nil, 0, spool.Place{} // for load, which may be reading it
	q.slabs = slices.Delete(q.slabs, i, i+1)
	switch {
	case number < q.written.slab:
		q.written.slab--
	case number == q.written.slab:
		q.written.offset = 0
	}
	if end := q.end(); end.before(q.written) {
		q.written = end
	}
	if number < q.evictFrom {
		q.evictFrom--
	}
}

// unsent returns the index of the first slab of which nothing was ever sent.
func (q *queue) unsent() int {
	number := max(q.doubt.slab, q.next.slab)
	if q.doubt.slab == number && q.doubt.offset > 0 || q.next.slab == number && q.next.offset > 0 {
		number++
	}
	return int(number - q.first)
}
