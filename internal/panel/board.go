package panel

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Times and bounds of polling a board.
const (
	pollEvery    = time.Second
	pollTimeout  = 5 * time.Second // a slower Redis counts as away
	retryAfter   = time.Second
	findEvery    = 3 * time.Second // least pause between two searches for new apps, pools and values
	findShare    = 100             // searches take at most 1/findShare of the time
	maxApps      = 1000            // apps of a board
	statusBehind = 200             // entries of :status that are searched for a run marker
	statusChunk  = 200             // entries of :status and :error that are read at once; restarts can make some hundred a second
	crashChunk   = 10              // reports that are read at once, up to 256 KiB each
)

// A board is one Redis. The panel polls it once a second, however many viewers there are.
type board struct {
	name string
	cfg  *config.Redis
	log  *slog.Logger
	tail *tail
	asks *asker

	mu    sync.Mutex
	state boardState
	since time.Time // since: when state last changed
	why   string    // why it is away
	apps  map[string]*app
}

// A boardState says whether a board answers.
type boardState int

// The states of a board.
const (
	connecting boardState = iota // not reached yet
	there
	away
)

func newBoard(b config.Board, log *slog.Logger) *board {
	cfg := b.Redis
	one := &board{
		name: b.Name, cfg: &cfg, log: log.With("board", b.Name), since: time.Now(),
		apps: make(map[string]*app), asks: &asker{cfg: &cfg, free: make(chan struct{}, 1)},
	}
	one.tail = newTail(&cfg)
	return one
}

// run polls the board until ctx ends.
func (b *board) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.pollUntilFailure(ctx)
		if ctx.Err() != nil {
			return
		}
		b.mu.Lock()
		if b.state != away {
			b.state, b.since = away, time.Now()
			b.log.Warn("board is away", "error", err)
		}
		b.why = err.Error()
		b.mu.Unlock()
		sleep(ctx, retryAfter)
	}
}

// pollUntilFailure polls over one pair of connections until that fails.
func (b *board) pollUntilFailure(ctx context.Context) error {
	var conns redisconn.Pair
	if err := conns.Dial(ctx, b.cfg); err != nil {
		return err
	}
	defer conns.Close()
	v := &visit{board: b, values: conns.Values, logs: conns.Logs}
	next := time.NewTicker(pollEvery)
	defer next.Stop()
	for {
		if err := v.poll(ctx); err != nil {
			return err
		}
		b.mu.Lock()
		if b.state != there {
			if b.state == away {
				b.log.Info("board is back")
			}
			b.state, b.since, b.why = there, time.Now(), ""
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		}
	}
}

// A visit is a board with connections to it.
type visit struct {
	*board
	values, logs *redisconn.Client

	found  time.Time     // found: when find last ended
	took   time.Duration // took: how long find took
	pairs  []health.Pair
	hashes []string // wrapp-run:…
}

func (v *visit) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if time.Since(v.found) > max(findEvery, findShare*v.took) {
		begin := time.Now()
		if err := v.find(ctx); err != nil {
			return err
		}
		v.found, v.took = time.Now(), time.Since(begin)
	}
	if err := v.streams(ctx); err != nil {
		return err
	}
	readings, err := health.Read(ctx, v.values, v.pairs)
	if err != nil {
		return fmt.Errorf("read pools: %w", err)
	}
	keys := v.keysOfRuns()
	reads := make([]rueidis.Completed, len(keys))
	for i, key := range keys {
		reads[i] = v.values.B().Hgetall().Key(key).Build()
	}
	var instances []fleet.Instance
	for i, answer := range v.values.DoMulti(ctx, reads...) {
		fields, err := answer.AsStrMap()
		if err != nil && redisconn.Reply(err) == "" {
			return fmt.Errorf("read runs: %w", err)
		}
		if in, ok := fleet.ParseInstance(keys[i], fields); ok {
			instances = append(instances, in)
		}
	}
	v.store(readings, instances)
	return nil
}

