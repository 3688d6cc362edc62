package outbox

import (
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// dropSegment makes room in the spool: the oldest segment goes of which nothing
// was sent. What wrapp itself had to say stays, unless nothing else is left.
func (o *Outbox) dropSegment() bool {
	q := o.q
	for _, keep := range []bool{true, false} {
		q.mu.Lock()
		seg, slabs := q.droppable(keep)
		if seg == 0 {
			q.mu.Unlock()
			continue
		}
		was := make([]slab, len(slabs))
		for i, s := range slabs {
			was[i] = *s
		}
		q.mu.Unlock()
		images := make([][]byte, len(slabs))
		for i, s := range was {
			if s.buf == nil && s.size > 0 {
				// One that cannot be read is lost anyway, and is counted below.
				images[i], _ = q.store.Read(s.place, s.size, s.ordinal, nil)
			}
		}
		q.mu.Lock()
		if again, same := q.droppable(keep); again != seg || len(same) != len(slabs) {
			q.mu.Unlock()
			return true // some of it is being sent now
		}
		var run []byte
		var gone []spool.Span
		var kept []*slab
		for i, s := range slabs {
			data := s.buf
			switch {
			case data != nil:
				q.held -= s.size
			case s.size > 0:
				data = images[i]
				q.revive(data, s.left)
				q.unloaded--
				if data == nil {
					q.dropped[entry.Info] += s.records
				}
			}
			var k *slab
			var spans []spool.Span
			if keep {
				k, spans = q.keep(data, own)
			} else {
				k, spans = q.keep(data, nil)
			}
			gone = addSpans(gone, spans)
			k.left = s.left
			if k.size > 0 {
				k.place.Offset = int64(len(run)) // within run, until it is written
				run = append(run, k.buf...)
				kept = append(kept, k)
			}
			q.held += k.size
			q.replaceSlab(s, k)
			q.closeGaps()
		}
		delete(q.refs, seg)
		dropped := q.dropped
		q.mu.Unlock()

		var place spool.Place
		var err error
		if len(kept) > 0 {
			if place, err = q.store.Replace(seg, run); err != nil {
				q.store.Remove(seg)
			}
		} else {
			err = q.store.Remove(seg)
		}
		if err != nil {
			o.opts.Log.Warn("cannot make room in the spool as it should be", "error", err)
		}
		q.mu.Lock()
		for _, k := range kept {
			if place.Segment != 0 && q.has(k) {
				k.place = spool.Place{Segment: seg, Offset: place.Offset + k.place.Offset}
				k.saved = k.size
				q.refs[seg]++
			} else {
				k.place = spool.Place{}
			}
		}
		q.mu.Unlock()
		q.store.Note(false, func(n *spool.Notes) {
			n.Settled = append(n.Settled, gone...)
			for s, count := range dropped {
				n.Dropped[s] = uint64(count)
			}
		})
		q.room.Broadcast()
		return true
	}
	return false
}

// droppable returns the oldest segment of which no record was ever sent and
// which is not being written, with its slabs. With keep it passes those over
// that have nothing but wrapp's own words in them. The caller holds mu.
func (q *queue) droppable(keep bool) (seg uint64, slabs []*slab) {
	for i := q.unsent(); i < len(q.slabs) && q.first+uint64(i) < q.written.slab; i++ {
		s := q.slabs[i]
		if s.place.Segment == 0 {
			continue
		}
		if s.place.Segment != seg {
			if seg != 0 && len(slabs) == q.refs[seg] && !(keep && allKept(slabs)) {
				return seg, slabs
			}
			seg, slabs = s.place.Segment, nil
		}
		slabs = append(slabs, s)
	}
	if seg != 0 && len(slabs) == q.refs[seg] && !(keep && allKept(slabs)) {
		return seg, slabs
	}
	return 0, nil
}

func allKept(slabs []*slab) bool {
	for _, s := range slabs {
		if !s.kept {
			return false
		}
	}
	return true
}

// replaceSlab puts one slab into another's place.
func (q *queue) replaceSlab(old, by *slab) {
	for i, s := range q.slabs {
		if s == old {
			by.ordinal = max(by.ordinal, old.ordinal)
			q.slabs[i] = by
			return
		}
	}
}

// has says whether a slab is in the queue and not released.
func (q *queue) has(s *slab) bool {
	for i := q.head.slab - q.first; i < uint64(len(q.slabs)); i++ {
		if q.slabs[i] == s {
			return true
		}
	}
	return false
}

// dropOldest drops the oldest slab's worth of lines that were never sent and are
// not in the spool: of those, and only those, it is certain that they are not in
// Redis. What wrapp itself had to say stays, but for crash reports, of which an
// app can cause as many as it likes: they go when there are no lines left besides
// those of the newest slab, which would leave an empty slab for each of them. It
// returns false when there is nothing to drop.
func (q *queue) dropOldest() bool {
	newest := len(q.slabs) - 1
	passing := true
	for i := max(q.unsent(), int(q.dropFrom)-int(q.first)); i < newest; i++ {
		if passing = passing && q.slabs[i].kept; passing {
			q.dropFrom = q.first + uint64(i) + 1
		}
		if !q.slabs[i].kept && q.dropIn(i, own) {
			return true
		}
	}
	passing = true
	for i := max(q.unsent(), int(q.reportsFrom)-int(q.first)); i < newest; i++ {
		if passing = passing && q.slabs[i].kept; passing {
			q.reportsFrom = q.first + uint64(i) + 1
		}
		if q.slabs[i].kept && q.dropIn(i, ownButReports) {
			return true
		}
	}
	return newest >= q.unsent() && !q.slabs[newest].kept && q.dropIn(newest, own)
}

// dropIn drops what is not to stay from a slab that is in memory only, and
// returns false if there is nothing.
func (q *queue) dropIn(i int, stays func(record) bool) bool {
	s := q.slabs[i]
	if s.buf == nil || s.size == 0 || s.saved > 0 || s.writing {
		return false
	}
	kept, gone := q.keep(s.buf, stays)
	if s.kept && kept.size == s.size {
		return false
	}
	if q.store != nil {
		q.gone = addSpans(q.gone, gone)
	}
	q.held -= s.size - kept.size
	q.recycle(s)
	q.slabs[i] = kept
	q.full = false // it may be what found no room
	poke(q.spill)
	q.closeGaps()
	return true
}

// closeGaps takes out slabs of which nothing is left, when there are many that were
// never sent: while Redis is away for days, they would be what fills the memory.
func (q *queue) closeGaps() {
	if q.gaps++; q.gaps < mostGaps || !q.busy.IsZero() {
		return // while a slab is being written its number has to stay
	}
	q.gaps = 0
	from, newest := q.unsent(), len(q.slabs)-1
	marks := []*uint64{&q.written.slab, &q.dropFrom, &q.reportsFrom, &q.evictFrom}
	before := make([]uint64, len(marks)) // how many are taken out before each of them
	slabs := q.slabs[:from]
	for i := from; i <= newest; i++ {
		s, number := q.slabs[i], q.first+uint64(i)
		if s.size > 0 || i == newest {
			slabs = append(slabs, s)
			continue
		}
		if number == q.written.slab {
			q.written.offset = 0
		}
		for m, mark := range marks {
			if number < *mark {
				before[m]++
			}
		}
	}
	clear(q.slabs[len(slabs):])
	q.slabs = slabs
	for m, mark := range marks {
		*mark -= before[m]
	}
}

// mostGaps is how many slabs of which nothing is left may lie in the queue, about.
const mostGaps = 64

// unsent is the index of the first slab of which no record was ever sent.
func (q *queue) unsent() int {
	number := max(q.doubt.slab, q.next.slab)
	if q.doubt.slab == number && q.doubt.offset > 0 || q.next.slab == number && q.next.offset > 0 {
		number++
	}
	return int(number - q.first)
}

// own says whether a record is wrapp's own.
func own(r record) bool { return r.Is(spool.Kept) }

func ownButReports(r record) bool { return own(r) && r.Stream() != entry.Crash }

// keep returns a slab of the records in buf that are to stay; nil says none. The
// others are counted as dropped, and their ordinals returned.
func (q *queue) keep(buf []byte, stays func(record) bool) (kept *slab, gone []spool.Span) {
	kept = &slab{kept: true}
	for at := 0; at < len(buf); {
		r := spool.At(buf, at)
		at += len(r)
		if stays != nil && stays(r) {
			if kept.records == 0 {
				kept.ordinal, kept.first = r.Ordinal(), r.ID()
			}
			kept.buf = append(kept.buf, r...)
			kept.records++
			continue
		}
		if !r.Is(spool.Landed) {
			q.dropped[r.Stream()]++
		}
		gone = addOrdinal(gone, r.Ordinal())
	}
	kept.size = len(kept.buf)
	return kept, gone
}

// addOrdinal adds an ordinal, larger than all that are there, to spans.
func addOrdinal(spans []spool.Span, ordinal uint64) []spool.Span {
	if n := len(spans); n > 0 && spans[n-1].Upto == ordinal {
		spans[n-1].Upto++
		return spans
	}
	return append(spans, spool.Span{From: ordinal, Upto: ordinal + 1})
}

// addSpans adds spans, behind all that are there.
func addSpans(spans, more []spool.Span) []spool.Span {
	for _, span := range more {
		if n := len(spans); n > 0 && spans[n-1].Upto == span.From {
			spans[n-1].Upto = span.Upto
		} else {
			spans = append(spans, span)
		}
	}
	return spans
}
