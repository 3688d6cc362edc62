// Package health keeps heartbeat health pools and shows them. A pool is a level
// that time depletes and heartbeats replenish; at 0 the app counts as dead.
//
// The Keeper keeps the pools of the app that wrapp runs and publishes them in Redis. It also
// publishes the Record that wrapp ls shows, even without pools. The Notifier turns sd_notify
// messages into heartbeats. Read and All read the pools for jettison_health.
package health

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Options say which pools a Keeper keeps, and where it publishes them.
type Options struct {
	Service  string // before the colon of the pools' keys
	Interval time.Duration
	Pools    map[string]config.Pool // by category; output may declare more

	Record *Record // Record: what is published about the run; nil: the pools only

	Dial func(context.Context) (*redisconn.Client, error)
	Log  *slog.Logger
}

// App is what a Keeper needs from one run of the app. Drain and Depleted must be set, Exec if a
// pool has an exec: source. The Keeper calls the functions between Start and End, and Drain and
// Depleted from one goroutine only.
type App struct {
	// Drain reads what the app has written until now, for no longer than limit; the Keeper
	// judges the app's silence afterwards. Drain returns false if reading is blocked: then
	// the silence does not count.
	Drain func(limit time.Duration) bool
	// Depleted is called when a pool has reached 0.
	Depleted func(category string)
	// Exec runs the command of an exec: source and returns nil if it ends with exit
	// status 0. It returns soon after ctx is done. By then the command has ended, and so have
	// the processes that it left in its process group.
	Exec func(ctx context.Context, command []string) error
}

// A Keeper keeps the pools of an app, over one run or several: Start and End in turns,
// with Renew before each further Start. Between New and Close any goroutine may pass in
// heartbeats and parameters. The pools deplete between Start and End only. From the first Start to
// Close the Keeper renews the lease of the Record.
type Keeper struct {
	opts  Options
	app   App
	lease time.Duration // lease: lifetime of a pool's health in Redis unless it is renewed

	mu      sync.Mutex
	pools   []*kept          // pools: in the order in which they were declared
	by      map[string]*kept // by: pools by category
	wrong   map[string]bool  // wrong: refused parameters, by category and property
	started bool             // started: the publisher runs
	running bool
	lingers bool      // lingers: another run will follow
	paused  int       // paused: calls of Pause without their Resume
	deaf    bool      // deaf: Drain returned false
	due     time.Time // due: when watch judges next; zero: only on rearm
	rung    time.Time // rung: when judge last had the pools published
	stale   bool      // stale: a pool was depleted since

	rearm chan struct{} // rearm: watch is to judge at once
	end   context.CancelFunc
	loops sync.WaitGroup // loops: goroutines that end with the run
	pub   publisher
}

// kept is a pool with the Keeper's own state of it.
type kept struct {
	pool
	category  string
	sources   []string // sources: what counts as its heartbeat
	depleted  bool     // depleted: the level is 0, and Depleted was called or it was 0 from the start
	triggered bool     // triggered: Trigger has emptied it, and Depleted is still to be called
	told      bool     // told: the user was told that it takes no markers
	exit      int      // exit: exit status of the last run that had it
	former    bool     // former: an earlier run declared it, this one has not
}

