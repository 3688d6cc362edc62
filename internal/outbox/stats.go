package outbox

// Stats are counts of what an Outbox has had to do with since New.
type Stats struct {
	Lines   uint64 // of the app, as entries: a line that was split is several
	Dropped uint64 // entries
	Waiting int    // entries that are behind others, in the spool or in memory; 0 while Redis takes them as they come
	Refused int    // entries that Redis will never take
}

// Stats returns the counts of now.
func (o *Outbox) Stats() Stats {
	q := o.q
	q.mu.Lock()
	s := Stats{Lines: q.lines, Dropped: q.droppedReported + uint64(q.drops.Sum()), Refused: q.refusedInAll.entries}
	for _, r := range q.refusals {
		s.Refused += r.entries
	}
	behind := q.mode != memory || q.away
	q.mu.Unlock()
	if behind {
		s.Waiting = q.len()
	}
	return s
}
