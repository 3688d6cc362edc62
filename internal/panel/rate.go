package panel

import (
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A tally has the counts of a run's hash, and how fast they grew between its last two
// updates.
type tally struct {
	pid           int // pid: of the wrapp that counts
	at            time.Time
	lines, errors uint64
	known         bool    // known: rate and wrong are valid
	rate, wrong   float32 // rate, wrong: lines and errors a second
}

func (t *tally) update(in *fleet.Instance) {
	apart := in.Updated.Sub(t.at)
	if apart == 0 {
		return // the hash was not updated
	}
	t.known = !t.at.IsZero() && apart > 0 && in.PID == t.pid && in.Lines >= t.lines && in.Errors >= t.errors
	if t.known {
		t.rate = float32(float64(in.Lines-t.lines) / apart.Seconds())
		t.wrong = float32(float64(in.Errors-t.errors) / apart.Seconds())
	}
	t.pid, t.at, t.lines, t.errors = in.PID, in.Updated, in.Lines, in.Errors
}

// count updates the rates from the counts of the app's instances. If all count, streams need
// not read :info.
func (a *app) count(now int64) {
	before := a.tallies
	a.tallies, a.counted = make(map[string]*tally, len(a.instances)), len(a.instances) > 0
	lines, wrong := float32(0), float32(0)
	for i := range a.instances {
		in := &a.instances[i]
		t := before[in.ID]
		if t == nil {
			t = new(tally)
		}
		t.update(in)
		a.tallies[in.ID] = t
		a.counted = a.counted && t.known
		lines, wrong = lines+t.rate, wrong+t.wrong
	}
	if a.counted {
		a.seen[logstream.Info] = entry.ID{}
		a.rates(now, lines, wrong, false)
	}
}

func (a *app) rates(now int64, lines, wrong float32, estimated bool) {
	a.rate, a.wrong, a.estimated = lines, wrong, estimated
	a.lines.put(now, lines)
	a.errors.put(now, wrong)
}

// Bounds of the entries of :info that are read of one app in a second, to count its lines
// and errors.
const (
	tipMost  = 25       // entries
	tipBytes = 64 << 10 // bytes, about
)

// tip counts the entries that came to :info in the last second. If there were more than it
// reads, it estimates the rate from the times of those it has.
func (a *app) tip(now int64, entries []journal.Entry) {
	n, wrong, size := len(entries), 0, 0
	for i := range entries {
		size += len(entries[i].Message)
		if severe(&entries[i]) {
			wrong++
		}
	}
	rate, full := float32(n), n > 0 && n == a.counts
	if full {
		if apart := entries[n-1].Time().Sub(entries[0].Time()); apart > 0 {
			rate = max(rate, float32(float64(n-1)/apart.Seconds()))
		}
	}
	if n > 0 {
		a.counts = min(max(tipBytes*n/(size+1), 2), tipMost)
	}
	a.rates(now, rate, rate*float32(wrong)/float32(max(n, 1)), full)
}

// severe reports whether an entry of :info has the level ERROR.
func severe(e *journal.Entry) bool {
	j := journal.Joiner{Pieces: true}
	lines := j.Add([]journal.Entry{*e})
	return len(lines) == 1 && lines[0].Level.String() == "ERROR"
}
