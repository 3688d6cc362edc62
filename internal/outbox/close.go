package outbox

import (
	"errors"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// Unblock undoes Options.Block: callers no longer wait for room while Redis is away.
func (o *Outbox) Unblock() {
	o.q.mu.Lock()
	o.q.block = false
	o.q.mu.Unlock()
	o.q.room.Broadcast()
}

// longestLoading bounds how long Close waits for a Redis that loads its data, in multiples
// of patience.
const longestLoading = 10

// Close waits until everything has landed, and gives up when head has not moved from one tick of
// patience to the next: after once to twice that time. While Redis loads its data it waits
// longestLoading times as long. An entry that is refused for good moves head, too. If Redis was
// never reached, Close makes one more attempt and does not wait. The spool, if there is one,
// keeps the undelivered entries for the next process. Close returns the numbers of lost
// and kept entries, and the last error of the connection.
func (o *Outbox) Close(patience time.Duration) (lost, kept int, why error) {
	close(o.closing)
	idle := time.NewTicker(patience)
	defer idle.Stop()
	began := time.Now()
	head, loading := o.q.headNow(), o.loading.Load()
	for waiting := true; waiting; {
		select {
		case <-o.q.emptied:
			if o.closeIfDrained() {
				waiting = false
				select { // the sender still makes the positions expire
				case <-o.done:
				case <-time.After(farewellTimeout):
				}
			}
		case <-o.done:
			waiting = false
		case <-idle.C:
			h, l := o.q.headNow(), o.loading.Load()
			waiting = h != head || l != loading && time.Since(began) < longestLoading*patience
			head, loading = h, l
		}
	}
	o.q.close()
	o.cancel()
	<-o.done
	n := o.q.len()
	why = o.why
	if n > 0 && why == nil {
		why = errors.New("redis has not answered")
	}
	// In the background: a disk that hangs must not keep wrapp from ending.
	left := make(chan [2]int, 1)
	go func() {
		lost := o.closeSpool(n)
		left <- [2]int{lost, o.q.len() - lost} // entries dropped to make room are in neither
	}()
	select {
	case l := <-left:
		return l[0], l[1], why
	case <-time.After(2 * closingDisk):
		o.opts.Log.Warn("the spool's disk does not answer")
		o.reportDroppedAtEnd(false)
		return n, 0, why
	}
}

// closeIfDrained closes the queue if everything has landed and nothing is left to report.
func (o *Outbox) closeIfDrained() (closed bool) {
	q := o.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.drained() {
		return false
	}
	q.reportEpisode()
	q.reportRest()
	q.closed = q.drained()
	q.signal()
	return q.closed
}

// closeSpool closes the spool with the n undelivered entries in it. It returns how many
// entries it could not keep.
func (o *Outbox) closeSpool(n int) (lost int) {
	if n > 0 {
		lost = o.spoolUndelivered()
	}
	close(o.stop)
	o.workers.Wait()
	store := o.q.spool()
	if store == nil {
		o.reportDroppedAtEnd(false)
		return lost
	}
	if n == 0 {
		o.q.mu.Lock()
		for _, s := range o.q.slabs {
			o.q.unsave(s)
		}
		o.q.mu.Unlock()
		o.spillOnce() // removes the obsolete segments
	}
	o.reportDroppedAtEnd(o.writeJournal(false) == nil && store.Present() == nil)
	if err := store.Close(); err != nil {
		o.opts.Log.Warn("close the spool", "error", err)
	}
	return lost
}

// spoolUndelivered writes the undelivered entries to the spool and makes them durable. It
// returns how many it could not write.
func (o *Outbox) spoolUndelivered() (lost int) {
	q := o.q
	store := q.spool()
	if store == nil {
		return q.len()
	}
	if err := store.Present(); err != nil {
		o.opts.Log.Warn("nothing can be kept in the spool", "error", err)
		return q.len()
	}
	q.mu.Lock()
	q.closed = false // for these reports only: the next process delivers them
	q.reportRest()
	q.closed = true
	q.retryAt = time.Time{}
	q.block, q.patience = false, 0 // no caller is left that could wait for room
	q.full, q.dropAt = false, time.Time{}
	q.become(spooling, whyEnd)
	poke(q.spill)
	q.mu.Unlock()
	for until := time.Now().Add(closingDisk); time.Now().Before(until); time.Sleep(time.Millisecond) {
		q.mu.Lock()
		// An entry too large for the spool must not keep the others out of it.
		done := q.written == q.end() || q.mode != spooling || q.full && !q.dropOldest(spool.Lines, spool.Words)
		q.mu.Unlock()
		if done {
			break
		}
	}
	q.mu.Lock()
	// Redis has lost these after they had left the spool, and lower ordinals may not follow there.
	q.each(q.head, q.written, func(r record, after cursor) bool {
		s, at := q.slabs[after.slab-q.first], after.offset-len(r)
		if !q.landed(r, after) && (at < s.savedFrom || at >= s.saved) {
			q.drops[r.Stream()]++
			r.Set(spool.Skip)
		}
		return true
	})
	if q.written.before(q.head) {
		q.written = q.head
	}
	for p := q.written; p.before(q.end()); p = (cursor{p.slab + 1, 0}) {
		q.each(p, cursor{p.slab + 1, 0}, func(r record, after cursor) bool {
			if !q.landed(r, after) {
				lost++
			}
			return true
		})
	}
	q.mu.Unlock()
	if err := errors.Join(store.Sync(), o.writeJournal(true)); err != nil {
		o.opts.Log.Warn("the entries kept in the spool may not outlive a power cut", "error", err)
	}
	return lost
}

// SpoolDir returns the directory of the spool, or "" without a spool.
func (o *Outbox) SpoolDir() string {
	if store := o.q.spool(); store != nil {
		return store.Dir()
	}
	return ""
}
