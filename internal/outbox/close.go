package outbox

import (
	"errors"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// Unblock has what is added from now on never wait for a Redis that is away,
// even if Options.Block said so.
func (o *Outbox) Unblock() {
	o.q.mu.Lock()
	o.q.block = false
	o.q.mu.Unlock()
	o.q.room.Broadcast()
}

// longestLoading bounds, in patiences, how long a Redis that reads its data at the end is
// waited for.
const longestLoading = 10

// Close waits until everything has been delivered, and gives up when nothing
// has for as long as patience; where Redis was never reached there is one more
// attempt and no waiting. A Redis that says that it reads its data is waited for
// longer. What was not delivered then is kept in the spool, if
// there is one, for the next run. Close returns the numbers of entries that
// are lost and kept, and what Redis or the way to it had against them last.
func (o *Outbox) Close(patience time.Duration) (lost, kept int, why error) {
	close(o.closing)
	idle := time.NewTicker(patience)
	defer idle.Stop()
	began := time.Now()
	head, loading := o.q.position(), o.loading.Load()
	for waiting := true; waiting; {
		select {
		case <-o.q.emptied:
			if o.lastWords() {
				waiting = false
				select { // the sender has a last word, too
				case <-o.done:
				case <-time.After(farewellTimeout):
				}
			}
		case <-o.done:
			waiting = false
		case <-idle.C:
			h, l := o.q.position(), o.loading.Load()
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
		why = errors.New("it has not answered")
	}
	// A disk that hangs must not keep wrapp from ending.
	left := make(chan [2]int, 1)
	go func() {
		lost := o.putAway(n)
		left <- [2]int{lost, o.q.len() - lost} // what was dropped to make room is in neither
	}()
	select {
	case l := <-left:
		return l[0], l[1], why
	case <-time.After(2 * closingDisk):
		o.opts.Log.Warn("the spool's disk does not answer")
		return n, 0, why
	}
}

// lastWords closes the queue if there is nothing in it and nothing more to say.
func (o *Outbox) lastWords() (closed bool) {
	q := o.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.drained() {
		return false
	}
	q.reportEpisode()
	for stream := range logstream.Count {
		q.reportRefused(stream)
	}
	q.closed = q.drained()
	q.signal()
	return q.closed
}

// Refused is how many entries Redis refused for good, and how many of them are
// among the dead letters. It is to be called when Close has returned.
func (o *Outbox) Refused() (all, aside int) {
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	sum := o.q.refusedInAll
	for _, r := range o.q.refusals {
		sum.entries += r.entries
		sum.aside += r.aside
	}
	return sum.entries, sum.aside
}

// putAway ends the work with the spool, in which n entries are to be kept. It
// returns how many it could not keep.
func (o *Outbox) putAway(n int) (lost int) {
	if n > 0 {
		lost = o.spoolUndelivered()
	}
	close(o.stop)
	o.workers.Wait()
	store := o.q.spool()
	if store == nil {
		return lost
	}
	if n == 0 {
		o.q.mu.Lock()
		for _, s := range o.q.slabs {
			o.q.unsave(s)
		}
		o.q.mu.Unlock()
		o.spillOnce() // removes what is not needed any more
	}
	o.tryWriteJournal()
	if err := store.Close(); err != nil {
		o.opts.Log.Warn("close the spool", "error", err)
	}
	return lost
}

// spoolUndelivered writes everything that was not delivered to the spool and makes it
// durable. It returns how many entries it could not write.
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
	q.retryAt = time.Time{}
	q.block = false // no caller is left who could wait for room
	q.full = false
	q.beginSpooling(whyEnd)
	poke(q.spill)
	q.mu.Unlock()
	for until := time.Now().Add(closingDisk); time.Now().Before(until); time.Sleep(time.Millisecond) {
		q.mu.Lock()
		// What is too large for the spool must not keep the rest out of it.
		done := q.written == q.end() || q.mode != spooling || q.full && !q.dropOldest(spool.Words)
		q.mu.Unlock()
		if done {
			break
		}
	}
	q.mu.Lock()
	for p := q.written; p.before(q.end()); p = (position{p.slab + 1, 0}) {
		q.each(p, position{p.slab + 1, 0}, func(r record, _ position) bool {
			if !q.progress.has(r) {
				lost++
			}
			return true
		})
	}
	q.mu.Unlock()
	if err := errors.Join(store.Sync(), o.writeJournal(true)); err != nil {
		o.opts.Log.Warn("what is kept in the spool may not outlive a power cut", "error", err)
	}
	return lost
}

// SpoolDir returns the directory of the spool, "" without one.
func (o *Outbox) SpoolDir() string {
	if store := o.q.spool(); store != nil {
		return store.Dir()
	}
	return ""
}