// New returns a Keeper with its pools at their start. It publishes nothing before Start or Close.
// Close ends it.
func New(opts Options) *Keeper {
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	k := &Keeper{
		opts:  opts,
		lease: max(5*time.Second, 3*opts.Interval),
		by:    make(map[string]*kept),
		wrong: make(map[string]bool),
		rearm: make(chan struct{}, 1),
		end:   func() {},
	}
	k.pub = publisher{
		dial:    opts.Dial,
		log:     opts.Log,
		state:   k.state,
		running: k.isRunning,
		record:  recorder{Record: opts.Record, lease: k.lease},
		news:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	k.pub.ctx, k.pub.quit = context.WithCancel(context.Background())
	for _, category := range slices.Sorted(maps.Keys(opts.Pools)) {
		p := opts.Pools[category]
		pool := &kept{pool: configured(p), category: category, sources: p.Beat}
		pool.start(time.Now())
		k.add(pool)
	}
	return k
}

// configured returns the pool that the configuration declares.
func configured(p config.Pool) pool {
	return pool{params: params{p.Init, p.Cap, p.DepletionRate, p.ReplenishRate}, initSaid: true}
}

func (k *Keeper) add(p *kept) {
	k.pools = append(k.pools, p)
	k.by[p.category] = p
}

// Start begins a run, right after the app has started. Earlier heartbeats and parameters
// count.
func (k *Keeper) Start(app App) {
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	now := time.Now()
	k.app, k.end = app, cancel
	k.running, k.deaf, k.due = true, false, now
	for _, p := range k.pools {
		p.at = now
		p.depleted = p.level.isZero()
		if !p.former {
			p.exit = 0
		}
	}
	k.startPublisher()
	k.mu.Unlock()
	k.loops.Go(func() { k.watch(ctx) })
	k.probeAll(ctx)
}

// startPublisher starts the publisher, once. The caller holds mu.
func (k *Keeper) startPublisher() {
	if !k.started {
		k.started = true
		go k.pub.run()
	}
}

// Renew prepares the pools for another run, before any of its output. Pools of the
// configuration start anew. Pools that only the app has declared stay published as they
// ended, until a marker names them; see declared.
func (k *Keeper) Renew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	for _, p := range k.pools {
		if c, ok := k.opts.Pools[p.category]; ok {
			p.pool, p.triggered = configured(c), false
			p.start(now)
		} else {
			p.former = true
		}
	}
}

// HeardMarker counts a heartbeat marker that the app wrote at the instant now. It returns an
// error if the pool takes no markers, but only once for each pool.
func (k *Keeper) HeardMarker(category []byte, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.excludeLostTime(now)
	p := k.declared(category, now)
	switch {
	case p == nil:
	case p.hears(beat.Marker):
		k.addTo(p, 1, now)
	default:
		return p.refuseMarker()
	}
	return nil
}

// refuseMarker returns the error that the pool takes no markers, but only once; then nil.
func (p *kept) refuseMarker() error {
	if p.told {
		return nil
	}
	p.told = true
	return fmt.Errorf("health pool %s takes no markers, because its beat does not name marker", p.category)
}

// Heard counts n heartbeats of the pools that hear a source.
func (k *Keeper) Heard(source string, n int, now time.Time) {
	k.addBeats(func(p *kept) bool { return p.hears(source) }, int64(n), now)
}

func (p *kept) hears(source string) bool { return slices.Contains(p.sources, source) }

// addBeats counts n heartbeats of each pool that which selects.
func (k *Keeper) addBeats(which func(*kept) bool, n int64, now time.Time) {
	if n == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.excludeLostTime(now)
	for _, p := range k.pools {
		if which(p) {
			k.addTo(p, n, now)
		}
	}
}

func (k *Keeper) addTo(p *kept, n int64, now time.Time) {
	p.beat(n, now)
	if p.depleted && !p.level.isZero() {
		p.depleted = false
		ring(k.rearm) // the pool may be empty again before watch judges next
	}
}

// Trigger empties the pools that notifications feed: the app itself reports a hang. Heartbeats that
// follow at once, as of another thread, do not hide it.
func (k *Keeper) Trigger(now time.Time) {
	k.mu.Lock()
	k.excludeLostTime(now)
	for _, p := range k.pools {
		if p.hears(beat.Notify) {
			p.empty(now)
			p.triggered = !p.depleted
		}
	}
	k.mu.Unlock()
	ring(k.rearm)
}

