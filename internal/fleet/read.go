package fleet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// An App is the state of an app as read from Redis.
type App struct {
	Name      string
	State     State
	Exit      int        // of State IsEnded
	Since     time.Time  // beginning of the run, or its end; of State IsKilled its beginning; zero: not known
	Instances []Instance // one for each living wrapp
	Restarts  int
	Pool      *health.Reading // the pool with the least health as a share of its cap; nil: no pool, or none is kept although the app runs
	Errors    int             // entries on :error in the last ErrorSpan, mostErrors at most
	Crash     *Crash          // the last one; nil: not known
	Waiting   int             // entries that wait for Redis
	Before    string          // how the previous run ended without an end marker; see LostKilled
	Down      bool            // of State IsKilled: this machine was started anew since
	Lags      []Lag           // added by AddLags
}

// A Lag says how far a cursor of `wrapp logs` is behind an app's streams.
type Lag struct {
	Cursor  string
	Entries int64 // those behind the cursor; -1: not known
}

// A Crash is the last report of an app.
type Crash struct {
	Time                   time.Time
	Signature, What, Frame string
}

// A State is the state of an app.
type State int

// The states of an app. Of several instances' states, the app has the first of this order that is
// not IsUnknown. An app without an instance is unknown
//   - if the last statusMost entries of :status have no run marker,
//   - if Redis refuses the hash of its newest run, or
//   - if an older wrapp, which writes no hash, began that run, and there is no pool.
const (
	IsUnknown State = iota
	IsRunning
	IsRestarting
	IsEnding
	IsEnded
	IsKilled // the run has neither a lease nor an end marker
)

var stateNames = [...]string{"unknown", Running, Restarting, Ending, "ended", "killed"}

func (s State) String() string { return stateNames[s] }

// ErrorSpan is how long errors count for App.Errors.
const ErrorSpan = 10 * time.Minute

const (
	mostErrors = 1000
	statusPage = 50   // statusPage: entries of :status read at once, in search of a marker
	statusMost = 1000 // statusMost: entries of :status read in all
	appsAtOnce = 16   // appsAtOnce: bounds memory, since a report may have 256 KiB

	// leaseGrace is the age below which a run counts as running without a lease. Most have one
	// within a second; a slow Redis takes longer. A run that begins in the future, since its
	// host's clock is ahead, may be as far off.
	leaseGrace = 5 * time.Second
)

// Read returns every app, sorted by name. logs and values are connections to the
// databases of logs and values.
func Read(ctx context.Context, logs, values *redisconn.Client) ([]App, error) {
	instances, err := readInstances(ctx, values)
	if err != nil {
		return nil, err
	}
	found, err := journal.Names(ctx, logs)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, name := range found {
		names[name] = true
	}
	for name := range instances {
		names[name] = true
	}
	pools, err := worstPools(ctx, values)
	if err != nil {
		return nil, err
	}
	var apps []App
	for some := range slices.Chunk(slices.Sorted(maps.Keys(names)), appsAtOnce) {
		more, err := readStreams(ctx, logs, some, instances, pools)
		if err != nil {
			return nil, err
		}
		apps = append(apps, more...)
	}
	return apps, nil
}

// AddLags adds to each app its lag behind a cursor.
func AddLags(ctx context.Context, logs *redisconn.Client, apps []App, cursor string, places *journal.Places) error {
	for some := range slices.Chunk(apps, appsAtOnce) {
		names := make([]string, len(some))
		for i := range some {
			names[i] = some[i].Name
		}
		lags, err := places.Lag(ctx, logs, names...)
		if err != nil {
			return err
		}
		for i := range some {
			some[i].Lags = append(some[i].Lags, Lag{cursor, lags[some[i].Name]})
		}
	}
	return nil
}