// keysOfRuns returns the keys that find has found, and those of runs that have begun since.
func (v *visit) keysOfRuns() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	keys := slices.Clone(v.hashes)
	for _, a := range v.apps {
		if key := a.newest.Key(a.name); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// find searches for new apps, pools, runs and values. fleet.Read would search for all of them
// each time, and read the streams anew: too much for once a second.
func (v *visit) find(ctx context.Context) error {
	names, err := journal.Names(ctx, v.logs)
	if err != nil {
		return fmt.Errorf("find apps: %w", err)
	}
	if v.pairs, err = health.All(ctx, v.values); err != nil {
		return fmt.Errorf("find pools: %w", err)
	}
	v.pairs = v.pairs[:min(len(v.pairs), maxApps)]
	v.hashes = v.hashes[:0]
	values := make(map[string]map[string]bool)
	if err := v.values.Scan(ctx, "wrapp*:*", func(key string) {
		if fleet.IsRunKey(key) {
			v.hashes = append(v.hashes, key)
			return
		}
		rest, isValue := strings.CutPrefix(key, "wrapp:")
		i := strings.LastIndexByte(rest, ':')
		if !isValue || i < 0 || strings.HasPrefix(rest[i+1:], "__healthpool__") || strings.ContainsFunc(rest[i+1:], notInName) {
			return
		}
		if values[rest[:i]] == nil {
			values[rest[:i]] = make(map[string]bool)
		}
		if len(values[rest[:i]]) < maxValues {
			values[rest[:i]][rest[i+1:]] = true
		}
	}); err != nil {
		return fmt.Errorf("find values: %w", err)
	}
	slices.Sort(v.hashes)
	v.hashes = slices.Compact(v.hashes)
	v.hashes = v.hashes[:min(len(v.hashes), maxApps)]
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range names {
		v.app(name)
	}
	for name, a := range v.apps {
		if a.values = sortedKeys(values[name]); !slices.Contains(names, name) && len(a.values)+len(a.pools)+len(a.instances) == 0 {
			delete(v.apps, name) // Redis holds nothing of it any more
		}
	}
	for name, set := range values {
		if a := v.app(name); a != nil {
			a.values = sortedKeys(set)
		}
	}
	return nil
}

// notInName reports whether r is not allowed in a value's name.
func notInName(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// app returns the app of that name, new if there is room, else nil.
func (b *board) app(name string) *app {
	a := b.apps[name]
	if a == nil && len(b.apps) < maxApps {
		a = &app{name: name, pools: make(map[string]*pool), counts: tipMost, behind: true}
		b.apps[name] = a
	}
	return a
}

// store sets the apps' pools and instances.
func (v *visit) store(readings []health.Reading, instances []fleet.Instance) {
	now := time.Now().Unix()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range v.apps {
		a.instances = nil
	}
	for _, in := range instances {
		if a := v.app(in.Name); a != nil {
			a.instances, a.leased = append(a.instances, in), true
		}
	}
	for _, a := range v.apps {
		a.count(now)
	}
	kept := make(map[*pool]bool)
	for _, r := range readings {
		a := v.app(strings.TrimPrefix(r.Service, "wrapp:"))
		if a == nil {
			continue
		}
		p := a.pools[r.Category]
		if p == nil {
			if len(a.pools) == maxPools {
				continue
			}
			p = new(pool)
			a.pools[r.Category] = p
		}
		p.Reading = r
		p.history.put(now, p.share())
		kept[p] = true
	}
	for _, a := range v.apps {
		maps.DeleteFunc(a.pools, func(_ string, p *pool) bool { return !kept[p] })
	}
}

// streams reads the new entries of all apps since the last poll: all of :status, :error and
// :crash, and the end of :info if wrapp does not count its lines.
func (v *visit) streams(ctx context.Context) error {
	v.mu.Lock()
	apps := make([]*app, 0, len(v.apps))
	for _, a := range v.apps {
		apps = append(apps, a)
	}
	v.mu.Unlock()
	var fresh *app // one at a time: its history may be long
	type question struct {
		app    *app
		stream logstream.Stream
	}
	var asked []question
	var reads []rueidis.Completed
	for _, a := range apps {
		keys := logstream.Keys(a.name)
		for s := logstream.Stream(0); s < logstream.Count; s++ {
			after := a.seen[s].Next().String()
			if s == logstream.Info && a.counted {
				continue
			}
			asked = append(asked, question{a, s})
			if s == logstream.Info {
				reads = append(reads, v.logs.B().Xrevrange().Key(keys[s]).End("+").Start(after).Count(int64(a.counts)).Build())
			} else if a.seen[s] == (entry.ID{}) && s != logstream.Crash {
				reads = append(reads, v.logs.B().Xrevrange().Key(keys[s]).End("+").Start("-").Count(statusBehind).Build())
			} else if s == logstream.Crash && a.behind {
				reads = append(reads, v.logs.B().Xrevrange().Key(keys[s]).End("+").Start("-").Count(1).Build())
			} else {
				chunk := int64(statusChunk)
				if s == logstream.Crash {
					chunk = crashChunk
				}
				reads = append(reads, v.logs.B().Xrange().Key(keys[s]).Start(after).End("+").Count(chunk).Build())
			}
		}
		if a.behind && fresh == nil {
			fresh = a
		}
	}
	now := time.Now().Unix()
	answers := v.logs.DoMulti(ctx, reads...)
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, q := range asked {
		a := q.app
		entries, err := journal.Parse(a.name, q.stream, answers[i])
		if err != nil {
			if redisconn.Reply(err) != "" {
				continue // the key is of another type, and not wrapp's
			}
			return err
		}
		known := a.seen[q.stream] != entry.ID{}
		a.addEntries(entries)
		if q.stream == logstream.Info {
			if !known {
				entries = nil // written before the panel's first poll
			}
			a.tip(now, entries)
		}
	}
	if fresh == nil {
		return nil
	}
	v.mu.Unlock()
	err := v.history(ctx, fresh)
	v.mu.Lock()
	fresh.behind = false
	return err
}

// history reads the reports from before the panel's first poll, in small pieces.
func (v *visit) history(ctx context.Context, a *app) error {
	key := logstream.Keys(a.name)[logstream.Crash]
	end := "+"
	for range maxCrashes / crashChunk {
		entries, err := journal.Parse(a.name, logstream.Crash,
			v.logs.Do(ctx, v.logs.B().Xrevrange().Key(key).End(end).Start("-").Count(crashChunk).Build()))
		if err != nil {
			if redisconn.Reply(err) != "" {
				return nil
			}
			return err
		}
		if len(entries) == 0 {
			return nil
		}
		v.mu.Lock()
		for i := range entries {
			a.crash(&entries[i])
		}
		v.mu.Unlock()
		end = entries[0].ID.Previous().String()
	}
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
