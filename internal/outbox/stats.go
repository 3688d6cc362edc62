package outbox

// Stats are an Outbox's counts of entries since New. Dropped includes what an earlier process
// dropped and could not report.
type Stats struct {
	Lines   uint64 // the app's lines; each piece of a split line counts
	Dropped uint64
	Waiting int // in the spool or in memory; 0 while Redis keeps up
	Refused int // refused for good
	Aside   int // how many of the refused ones are among the dead letters
}

// Stats returns the counts.
func (o *Outbox) Stats() Stats {
	q := o.q
	q.mu.Lock()
	s := Stats{Lines: q.lines, Dropped: q.droppedReported + uint64(q.drops.Sum()), Refused: q.refused, Aside: q.aside}
	behind := q.mode != memory || q.away != ""
	q.mu.Unlock()
	if behind {
		s.Waiting = q.len()
	}
	return s
}
