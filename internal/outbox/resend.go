package outbox

import (
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// releaseLanded lets go of the records at the head that are marked as landed.
func (q *queue) releaseLanded() {
	q.mu.Lock()
	end := q.head
	q.each(q.head, q.doubt, func(r record, behind position) bool {
		if r.Is(spool.Landed) {
			end = behind
		}
		return r.Is(spool.Landed)
	})
	q.mu.Unlock()
	q.release(end)
}

// rewind makes everything that is not marked as landed wait again.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.each(q.head, q.next, func(r record, _ position) bool {
		if !r.Is(spool.Refused) {
			r.Set(spool.Resent)
		}
		r.Clear(spool.Refused | spool.Behind)
		return true
	})
	q.next = q.head
}

// replay has those records that landed and that the server has lost again, as
// far as they are retained, wait to be sent under the same IDs: those with IDs
// above what lost says of their stream. It returns how many there are of each
// stream, and the oldest ID retained of each.
func (q *queue) replay(lost [entry.Streams]*entry.ID) (again [entry.Streams]int, oldest [entry.Streams]entry.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := q.head
	var head position
	found := false
	begin := position{q.first, 0}
	q.each(begin, was, func(r record, behind position) bool {
		s := r.Stream()
		if oldest[s] == (entry.ID{}) {
			oldest[s] = r.ID()
		}
		if lost[s] == nil || !lost[s].Less(r.ID()) || r.Is(spool.Lost) {
			r.Set(spool.Landed)
			return true
		}
		r.Clear(spool.Landed | spool.Refused | spool.Resent | spool.Behind)
		again[s]++
		if !found {
			found = true
			head = position{behind.slab, behind.offset - len(r)}
		}
		return true
	})
	if !found {
		return again, oldest
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
	q.head = head // rewind sees to what was sent behind it
	return again, oldest
}

// doubtful are the records of a stream that were sent and neither answered nor
// found to have landed, in order.
func (q *queue) doubtful(stream entry.Stream) (records []record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.each(q.head, q.doubt, func(r record, _ position) bool {
		if r.Stream() == stream && !r.Is(spool.Landed) {
			records = append(records, r)
		}
		return true
	})
	return records
}
