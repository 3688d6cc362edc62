package outbox

import (
	"fmt"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// watchAll looks after the queue while there is something in it: it begins to
// spool when Redis is away or slow, and ends that when Redis has caught up.
func (o *Outbox) watchAll(stop <-chan struct{}) {
	pause := idleEvery
	tick := time.NewTimer(pause)
	defer tick.Stop()
	var w watcher
	for {
		select {
		case <-stop:
			return
		case <-o.q.watch:
			if pause == idleEvery {
				w = watcher{moved: time.Now()}
			}
			pause = watchEvery
		case now := <-tick.C:
			pause = o.watchOnce(&w, now)
			o.q.room.Broadcast()
		}
		tick.Reset(pause)
	}
}

// A watcher is what watchOnce remembers.
type watcher struct {
	head   position
	moved  time.Time // when head was last seen to move, or the queue to be empty
	probe  uint64    // the ordinal that was the next at one time
	probed time.Time
	age    time.Duration // how long the last probe took to land
}

// watchOnce returns when to look again if nothing calls before.
func (o *Outbox) watchOnce(w *watcher, now time.Time) time.Duration {
	q := o.q
	q.mu.Lock()
	defer q.mu.Unlock()
	head := q.headOrdinal()
	drained := head == q.ordinal
	if q.head != w.head || drained {
		w.head, w.moved = q.head, now
	}
	if head >= w.probe {
		if !w.probed.IsZero() {
			w.age = now.Sub(w.probed)
		}
		w.probe, w.probed = q.ordinal, now
	}
	waited := max(w.age, now.Sub(w.probed))
	if drained {
		waited, w.age = 0, 0
		poke(q.emptied)
	}
	q.slow = !q.busy.IsZero() && now.Sub(q.busy) > slowDisk

	switch {
	case q.closed:
	case !q.spooling && q.usable() && q.held > 0 && now.Sub(w.moved) >= stallLimit:
		q.beginSpooling(reasonFor(q.away, "Redis takes nothing"))
	case !q.spooling && q.usable() && q.held > 0 && waited >= ageLimit:
		reason := "Redis is slower than the app"
		if q.unloaded > 0 {
			reason = "what an earlier run left goes first"
		}
		q.beginSpooling(reasonFor(q.away, reason))
	case q.spooling && !q.away && q.unloaded == 0 && waited < stallLimit:
		q.spooling = false // Redis has caught up
		poke(q.spill)
	}
	if q.spooling {
		poke(q.spill)
		if !q.announced && now.Sub(q.began) >= announceAt {
			q.announced = true
			q.say(fmt.Sprintf("spooling since %s: %s; entries wait in %s", q.began.Format("15:04:05.000"), q.reason, q.store.Dir()))
		}
	}
	if q.settling() {
		poke(q.spill)
	}
	switch {
	case !q.spooling && drained && len(q.refs) == 0 && q.drained():
		q.watching = false
		return idleEvery
	case q.away && q.announced && !q.slow && q.written == q.end():
		q.watching = false
		return restEvery
	}
	return watchEvery
}

// tellEpisode says what became of what was spooled, if that is worth a word, and
// what was dropped. The caller holds the queue's lock.
func (o *Outbox) tellEpisode(now time.Time) {
	q := o.q
	if q.announced {
		q.announced = false
		q.say(fmt.Sprintf("%d entries delivered from the spool, %v after spooling began", q.spooled, now.Sub(q.began).Round(time.Millisecond)))
	}
	o.tellDropped("Redis was away or slow")
}

func reasonFor(away bool, otherwise string) string {
	if away {
		return "Redis is away"
	}
	return otherwise
}

// tellDropped says on the status stream what was dropped since it last did. The
// caller holds the queue's lock.
func (o *Outbox) tellDropped(why string) (total int) {
	q := o.q
	dropped := q.dropped
	for _, n := range dropped {
		total += n
	}
	if total == 0 {
		return 0
	}
	q.dropped = [entry.Streams]int{}
	o.untold.Store(true) // the spool's journal still counts them
	poke(q.spill)
	room := fmt.Sprintf("the memory for entries (%d KiB)", q.limit>>10)
	if q.store != nil {
		room = fmt.Sprintf("the spool (%d KiB)", q.storeSize>>10)
	}
	text := fmt.Sprintf("%d lines dropped: %s and %s was full", total, why, room)
	for s, n := range dropped {
		if n > 0 && entry.Stream(s) != entry.Info {
			text += fmt.Sprintf("; %d of them of :%v", n, entry.Stream(s))
		}
	}
	q.say(text)
	return total
}
