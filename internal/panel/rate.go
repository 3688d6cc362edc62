package panel

import (
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A tally is what a run's hash counts, and how fast that grew between its last two writings.
type tally struct {
	pid           int // of the wrapp that counts
	at            time.Time
	lines, errors uint64
	known         bool // rate and wrong are
	rate, wrong   float32
}

func (t *tally) take(r *fleet.Run) {
	apart := r.Updated.Sub(t.at)
	if apart == 0 {
		return // it was not written anew
	}
	t.known = !t.at.IsZero() && apart > 0 && r.PID == t.pid && r.Lines >= t.lines && r.Errors >= t.errors
	if t.known {
		t.rate = float32(float64(r.Lines-t.lines) / apart.Seconds())
		t.wrong = float32(float64(r.Errors-t.errors) / apart.Seconds())
	}
	t.pid, t.at, t.lines, t.errors = r.PID, r.Updated, r.Lines, r.Errors
}

// count takes what the app's runs have counted. If all of them count, the stream need not
// be read for it.
func (a *app) count(now int64) {
	before := a.tallies
	a.tallies, a.counted = make(map[string]*tally, len(a.runs)), len(a.runs) > 0
	lines, wrong := float32(0), float32(0)
	for i := range a.runs {
		r := &a.runs[i]
		t := before[r.Instance]
		if t == nil {
			t = new(tally)
		}
		t.take(r)
		a.tallies[r.Instance] = t
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

// Bounds of what is read of :info of one app in a second to count its lines and errors.
const (
	tipMost  = 25       // entries
	tipBytes = 64 << 10 // about
)

// tip counts the entries that came to :info in the last second. If there were more than are
// read, the times of these say how fast they came.
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

// severe says whether an entry of :info is an error of the app.
func severe(e *journal.Entry) bool {
	j := journal.Joiner{Pieces: true}
	lines := j.Add([]journal.Entry{*e})
	return len(lines) == 1 && lines[0].Level.String() == "ERROR"
}