// readInstances returns all instances that have a hash, by the app's name.
func readInstances(ctx context.Context, client *redisconn.Client) (map[string][]Instance, error) {
	keys := make(map[string]bool)
	if err := client.Scan(ctx, runPrefix+"*", func(key string) { keys[key] = true }); err != nil {
		return nil, fmt.Errorf("look for instances: %w", err)
	}
	sorted := slices.Sorted(maps.Keys(keys))
	reads := make([]rueidis.Completed, len(sorted))
	for i, key := range sorted {
		reads[i] = client.B().Hgetall().Key(key).Build()
	}
	instances := make(map[string][]Instance)
	for i, answer := range client.DoMulti(ctx, reads...) {
		fields, err := answer.AsStrMap()
		if err != nil && !redisconn.IsWrongType(err) {
			return nil, fmt.Errorf("read %s: %w", sorted[i], err)
		}
		if in, ok := ParseInstance(sorted[i], fields); ok { // the key may be gone by now, or hold something else
			instances[in.Name] = append(instances[in.Name], in)
		}
	}
	return instances, nil
}

// worstPools returns the pool of each service with the least health as a share of its cap. It prefers
// pools that are kept, since the keys of a pool stay when it is taken out of the configuration.
func worstPools(ctx context.Context, client *redisconn.Client) (map[string]*health.Reading, error) {
	pairs, err := health.All(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("look for pools: %w", err)
	}
	readings, err := health.Read(ctx, client, pairs)
	if err != nil {
		return nil, fmt.Errorf("read pools: %w", err)
	}
	worst := make(map[string]*health.Reading)
	for i := range readings {
		r := &readings[i]
		if w := worst[r.Service]; w == nil || kept(r) && !kept(w) || kept(r) == kept(w) && share(r) < share(w) {
			worst[r.Service] = r
		}
	}
	return worst, nil
}

// kept reports whether the app runs and the pool has a lease.
func kept(r *health.Reading) bool {
	running, _ := r.Get("running")
	_, leased := r.Get("health")
	return running == 1 && leased
}

// share returns a pool's health as a share of its cap; 0 without a lease.
func share(r *health.Reading) float64 {
	level, _ := r.Get("health")
	most, ok := r.Get("cap")
	if !ok || most <= 0 {
		return 0
	}
	return float64(level) / float64(most)
}

// readStreams reads the streams of apps and assesses them.
func readStreams(ctx context.Context, logs *redisconn.Client, names []string, instances map[string][]Instance, pools map[string]*health.Reading) ([]App, error) {
	now := time.Now()
	const each = 3
	reads := make([]rueidis.Completed, 0, each*len(names))
	for _, name := range names {
		keys := logstream.Keys(name)
		since := strconv.FormatInt(now.Add(-ErrorSpan).UnixMilli(), 10)
		reads = append(reads,
			logs.B().Xrevrange().Key(keys[logstream.Status]).End("+").Start("-").Count(statusPage).Build(),
			logs.B().Xrange().Key(keys[logstream.Error]).Start(since).End("+").Count(mostErrors).Build(),
			logs.B().Xrevrange().Key(keys[logstream.Crash]).End("+").Start("-").Count(1).Build())
	}
	answers := logs.DoMulti(ctx, reads...)
	apps := make([]App, len(names))
	for i, name := range names {
		var read [each][]rueidis.XRangeEntry
		for j := range read {
			var err error
			read[j], err = answers[each*i+j].AsXRange()
			if err != nil && !redisconn.IsWrongType(err) {
				return nil, fmt.Errorf("read the streams of %s: %w", name, err)
			}
		}
		m, err := newestMarker(ctx, logs, name, read[0])
		if err != nil {
			return nil, err
		}
		apps[i] = assess(name, instances[name], m, pools[name], here(), now)
		apps[i].Errors = len(read[1])
		if len(read[2]) > 0 {
			apps[i].Crash = crashOf(read[2][0])
		}
	}
	return apps, nil
}

