package outbox

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// Texts of the outbox on :status; sayRefuses is on :error.
const (
	sayClockBack  = "the clock went back by %v; the IDs of entries go on from where they were"
	saySpooling   = "spooling since %s: %s; entries wait in %s"
	sayDelivered  = "%d entries delivered from the spool, %v after spooling began"
	sayLeft       = "%d entries delivered from the spool, where an earlier run left them"
	sayMissing    = "up to %d entries in the spool are lost to damage"
	sayUnreadable = "%d entries in the spool are lost: %v"
	sayBroken     = "the spool cannot be written; entries wait in memory only: %v"
	sayDropped    = "%d lines dropped: %s"
	sayForeign    = "%s has entries of another writer or clock; the IDs of ours go on behind them"
	sayServerLost = "Redis has lost %d entries of :%v that it had taken: %d are sent again and %d are lost"
	sayRefuses    = "%s takes no entries: %s; %s"
	sayRefused    = "%d entries of :%v were refused by Redis for good (%s): %d are set aside%s, %d are lost"
	sayPlain      = "Redis does not let this user run scripts: entries may come twice after a lost connection (%s); wrapp acl %s prints the rules that are needed"
)

// reportEpisode ends an episode: the spool is empty. It reports an announced one, what an earlier
// process had left, and entries that were lost or dropped. The caller holds mu.
func (q *queue) reportEpisode() {
	why := q.awayOrSlow()
	if e := q.episode; e.announced {
		q.say(fmt.Sprintf(sayDelivered, e.spooled, time.Since(e.began).Round(time.Millisecond)))
	}
	q.episode.began, q.episode.announced = time.Time{}, false
	if q.left > 0 {
		q.say(fmt.Sprintf(sayLeft, q.left))
		q.left = 0
	}
	q.reportUnreadable()
	q.reportDropped(why)
}

// awayOrSlow returns why entries were dropped, and for how long the episode has lasted.
func (q *queue) awayOrSlow() string {
	if q.episode.began.IsZero() {
		return "Redis was away or slow"
	}
	return fmt.Sprintf("Redis was away or slow for %v", time.Since(q.episode.began).Round(time.Millisecond))
}

// reportUnreadable reports how many entries the disk has lost since the last report. The caller
// holds mu.
func (q *queue) reportUnreadable() {
	if n := q.unreadable.records; n > 0 {
		q.unreadable.records = 0
		q.say(fmt.Sprintf(sayUnreadable, n, q.unreadable.why))
	}
}

// reportRest reports lost and refused entries that no report mentions yet. The caller holds mu.
func (q *queue) reportRest() {
	q.reportUnreadable()
	for stream := range logstream.Count {
		q.reportRefused(stream)
	}
}

// reportDropped reports the entries dropped since the last report. It returns their number and
// the report, "" without any. The caller holds mu.
func (q *queue) reportDropped(why string) (total int, text string) {
	dropped := q.drops
	q.drops = spool.Counts{}
	return q.sayDrops(dropped, why+" and "+q.whatWasFull)
}

// sayDrops is reportDropped for given counts and the whole reason.
func (q *queue) sayDrops(dropped spool.Counts, why string) (total int, text string) {
	if total = dropped.Sum(); total == 0 {
		return 0, ""
	}
	q.droppedReported += uint64(total)
	poke(q.spill) // the spool's journal still counts them
	text = fmt.Sprintf(sayDropped, total, why)
	for s, n := range dropped {
		if n > 0 && logstream.Stream(s) != logstream.Info {
			text += fmt.Sprintf("; %d of them of :%v", n, logstream.Stream(s))
		}
	}
	q.say(text)
	if q.dropped != nil {
		q.dropped(total, text)
	}
	return total, text
}

// reportDroppedAtEnd reports dropped entries when :status takes no more reports. journaled: the
// spool's journal has their number, and the next process reports them.
func (o *Outbox) reportDroppedAtEnd(journaled bool) {
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	if n := o.q.drops.Sum(); n > 0 && journaled {
		o.opts.Log.Warn("lines were dropped; the next run tells :status", "dropped", n)
	} else if _, text := o.q.reportDropped("Redis was away"); text != "" {
		o.opts.Log.Error(text)
	}
}

// A refusal counts the entries of one stream that Redis refused for good, since the stream
// last took an entry.
type refusal struct {
	entries, aside int // aside: how many are among the dead letters
	reply          string
	refusing       bool // the last entry of the stream was refused
}

// refuse sets aside an entry that Redis will never take. It reports the first of its stream
// on :error.
func (o *Outbox) refuse(r record, reply string) {
	q, stream := o.q, r.Stream()
	key := o.opts.Keys[stream]
	store := q.spool()
	var err error
	where := "they are lost"
	if store != nil {
		if err = store.SetAside(key, r, reply); err == nil {
			where = "they are set aside in " + deadLetters(store)
			poke(q.sync)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	r.Set(spool.Skip) // under the lock: spillOnce may be copying the record
	f := &q.refusals[stream]
	first := !f.refusing
	f.refusing = true
	f.entries++
	q.refused++
	if store != nil && err == nil {
		f.aside++
		q.aside++
	}
	if !first {
		return
	}
	f.reply = reply
	o.opts.Log.Error("redis will not take entries; "+where, "stream", key, "reply", reply)
	if err != nil {
		o.opts.Log.Warn("an entry that redis refused is lost", "error", err)
	}
	if !q.refusals[logstream.Error].refusing {
		q.add(logstream.Error, 0, milliseconds(time.Now()), fmt.Appendf(nil, sayRefuses, key, reply, where), nil, spool.Own)
	}
}

// markAccepted ends a refusal: the stream has taken an entry.
func (q *queue) markAccepted(stream logstream.Stream) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f := &q.refusals[stream]; f.refusing {
		f.refusing = false
		q.reportRefused(stream)
	}
}

// reportRefused reports how many entries of a stream were refused, unless :status refuses
// entries, too. The caller holds mu.
func (q *queue) reportRefused(stream logstream.Stream) {
	f := q.refusals[stream]
	if f.entries == 0 || q.refusals[logstream.Status].refusing {
		return
	}
	q.refusals[stream] = refusal{refusing: f.refusing}
	where := ""
	if f.aside > 0 {
		where = " in " + deadLetters(q.store)
	}
	q.say(fmt.Sprintf(sayRefused, f.entries, stream, f.reply, f.aside, where, f.entries-f.aside))
}

func deadLetters(store *spool.Spool) string { return filepath.Join(store.Dir(), spool.DeadLetters) }