// Hold stops, for d, the depletion of the pools that notifications feed.
func (k *Keeper) Hold(d time.Duration, now time.Time) {
	k.mu.Lock()
	k.excludeLostTime(now)
	for _, p := range k.pools {
		if p.hears(beat.Notify) {
			p.advance(now)
			p.hold = now.Add(d)
		}
	}
	k.mu.Unlock()
}

// Set changes a parameter of a pool, as a marker asks. A new name declares a pool. A pool
// of the configuration accepts markers only if its beat names marker. Set returns an error
// only the first time that it refuses a parameter.
func (k *Keeper) Set(category, property, value []byte, now time.Time) error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		err = fmt.Errorf("%s must be a whole number below 2^63 and not %s", property, value)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.excludeLostTime(now)
	p := k.declared(category, now)
	switch {
	case p == nil:
		err = fmt.Errorf("there are %d pools already", mostPools)
	case !p.hears(beat.Marker):
		return p.refuseMarker()
	case err == nil:
		shown := p.complete()
		if err = p.set(string(property), n, now); !p.level.isZero() {
			p.depleted = false
		}
		if p.complete() != shown {
			ring(k.pub.news)
		}
		ring(k.rearm)
	}
	what := string(category) + " " + string(property)
	if err == nil || k.wrong[what] || len(k.wrong) >= mostPools {
		return nil
	}
	k.wrong[what] = true
	return fmt.Errorf("health pool %s stays as it is: %v", category, err)
}

// mostPools bounds the pools of an app: its output must not fill our memory.
const mostPools = 1000

// declared returns the pool of that name and makes it if it is new. It returns nil if
// there are too many.
func (k *Keeper) declared(category []byte, now time.Time) *kept {
	if p := k.by[string(category)]; p != nil {
		if p.former {
			p.former, p.exit, p.depleted = false, 0, true
			p.pool = pool{at: now}
		}
		return p
	}
	if len(k.pools) >= mostPools {
		return nil
	}
	p := &kept{category: string(category), sources: []string{beat.Marker}, depleted: true}
	p.at = now
	k.add(p)
	return p
}

// Pause stops the pools' time, while a debugger holds the app (package debug) or gdb does for a
// hang report (package crash). Each Pause needs its own Resume, even after the end of the run.
func (k *Keeper) Pause()  { k.pause(1) }
func (k *Keeper) Resume() { k.pause(-1) }

func (k *Keeper) pause(more int) {
	k.mu.Lock()
	now := time.Now()
	k.excludeLostTime(now)
	k.advance(now)
	k.paused += more
	k.mu.Unlock()
	ring(k.rearm)
}

// setDeaf records whether reading is blocked. If that changes, the time since the last judgement
// does not deplete the pools.
func (k *Keeper) setDeaf(deaf bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if deaf != k.deaf {
		k.deaf = true
		k.excludeLostTime(time.Now())
		k.deaf = deaf
	}
}

// advance brings every pool to the instant now. Call excludeLostTime first.
func (k *Keeper) advance(now time.Time) {
	for _, p := range k.pools {
		p.advance(now)
	}
}

// excludeLostTime excludes from depletion the time in which the app could not beat: it was
// paused, not read or not running, or watch is overdue. Every method that brings pools to an
// instant calls it first.
func (k *Keeper) excludeLostTime(now time.Time) {
	if k.paused > 0 || k.deaf || !k.running {
		for _, p := range k.pools {
			p.at = now
		}
		return
	}
	if late := now.Sub(k.due); !k.due.IsZero() && late > k.grace() {
		for _, p := range k.pools {
			p.exclude(late, now)
		}
		k.due = now
	}
}

// grace returns the lateness that is usual on a busy machine.
func (k *Keeper) grace() time.Duration { return min(k.opts.Interval/10, 100*time.Millisecond) }

