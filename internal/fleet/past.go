package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A Past is what Redis held of an app's earlier run before this wrapp wrote anything.
type Past struct {
	marker *marker // marker: the newest; nil: the stream has none, or the user may not read it
	pid    int     // pid: of the wrapp in this instance's hash; 0: the hash is gone
	more   bool    // more: the marker is further back than the entries that were read, or these were not read
}

// pastPage is how many entries of :status are read before the app is started: an end marker
// is the last of them, a begin marker not far behind.
const pastPage = 8

// AskPast returns the commands that read a Past from the databases of values and logs.
func AskPast(client *redisconn.Client, name, instance string) (values, logs []rueidis.Completed) {
	return []rueidis.Completed{client.B().Hget().Key(RunKey(name, instance)).Field("pid").Build()},
		[]rueidis.Completed{client.B().Xrevrange().Key(logstream.Keys(name)[logstream.Status]).End("+").Start("-").Count(pastPage).Build()}
}

// ReadPast reads the answers to AskPast. Where the user may not read there is no past. A Redis
// that has not answered leaves it Unknown.
func ReadPast(values, logs []rueidis.RedisResult) (p Past) {
	if pid, err := values[0].AsInt64(); err == nil {
		p.pid = int(pid)
	}
	entries, err := logs[0].AsXRange()
	if err != nil {
		p.more = redisconn.Final(err) == ""
		return p
	}
	p.marker = markerIn(entries)
	p.more = p.marker == nil && len(entries) == pastPage
	return p
}

// markerIn returns the newest marker among entries, which begin with the newest.
func markerIn(entries []rueidis.XRangeEntry) *marker {
	m := new(marker)
	for _, e := range entries {
		if m.read(e) {
			return m
		}
	}
	return nil
}

// Unknown reports whether more of :status has to be read.
func (p *Past) Unknown() bool { return p.more }

// Open reports whether the newest run has no end marker.
func (p *Past) Open() bool { return p.marker != nil && p.marker.Begins }

// A Host tells what this machine knows of processes that were on it.
type Host struct {
	// Started returns when the wrapp with a process ID started, or false if it does not run.
	Started func(pid int) (time.Time, bool)
	// OOM says whether the kernel has killed the wrapp of that process ID for lack of memory
	// since then.
	OOM func(pid int, since time.Time) bool
}

// How a run without an end marker ended.
const (
	LostKilled  = "killed"   // a signal killed wrapp; the kernel does not say whose
	LostOOM     = "oom"      // the kernel killed wrapp for lack of memory
	LostRestart = "restart"  // the machine was restarted while wrapp was stopping
	LostPower   = "power"    // the machine went down without stopping wrapp
	LostUnknown = "unknown"  // the run's wrapp is an older one, or was on another machine
	stillThere  = "is there" // it has not ended: another wrapp of this name runs
)

// Lost returns how the run before own ended without an end marker, in a word and for people.
// Both are empty if it has a marker, or goes on in another wrapp.
func (p *Past) Lost(own *Instance, host Host) (how, text string) {
	if !p.Open() {
		return "", ""
	}
	how = p.how(own, host)
	if how == stillThere {
		return "", ""
	}
	why := map[string]string{
		LostKilled:  "wrapp was killed by a signal; the kernel does not say by whom",
		LostOOM:     "the kernel killed wrapp for lack of memory",
		LostRestart: "the machine was restarted while wrapp was stopping",
		LostPower:   "the machine lost its power, or was restarted without stopping wrapp: its boot ID is another one",
		LostUnknown: "wrapp was killed, or the machine went down",
	}[how]
	return how, fmt.Sprintf("the run before, of %s, has no end: %s", p.marker.Stamp, why)
}

func (p *Past) how(own *Instance, host Host) string {
	m := p.marker
	switch {
	case m.boot == "" || own.Boot == "" || m.host == "":
		return LostUnknown
	case m.host != own.Host && m.boot != own.Boot:
		return LostUnknown
	case m.boot != own.Boot && m.stopping:
		return LostRestart
	case m.boot != own.Boot:
		return LostPower
	case m.host == own.Host && m.pid != own.PID && p.lives(host):
		return stillThere
	case host.OOM(m.pid, m.at):
		return LostOOM
	}
	return LostKilled
}

// startMargin allows for the resolution of process start times.
const startMargin = time.Second

// lives reports whether the wrapp of the newest run is running, and not another one that has
// its process ID by now: its lease says so, or it was there when the run began. The lease
// comes up to a second after the marker, and another wrapp of the name may have overwritten
// it; the start time is wrong after a step of the clock.
func (p *Past) lives(host Host) bool {
	started, running := host.Started(p.marker.pid)
	return running && (p.pid == p.marker.pid || !started.After(p.marker.at.Add(startMargin)))
}

// Elsewhere returns the key whose lease says whether the newest run goes on in a wrapp of
// another host name; empty without such a run.
func (p *Past) Elsewhere(own *Instance) string {
	if !p.Open() || p.marker.host == "" || p.marker.host == own.Host {
		return ""
	}
	return RunKey(own.Name, InstanceID(p.marker.host))
}

// ReadPastAgain reads the Past before own's first marker, which has the time first. Entries
// that an earlier run left in the spool come before that marker. ok is false until the
// marker is in the stream.
func ReadPastAgain(ctx context.Context, logs *redisconn.Client, own *Instance, first string) (p Past, ok bool, err error) {
	key := logstream.Keys(own.Name)[logstream.Status]
	entries, err := logs.Do(ctx, logs.B().Xrevrange().Key(key).End("+").Start("-").Count(statusMost).Build()).AsXRange()
	if err != nil {
		return p, false, fmt.Errorf("read %s: %w", key, err)
	}
	for i, e := range entries {
		m := new(marker)
		if m.read(e) && m.Begins && m.Stamp == first && m.pid == own.PID && m.host == own.Host {
			return Past{marker: markerIn(entries[i+1:])}, true, nil
		}
	}
	return p, false, nil
}

// LeaseEnds waits until the lease of a run's hash has run out, or returns false as soon as it
// is renewed, because then its wrapp lives.
func LeaseEnds(ctx context.Context, values *redisconn.Client, key string) (bool, error) {
	last := int64(-1)
	for {
		left, err := values.Do(ctx, values.B().Pttl().Key(key).Build()).AsInt64()
		switch {
		case err != nil:
			return false, err
		case left < 0:
			return true, nil // the key is gone, or has no lease and so is not wrapp's
		case last >= 0 && left > last:
			return false, nil
		}
		last = left
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(leasePoll):
		}
	}
}

// leasePoll is the pause between two readings of a lease; wrapp renews it less often.
const leasePoll = 250 * time.Millisecond
