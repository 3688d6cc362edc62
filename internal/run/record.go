package run

import (
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/restart"
)

// A record collects what this wrapp publishes about itself and its app (fleet.Instance). Any
// goroutine may use it.
type record struct {
	out      *outbox.Outbox   // set before the app is started
	restarts *restart.Machine // set before the app is started
	log      *slog.Logger

	errors atomic.Uint64 // lines with level ERROR

	mu sync.Mutex
	fleet.Instance
}

// newRecord returns the record of a wrapp before the start of its app.
func newRecord(name, version string, log *slog.Logger) *record {
	return &record{log: log, Instance: fleet.Instance{
		Name: name, ID: fleet.InstanceID(fleet.HostName()), Host: fleet.HostName(), PID: os.Getpid(), Wrapp: version, Boot: fleet.BootID(),
	}}
}

// markerFields returns the fields of a run's first marker. They identify this wrapp: when a
// later start asks how the run ended, the hash is gone.
func (r *record) markerFields() []string {
	return []string{"host", r.Host, "pid", strconv.Itoa(r.PID), "boot", r.Boot}
}

// began records a start of the app. stamp is the time in the run's marker.
func (r *record) began(stamp string, pid int, at time.Time) {
	r.mu.Lock()
	r.Stamp, r.AppPID, r.Started = stamp, pid, at
	r.mu.Unlock()
}

// crashed counts a report.
func (r *record) crashed() {
	r.mu.Lock()
	r.Crashes++
	r.mu.Unlock()
}

// published returns the record for health.Keeper, which writes it to Redis.
func (r *record) published() *health.Record {
	return &health.Record{Key: fleet.RunKey(r.Name, r.ID), Fields: r.fields, Refused: r.refused}
}

func (r *record) fields(running bool) []string {
	stats, runs := r.out.Stats(), r.restarts.Summary()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Lines, r.Dropped, r.Spooled, r.DeadLetters = stats.Lines, stats.Dropped, stats.Waiting, stats.Refused
	r.Updated, r.Errors = time.Now(), r.errors.Load()
	r.State, r.Restarts = fleet.Running, runs.Restarts
	if !running {
		r.State, r.AppPID = fleet.Ending, 0
	}
	if runs.State == restart.Restarting {
		r.State = fleet.Restarting
	}
	if runs.Restarts > 0 || runs.State != restart.Running {
		r.LastExit = strconv.Itoa(runs.LastExit)
	}
	return r.Fields()
}

// refused reports that Redis refused the hash, without which readers cannot see whether this
// wrapp lives.
func (r *record) refused(reply string) {
	text := "redis does not take " + fleet.RunKey(r.Name, r.ID) + ", so wrapp ls cannot tell whether this run lives: " + reply
	if redisconn.Denied(reply) {
		text += "; wrapp acl " + r.Name + " prints the rights that are needed"
	}
	r.log.Warn(text)
	r.out.Say(logstream.Status, text, fleet.NoLease, "1")
}
