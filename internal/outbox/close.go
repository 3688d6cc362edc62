package outbox

import (
	"errors"
	"time"

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

// Close waits until everything has been delivered, and gives up when nothing
// has for as long as patience; where Redis was never reached there is one more
// attempt and no waiting. What was not delivered then is kept in the spool for
// the next run, as far as there is one. Close returns the numbers of entries that
// are lost and kept, and what Redis or the way to it had against them last.
func (o *Outbox) Close(patience time.Duration) (lost, kept int, why error) {
	close(o.closing)
	idle := time.NewTicker(patience)
	defer idle.Stop()
	for head := o.q.position(); ; {
		select {
		case <-o.q.emptied:
			if !o.lastWords() {
				continue
			}
		case <-o.done:
		case <-idle.C:
			if now := o.q.position(); now != head {
				head = now
				continue
			}
		}
		break
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
	o.tellEpisode(time.Now())
	if q.closed = q.drained(); !q.closed {
		q.signal()
	}
	return q.closed
}

// putAway ends the work with the spool, in which n entries are to be kept. It
// returns how many it could not keep.
func (o *Outbox) putAway(n int) (lost int) {
	if n > 0 {
		lost = o.keep()
	}
	close(o.stop)
	o.keepers.Wait()
	if o.opts.Spool == nil {
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
	o.noted = 0
	o.note()
	if err := o.opts.Spool.Close(); err != nil {
		o.opts.Log.Warn("close the spool", "error", err)
	}
	return lost
}

// keep writes everything that was not delivered to the spool and makes it
// durable. It returns how many entries it could not write.
func (o *Outbox) keep() (lost int) {
	q := o.q
	q.mu.Lock()
	if q.store == nil {
		q.mu.Unlock()
		return q.len()
	}
	q.broken = time.Time{}
	q.block = false // there is nobody any more who could wait for room
	q.full = false
	q.beginSpooling("the end")
	poke(q.spill)
	q.mu.Unlock()
	for until := time.Now().Add(closingDisk); time.Now().Before(until); time.Sleep(time.Millisecond) {
		q.mu.Lock()
		// What is too large for the spool must not keep the rest out of it.
		done := q.written == q.end() || !q.spooling || q.full && !q.dropOldest()
		q.mu.Unlock()
		if done {
			break
		}
	}
	// What has landed in between is not to come again.
	var landed []spool.Span
	q.mu.Lock()
	q.each(q.head, q.end(), func(r record, _ position) bool {
		if r.Is(spool.Landed) {
			landed = addOrdinal(landed, r.Ordinal())
		}
		return true
	})
	for p := q.written; p.before(q.end()); p = (position{p.slab + 1, 0}) {
		q.each(p, position{p.slab + 1, 0}, func(r record, _ position) bool {
			if !r.Is(spool.Landed) {
				lost++
			}
			return true
		})
	}
	dropped, done := q.dropped, q.headOrdinal()
	landed = append(landed, q.gone...)
	q.gone = nil
	q.mu.Unlock()
	err := q.store.Sync()
	err = errors.Join(err, q.store.Note(true, func(n *spool.Notes) {
		n.Done = done
		n.Settled = append(n.Settled, landed...)
		for s, count := range dropped {
			n.Dropped[s] = uint64(count)
		}
	}))
	if err != nil {
		o.opts.Log.Warn("what is kept in the spool may not outlive a power cut", "error", err)
	}
	return lost
}
