package outbox

import (
	"cmp"
	"fmt"
	"time"
)

// A mode says where entries wait, and only become changes it:
//
//	memory ──▶ spooling ◀──▶ draining ◀──▶ memory
//	              ▲            ▲
//	              └─▶ broken ◀─┘
//
// An outbox without a spool stays in memory. docs/delivery.md says what causes each step.
type mode uint8

const (
	memory   mode = iota // Redis takes entries in time, and nothing is on disk
	spooling             // everything from head on goes to disk
	draining             // nothing is written to the disk; what is there is still being delivered
	broken               // the disk cannot be written; entries wait in memory until retryAt
)

// Reasons for which spooling begins, as :status gives them.
const (
	whyAway    = "Redis is away"
	whyRefused = "Redis takes no entries for now: %s"
	whyStuck   = "Redis takes nothing" // although it is connected
	whySlow    = "Redis is slower than the app"
	whyBehind  = "what an earlier run left goes first"
	whyEnd     = "the end"
)

// whyEarlier is the reason given for what an earlier process dropped: its journal has none.
const whyEarlier = "an earlier run could not keep them"

// Times after which the mode changes, and intervals of the checks.
const (
	stallLimit = 100 * time.Millisecond // spool when nothing has landed for this long
	ageLimit   = 300 * time.Millisecond // spool when an entry has waited this long
	announceAt = time.Second            // report an episode on :status when it lasts this long
	retryDisk  = 5 * time.Second        // from a disk error to the next attempt
	watchEvery = 25 * time.Millisecond  // between checks
	restEvery  = time.Second            // between checks while Redis is away and everything is on disk
	idleEvery  = time.Hour              // between checks while the queue is empty
	slowDisk   = 250 * time.Millisecond // a disk that takes longer for one step counts as slow
	slowRedis  = 250 * time.Millisecond // a full spool waits so long for a segment to land
)

// An episode is the time from the beginning of spooling until the disk is empty.
type episode struct {
	began     time.Time // began: zero while none is under way
	why       string
	announced bool // announced: :status told of its beginning
	spooled   int  // spooled: records written since it began, without those dropped or lost
}

// become changes the mode. The caller holds mu.
func (q *queue) become(m mode, why string) {
	if q.mode == m {
		return
	}
	q.mode = m
	switch m {
	case spooling:
		q.full, q.dropAt = false, time.Time{}
		if q.episode.began.IsZero() {
			q.episode = episode{began: time.Now(), why: why}
		}
		if q.written.before(q.head) {
			q.written = q.head
		}
	case broken:
		q.retryAt = time.Now().Add(retryDisk)
	case memory:
		q.reportEpisode()
	}
	q.watched()
	poke(q.spill)
}

// usable reports whether entries can go to a spool. The caller holds mu.
func (q *queue) usable() bool {
	return q.store != nil && (q.mode != broken || time.Now().After(q.retryAt))
}

// onDisk reports whether the spool has records, and nothing is written to it now.
func (q *queue) onDisk() bool { return q.mode != spooling && len(q.refs) > 0 }

// watchAll calls checkProgress while a queue with a spool holds anything, until stop.
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
			pause = o.q.checkProgress(&w, now)
			o.q.room.Broadcast()
		}
		tick.Reset(pause)
	}
}

// A watcher is the state that checkProgress keeps between calls.
type watcher struct {
	head   cursor
	moved  time.Time     // moved: when head last moved, or the queue was empty
	probe  uint64        // probe: everything below this ordinal waited at the time probed
	probed time.Time     // probed: start of the measurement
	age    time.Duration // age: how long the last such measurement took, until head reached probe
}

// checkProgress changes the mode when Redis has become slow or has caught up. It returns the
// time until the next check.
func (q *queue) checkProgress(w *watcher, now time.Time) time.Duration {
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

	stuck, late := now.Sub(w.moved) >= stallLimit, waited >= ageLimit
	switch {
	case q.closed:
	case q.mode == spooling && q.away == "" && q.unloaded == 0 && waited < stallLimit:
		q.become(draining, "")
	case q.mode == spooling || !q.usable() || q.held == 0:
	case stuck:
		q.become(spooling, cmp.Or(q.away, whyStuck))
	case late && q.unloaded > 0:
		q.become(spooling, cmp.Or(q.away, whyBehind))
	case late:
		q.become(spooling, cmp.Or(q.away, whySlow))
	}
	if q.mode == broken && now.After(q.retryAt) {
		q.become(draining, "")
	}
	e := &q.episode
	lasts := !e.began.IsZero() && now.Sub(e.began) >= announceAt
	// After a disk error entries may wait in memory only: announce the first write that works.
	if q.mode == spooling && q.diskError == nil && lasts && !e.announced && !q.closed {
		e.announced = true
		q.say(fmt.Sprintf(saySpooling, e.began.Format("15:04:05.000"), e.why, q.store.Dir()))
	}
	if q.mode != memory {
		poke(q.spill)
	}
	switch {
	case q.mode == memory && q.drained(), q.store == nil:
		q.watching = false
		return idleEvery
	case q.mode == spooling && q.away != "" && q.episode.announced && !q.slow && q.written == q.end():
		q.watching = false
		return restEvery
	}
	return watchEvery
}