// watch judges the pools every interval while any is published, and when one of them may be empty.
func (k *Keeper) watch(ctx context.Context) {
	next := time.Now() // next: the next regular time to judge
	if !k.draining() {
		next = next.Add(recordDelay)
	}
	for {
		if k.draining() {
			k.setDeaf(!k.app.Drain(k.opts.Interval / 2))
		}
		depleted, news := k.judge(&next)
		if news {
			ring(k.pub.news)
		}
		for _, category := range depleted {
			k.app.Depleted(category)
		}
		k.mu.Lock()
		due := k.due
		k.mu.Unlock()
		var timer <-chan time.Time
		if !due.IsZero() {
			timer = time.After(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-k.rearm:
		}
	}
}

// leastPause is the time between two publications of pools that are depleted again and again.
const leastPause = 100 * time.Millisecond

// judge brings the pools to this instant. It returns the pools that have just become empty
// and whether there is something to publish, and sets k.due to the next time to judge. next
// is the next regular time to judge.
func (k *Keeper) judge(next *time.Time) (depleted []string, news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.excludeLostTime(now)
	k.advance(now)
	if !next.After(now) {
		news = true
		pause := k.opts.Interval
		if !k.shows() {
			pause = k.recordPause()
		}
		if *next = next.Add(pause); !next.After(now) {
			*next = now.Add(pause)
		}
	}
	k.due = time.Time{}
	if k.opts.Record != nil {
		k.due = *next
	}
	for _, p := range k.pools {
		if p.former || !p.complete() {
			continue
		}
		if p.triggered || p.level.isZero() && !p.depleted {
			p.triggered, p.depleted, k.stale = false, p.level.isZero(), true
			depleted = append(depleted, p.category)
		}
		if k.due.IsZero() {
			k.due = *next
		}
		if at, ok := p.emptyAt(); ok && k.paused == 0 && !k.deaf && at.Before(k.due) {
			k.due = at
		}
	}
	if at := k.rung.Add(leastPause); news || k.stale && !at.After(now) {
		k.rung, k.stale, news = now, false, true
	} else if k.stale && at.Before(k.due) {
		k.due = at
	}
	return depleted, news
}

// draining reports whether watch reads the output before it judges. While only a record is published,
// it does not.
func (k *Keeper) draining() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.opts.Record == nil || k.shows()
}

// shows reports whether any pool is published. The caller holds mu.
func (k *Keeper) shows() bool {
	return slices.ContainsFunc(k.pools, func(p *kept) bool { return p.complete() })
}

// isRunning reports whether the app runs now, and whether another run will follow.
func (k *Keeper) isRunning() (now, again bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.running, k.lingers
}

// End ends the run with the app's exit status. If the app could not be started, there was no
// Start before. After End the Keeper calls none of App's functions, but still counts heartbeats that
// come late.
func (k *Keeper) End(exit int) {
	k.mu.Lock()
	now := time.Now()
	k.excludeLostTime(now)
	k.advance(now)
	k.running = false
	for _, p := range k.pools {
		if !p.former {
			p.exit = exit
		}
	}
	k.mu.Unlock()
	ring(k.pub.news)
	k.end()
	k.loops.Wait()
}

// recordPause returns the time between two publications of a record without pools.
func (k *Keeper) recordPause() time.Duration {
	return time.Duration(float64(k.lease) / recordShare)
}

// Linger publishes the record at once between two runs, even of an app that ended before its first
// publication. Call stop before the next run.
func (k *Keeper) Linger() (stop func()) {
	lingers := func(l bool) {
		k.mu.Lock()
		k.lingers = l
		k.mu.Unlock()
	}
	lingers(true)
	ring(k.pub.news)
	return func() { lingers(false) }
}

// Close publishes the end of the run, within patience, and ends the renewal of the record's lease. A
// publication that began before Close may take longer, up to publishTimeout. If Redis was never
// reached Close tries only once.
func (k *Keeper) Close(patience time.Duration) error {
	k.mu.Lock()
	k.startPublisher()
	k.mu.Unlock()
	return k.pub.close(patience)
}

// ring wakes the receiver of c, now or at its next receive.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
