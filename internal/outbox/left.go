package outbox

import (
	"slices"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// findLeft finds out which of the entries that an earlier process left, and that
// are not in memory, are in the stream, whose last ID ever is last. One that was
// trimmed has landed if a later one has: they land in order. It returns the
// ordinal of the first that has not landed although the stream is past its ID, 0
// if there is none.
func (o *Outbox) findLeft(conn *redisconn.Conn, stream entry.Stream, last entry.ID) (behind uint64, err error) {
	q := o.q
	var slabs []slab
	q.mu.Lock()
	for i := q.head.slab - q.first; i < uint64(len(q.slabs)); i++ {
		s := q.slabs[i]
		if !s.left || s.buf != nil || s.size == 0 {
			continue
		}
		if id, _ := q.effective(stream, s.ordinal, s.first); !last.Less(id) {
			slabs = append(slabs, *s)
		}
	}
	q.mu.Unlock()
	if len(slabs) == 0 {
		return 0, nil
	}
	key := o.opts.Keys[stream]
	first, err := readRange(conn, key, "-", "+", 1)
	if err != nil {
		return 0, err
	}
	// trimmed says whether the stream begins behind an ID.
	trimmed := func(id entry.ID) bool { return len(first) == 0 || id.Less(first[0].id) }
	var newest entry.ID
	var spans []spool.Span
	for _, s := range slabs {
		records := o.leftOf(&s, stream, last)
		if len(records) == 0 {
			continue
		}
		end := records[len(records)-1].ID()
		if end == last {
			newest = last
		}
		if trimmed(end) {
			continue
		}
		landed, upto, err := find(conn, key, records)
		if err != nil {
			return 0, err
		}
		if newest.Less(upto) {
			newest = upto
		}
		for _, r := range landed {
			spans = addOrdinal(spans, r.Ordinal())
		}
	}
	found := spool.Merge(spans)
	spans = slices.Clone(found)
	for _, s := range slabs {
		for _, r := range o.leftOf(&s, stream, last) {
			if trimmed(r.ID()) && !newest.Less(r.ID()) {
				spans = append(spans, spool.Span{From: r.Ordinal(), Upto: r.Ordinal() + 1})
			} else if behind == 0 && !spool.Covers(found, r.Ordinal()) {
				behind = r.Ordinal()
			}
		}
	}
	if len(spans) == 0 {
		return behind, nil
	}
	q.mu.Lock()
	q.settled = spool.Merge(append(q.settled, spans...))
	q.mu.Unlock()
	if err := q.store.Note(false, func(n *spool.Notes) { n.Settled = append(n.Settled, spans...) }); err != nil {
		o.opts.Log.Debug("note", "error", err)
	}
	return behind, nil
}

// leftOf reads the records of a stream in a slab, with IDs up to last, that are
// not known to have landed.
func (o *Outbox) leftOf(s *slab, stream entry.Stream, last entry.ID) (records []record) {
	q := o.q
	buf, err := q.store.Read(s.place, s.size, s.ordinal, nil)
	if err != nil {
		return nil // load tells it
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for at := 0; at < len(buf); {
		r := spool.At(buf, at)
		at += len(r)
		if r.Stream() != stream || spool.Covers(q.settled, r.Ordinal()) {
			continue
		}
		id, _ := q.effective(stream, r.Ordinal(), r.ID())
		r.SetID(id)
		if !last.Less(id) {
			records = append(records, r)
		}
	}
	return records
}

// renumber gives the records of a stream that have not landed IDs above floor,
// where they are not above it already, and makes later ones follow. It returns
// how many IDs changed in memory; those in the spool are changed when they are
// read, in this run or another. left is the ordinal of the first record left by
// an earlier process, and not in memory, that needs another ID; 0 if none does.
func (o *Outbox) renumber(stream entry.Stream, floor entry.ID, left uint64) (changed int, err error) {
	q := o.q
	q.mu.Lock()
	needed, behind := false, uint64(0)
	for p := q.head; p.slab-q.first < uint64(len(q.slabs)) && !needed; p = (position{p.slab + 1, 0}) {
		s := q.slabs[p.slab-q.first]
		if s.buf == nil && s.left && s.size > 0 {
			if left > 0 {
				needed, behind = true, left
				break
			}
			continue
		}
		if s.buf == nil && s.size > 0 {
			id, _ := q.effective(stream, s.ordinal, s.first)
			needed = !floor.Less(id)
			behind = s.ordinal
			break // and so are all that follow, or none is
		}
		found := false
		q.each(p, position{p.slab + 1, 0}, func(r record, _ position) bool {
			found = r.Stream() == stream && !r.Is(spool.Landed)
			needed = found && !floor.Less(r.ID())
			behind = r.Ordinal()
			return !found
		})
		if found {
			break
		}
	}
	if !needed {
		if q.last.Less(floor) {
			q.last = floor
		}
		q.mu.Unlock()
		return 0, nil
	}
	n := spool.Renumbering{Stream: stream, From: behind, Upto: q.ordinal, Base: following(floor)}
	if n.Base.Seq+(n.Upto-n.From) >= 1<<32 {
		n.Base = entry.ID{Ms: n.Base.Ms + 1}
	}
	var landed []spool.Span
	q.each(q.head, q.end(), func(r record, _ position) bool {
		if r.Is(spool.Landed) {
			landed = addOrdinal(landed, r.Ordinal())
			return true
		}
		if id := n.Apply(r.Ordinal(), r.ID()); r.Stream() == stream && id != r.ID() {
			r.SetID(id)
			r.Clear(spool.Resent | spool.Behind)
			r.Set(spool.Refused) // nothing with this ID was ever sent
			changed++
		}
		return true
	})
	if top := (entry.ID{Ms: n.Base.Ms, Seq: n.Base.Seq + (n.Upto - n.From)}); q.last.Less(top) {
		q.last = top
	}
	saved := len(q.refs) > 0 || !q.busy.IsZero()
	if saved {
		q.renumbered = append(q.renumbered, renumbering{n, true})
	}
	unloaded := q.unloaded
	q.mu.Unlock()
	if changed == 0 && unloaded > 0 {
		changed = 1 // some of them, when they are read
	}
	if saved {
		// It has to be known before anything is sent under the new IDs.
		err := q.store.Note(true, func(notes *spool.Notes) {
			notes.Renumbered = append(notes.Renumbered, n)
			notes.Settled = append(notes.Settled, landed...)
		})
		if err != nil {
			o.opts.Log.Warn("entries may come twice if wrapp is killed now", "error", err)
		}
	}
	return changed, nil
}
