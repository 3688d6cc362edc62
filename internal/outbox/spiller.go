package outbox

import (
	"fmt"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// spillAll runs spillOnce as long as there is something to do, until stop.
func (o *Outbox) spillAll(stop <-chan struct{}) {
	var noted time.Time
	for {
		select {
		case <-o.q.spill:
		case <-stop:
			return
		}
		for o.spillOnce() {
			if time.Since(noted) > syncEvery {
				noted = time.Now()
				o.note()
			}
		}
		if time.Since(noted) > syncEvery {
			noted = time.Now()
			o.note()
		}
	}
}

// spillOnce writes the next part of the queue to the spool and removes segments
// that are not needed any more. It returns false when there is nothing to do.
func (o *Outbox) spillOnce() bool {
	q := o.q
	o.settle()
	q.mu.Lock()
	obsolete := q.obsolete
	q.obsolete = nil
	q.mu.Unlock()
	for _, seg := range obsolete {
		if err := q.store.Remove(seg); err != nil {
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
	from, block, gaps := q.written, q.block, len(q.gone) > 0
	q.mu.Unlock()
	if gaps {
		o.noteDropped() // before the spool has what comes behind the gap
	}

	if q.store.Bytes()+int64(len(chunk)) > q.storeSize {
		// Nothing has to go for what would find no room even then.
		if block || int64(len(chunk)) >= q.storeSize || !o.dropSegment() {
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
		q.broken = time.Now().Add(retryDisk)
		q.spooling = false
		if time.Since(o.diskTold) > tellDisk {
			o.diskTold = time.Now()
			o.opts.Log.Error("the spool cannot be written; entries wait in memory only", "error", err)
			q.say(fmt.Sprintf("the spool cannot be written; entries wait in memory only: %v", err))
		}
		return false
	}
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
		q.spooled++
	}
	q.written = position{from.slab, from.offset + len(chunk)}
	poke(q.sync)
	return true
}

// toWrite returns the next slab that the spool lacks, with a copy of what it
// lacks in chunk. fresh says that it has nothing of it. It moves written there.
func (q *queue) toWrite(chunk []byte) (s *slab, _ []byte, fresh bool) {
	if !q.spooling || !q.usable() {
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
	over := q.settling() && q.unloaded == 0 && (q.drained() || !q.head.before(q.written))
	done := q.headOrdinal()
	q.mu.Unlock()
	if !over {
		return
	}
	if err := q.store.Note(false, func(n *spool.Notes) { n.Done = done }); err != nil {
		o.opts.Log.Debug("note", "error", err)
	}
	q.mu.Lock()
	if q.settling() {
		for _, s := range q.slabs {
			q.unsave(s)
		}
		q.renumbered = nil
		o.tellEpisode(time.Now())
	}
	q.mu.Unlock()
	q.signal()
}

// note tells the spool's journal how far Redis has taken what the spool has.
func (o *Outbox) note() {
	q := o.q
	if o.untold.Swap(false) {
		o.noteDropped()
	}
	q.mu.Lock()
	if len(q.refs) == 0 {
		q.mu.Unlock()
		return
	}
	done := q.headOrdinal()
	renumbered := q.renumbered[:0]
	for _, n := range q.renumbered {
		if n.Upto > done {
			renumbered = append(renumbered, n)
		}
	}
	q.renumbered = renumbered
	unchanged := done == o.noted
	q.mu.Unlock()
	if unchanged {
		return
	}
	o.noted = done
	if err := q.store.Note(false, func(n *spool.Notes) { n.Done = done }); err != nil {
		o.opts.Log.Debug("note", "error", err)
	}
}

// noteDropped tells the spool's journal what was dropped and is not told yet, and
// which records the spool will never have.
func (o *Outbox) noteDropped() {
	q := o.q
	q.mu.Lock()
	dropped, gone := q.dropped, q.gone
	q.gone = nil
	q.mu.Unlock()
	err := q.store.Note(false, func(n *spool.Notes) {
		n.Settled = append(n.Settled, gone...)
		for s, count := range dropped {
			n.Dropped[s] = uint64(count)
		}
	})
	if err != nil {
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
		if err := o.q.store.Sync(); err != nil {
			o.opts.Log.Warn("the spool may not outlive a power cut", "error", err)
		}
		select {
		case <-time.After(syncEvery):
		case <-stop:
			return
		}
	}
}