// newestMarker returns the newest run's marker, from the newest page of :status or from older
// ones; nil without any.
func newestMarker(ctx context.Context, logs *redisconn.Client, name string, page []rueidis.XRangeEntry) (*marker, error) {
	m := new(marker)
	for n := 0; ; {
		for _, e := range page {
			if m.read(e) {
				return m, nil
			}
		}
		n += len(page)
		if len(page) < statusPage || n >= statusMost {
			return nil, nil
		}
		id, err := entry.ParseID(page[len(page)-1].ID)
		if err != nil {
			return nil, err
		}
		key := logstream.Keys(name)[logstream.Status]
		page, err = logs.Do(ctx, logs.B().Xrevrange().Key(key).End(id.Previous().String()).Start("-").Count(statusPage).Build()).AsXRange()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
	}
}

// here returns an Instance of which only Host and Boot are set: those of this machine.
var here = sync.OnceValue(func() Instance { return Instance{Host: HostName(), Boot: BootID()} })

// A Newest follows an app's newest run, for a reader that gets the entries of :status as
// they come. The zero Newest knows of no run.
type Newest struct{ marker *marker }

// Add adds the next newer entry.
func (n *Newest) Add(e rueidis.XRangeEntry) {
	m := new(marker)
	switch {
	case m.read(e):
		n.marker = m
	case n.marker != nil:
		n.marker.noLease = n.marker.noLease || m.noLease
		n.marker.stopping = n.marker.stopping || m.stopping
	}
}

// Key returns the key of the newest run's hash; empty if that run has ended or belongs to an
// older wrapp.
func (n *Newest) Key(name string) string {
	if n.marker == nil || !n.marker.Begins || n.marker.host == "" {
		return ""
	}
	return RunKey(name, InstanceID(n.marker.host))
}

// Assess returns the app's state from the hashes of its instances, without its pools.
func (n *Newest) Assess(name string, instances []Instance, now time.Time) App {
	return assess(name, instances, n.marker, nil, here(), now)
}

// assess returns the state of an app. m is nil without a marker; m.at is from its entry's ID. here has
// the host and boot ID of this machine.
func assess(name string, instances []Instance, m *marker, pool *health.Reading, here Instance, now time.Time) App {
	a := App{Name: name, Pool: pool}
	for _, in := range instances {
		if in.State == Ending && m != nil && !m.Begins && !m.at.Before(in.Started) {
			continue // the run has ended; its lease has not run out yet
		}
		a.Instances = append(a.Instances, in)
		a.Restarts += in.Restarts
		a.Waiting += in.Spooled
		a.Before = cmp.Or(in.Before, a.Before)
		state := map[string]State{Running: IsRunning, Restarting: IsRestarting, Ending: IsEnding}[in.State]
		if a.State == IsUnknown || state != IsUnknown && state < a.State {
			a.State = state
		}
		if a.Since.IsZero() || in.Started.Before(a.Since) {
			a.Since = in.Started
		}
	}
	if a.State == IsRunning && pool != nil && !kept(pool) {
		a.Pool = nil
	}
	if len(a.Instances) > 0 || m == nil {
		return a
	}
	a.Since = m.at
	switch {
	case !m.Begins:
		a.State, a.Exit = IsEnded, m.Exit
	case now.Sub(m.at).Abs() < leaseGrace:
		a.State = IsRunning
	case m.noLease:
	case m.boot != "" || m.host != "":
		a.State = IsKilled
		a.Down = m.host == here.Host && m.boot != here.Boot && m.boot != "" && here.Boot != ""
	case pool != nil: // of an older wrapp
		if a.State = IsKilled; kept(pool) {
			a.State = IsRunning
		}
	}
	return a
}

func crashOf(e rueidis.XRangeEntry) *Crash {
	c := &Crash{Signature: e.FieldValues["signature"], Frame: e.FieldValues["frame"], What: journal.WhatHappened(e.FieldValues["signal"], e.FieldValues["message"])}
	if id, err := entry.ParseID(e.ID); err == nil {
		c.Time = id.Time()
	}
	return c
}
