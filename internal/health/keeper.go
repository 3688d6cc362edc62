// Package health keeps heartbeat health pools and shows them. A pool is a level
// that time depletes and heartbeats replenish; at 0 the app counts as dead.
//
// The Keeper does it for the app that wrapp runs, and publishes the pools in
// Redis; the reader is for jettison_health.
package health

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Options say what a Keeper keeps, and where it publishes that.
type Options struct {
	Service  string // before the colon of the pools' keys
	Interval time.Duration
	Pools    map[string]config.Pool // by category; output may declare more

	Record *Record // nil: pools only

	Dial func(context.Context) (*redisconn.Client, error)
	Log  *slog.Logger
}

// App is what a Keeper needs of the run of an app that it judges. The functions are called
// between Start and End, Drain and Depleted by one goroutine only.
type App struct {
	// Drain takes in what the app has written until now, waiting no longer than
	// limit: its silence is judged only after that. It returns false if nothing can
	// be taken in now: then there is nothing to judge.
	Drain func(limit time.Duration) bool
	// Depleted hears that a pool has reached 0.
	Depleted func(category string)
	// Exec runs the command of an exec: source and returns nil if it ends with
	// exit status 0. When Exec returns, which is soon after ctx is done, the
	// command has ended, and all that it started.
	Exec func(ctx context.Context, command []string) error
}

// A Keeper keeps the pools of an app, over one run or several: Start and End in turns,
// with Renew before each further Start. Between New and Close it takes heartbeats
// and parameters from any goroutine; the pools live from Start to End.
type Keeper struct {
	opts  Options
	app   App
	lease time.Duration // how long health lasts in Redis without us

	mu      sync.Mutex
	pools   []*kept          // in the order in which they were declared
	by      map[string]*kept // category
	wrong   map[string]bool  // parameters that were refused, by category and property
	running bool
	lingers bool      // another run will follow
	paused  int       // who holds the app
	deaf    bool      // nothing of the app can be taken in
	due     time.Time // when the loop is to look next; zero: when it is told

	rearm chan struct{} // the loop is to look at once
	end   context.CancelFunc
	loops sync.WaitGroup // what ends with the app
	pub   publisher
}

// kept is a pool and what the Keeper does about it.
type kept struct {
	pool
	category string
	sources  []string // what counts as its heartbeat
	depleted bool     // the level was 0 when it was looked at last
	told     bool     // that it takes no markers
	exit     int      // exit status of the last run that had it
	former   bool     // an earlier run declared it, and this one has not
}

// New returns a Keeper whose pools are at their start, and publishes nothing
// yet. Close ends it.
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
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	categories := make([]string, 0, len(opts.Pools))
	for category := range opts.Pools {
		categories = append(categories, category)
	}
	slices.Sort(categories)
	for _, category := range categories {
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

// Start begins the run: the app is there. What it has said before, which is not
// much, counts.
func (k *Keeper) Start(app App) {
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	now := time.Now()
	first := k.app.Drain == nil
	k.app, k.end = app, cancel
	k.running, k.deaf, k.due = true, false, now
	for _, p := range k.pools {
		p.at = now
		p.depleted = p.level.isZero()
		if !p.former {
			p.exit = 0
		}
	}
	k.mu.Unlock()
	if first {
		go k.pub.run()
	}
	k.loops.Go(func() { k.look(ctx) })
	k.probeAll(ctx)
}

// Renew puts the pools at the start of another run, of which nothing has come yet. Those
// of the configuration are as it says. Those that only the app has declared stay
// published as they ended, until it declares them again.
func (k *Keeper) Renew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	for _, p := range k.pools {
		if c, ok := k.opts.Pools[p.category]; ok {
			p.pool = configured(c)
			p.start(now)
		} else {
			p.former = true
		}
	}
}

// Beat counts a heartbeat that the app's output gave a pool at the instant now. That the
// pool takes no markers is an error, but only the first time.
func (k *Keeper) Beat(category []byte, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle(now)
	p := k.declared(category, now)
	switch {
	case p == nil:
	case p.hears(beat.Marker):
		k.beat(p, 1, now)
	default:
		return p.deaf()
	}
	return nil
}

// deaf returns, the first time only, the error that the pool takes no markers.
func (p *kept) deaf() error {
	if p.told {
		return nil
	}
	p.told = true
	return fmt.Errorf("health pool %s takes no markers, because its beat does not name marker", p.category)
}

// Heard counts n heartbeats of the pools that hear a source.
func (k *Keeper) Heard(source string, n int, now time.Time) {
	k.each(func(p *kept) bool { return p.hears(source) }, int64(n), now)
}

func (p *kept) hears(source string) bool { return slices.Contains(p.sources, source) }

// beaten counts the success of a probe.
func (k *Keeper) beaten(category string) {
	k.each(func(p *kept) bool { return p.category == category }, 1, time.Now())
}

func (k *Keeper) each(which func(*kept) bool, n int64, now time.Time) {
	if n == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle(now)
	for _, p := range k.pools {
		if which(p) {
			k.beat(p, n, now)
		}
	}
}

func (k *Keeper) beat(p *kept, n int64, now time.Time) {
	p.beat(n, now)
	if p.depleted && !p.level.isZero() {
		p.depleted = false
		ring(k.rearm) // it may be empty again before the next look
	}
}

// Trigger empties the pools of the app's notifications: the app says itself
// that it hangs.
func (k *Keeper) Trigger(now time.Time) {
	k.mu.Lock()
	k.settle(now)
	for _, p := range k.pools {
		if p.hears(beat.Notify) {
			p.empty(now)
		}
	}
	k.mu.Unlock()
	ring(k.rearm)
}

// Hold stops the depletion of the pools of the app's notifications for d.
func (k *Keeper) Hold(d time.Duration, now time.Time) {
	k.mu.Lock()
	k.settle(now)
	for _, p := range k.pools {
		if p.hears(beat.Notify) {
			p.advance(now)
			p.hold = now.Add(d)
		}
	}
	k.mu.Unlock()
}

// Set changes a parameter of a pool, as the app has said in its output. It declares a pool
// of a new name. One of the configuration takes that only if its beat
// names marker. A value that cannot be is an error, but only the first time.
func (k *Keeper) Set(category, property, value []byte, now time.Time) error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		err = fmt.Errorf("%s must be a whole number below 2^63 and not %s", property, value)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle(now)
	p := k.declared(category, now)
	switch {
	case p == nil:
		err = fmt.Errorf("there are %d pools already", mostPools)
	case !p.hears(beat.Marker):
		return p.deaf()
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

// mostPools is how many pools an app can have: what it writes must not fill our
// memory.
const mostPools = 1000

// declared returns the pool of that name, which it makes where it is new, or nil if there
// are too many.
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

// Pause stops the pools' time, as while a debugger holds the app; Resume lets it
// go on once each that has paused it has called it.
func (k *Keeper) Pause()  { k.pause(1) }
func (k *Keeper) Resume() { k.pause(-1) }

func (k *Keeper) pause(more int) {
	k.mu.Lock()
	now := time.Now()
	k.settle(now)
	k.advance(now)
	k.paused += more
	k.mu.Unlock()
	ring(k.rearm)
}

// setDeaf says whether nothing of the app can be taken in now. The time since the last
// look is then left out, too.
func (k *Keeper) setDeaf(deaf bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if deaf != k.deaf {
		k.deaf = true
		k.settle(time.Now())
		k.deaf = deaf
	}
}

// advance brings every pool to the instant now, to which settle has seen.
func (k *Keeper) advance(now time.Time) {
	for _, p := range k.pools {
		p.advance(now)
	}
}

// settle leaves out of the pools' time what is not the app's silence: time in
// which the app is held, not heard or not there, and wrapp's own lateness, which is the time
// since a look that is overdue. Every method that brings pools to an instant
// calls it first.
func (k *Keeper) settle(now time.Time) {
	if k.paused > 0 || k.deaf || !k.running {
		for _, p := range k.pools {
			p.at = now
		}
		return
	}
	if late := now.Sub(k.due); !k.due.IsZero() && late > k.grace() {
		for _, p := range k.pools {
			p.shift(late, now)
		}
		k.due = now
	}
}

// grace is the lateness that is nothing unusual on a busy machine.
func (k *Keeper) grace() time.Duration { return min(k.opts.Interval/10, 100*time.Millisecond) }

// look judges the pools every interval, and when one of them may be empty.
func (k *Keeper) look(ctx context.Context) {
	next := time.Now() // of the looks that happen every interval
	if !k.judging() {
		next = next.Add(recordDelay)
	}
	for {
		if k.judging() {
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

// judge brings the pools to this instant, returns which of them have just become
// empty, and whether there is something to publish, and says in k.due when to
// judge again. next is the next of the regular times.
func (k *Keeper) judge(next *time.Time) (depleted []string, news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.settle(now)
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
		if p.level.isZero() && !p.depleted {
			p.depleted, news = true, true
			depleted = append(depleted, p.category)
		}
		if k.due.IsZero() {
			k.due = *next
		}
		if at, ok := p.emptyAt(); ok && k.paused == 0 && !k.deaf && at.Before(k.due) {
			k.due = at
		}
	}
	return depleted, news
}

// judging says whether there is a pool, or nothing else to do but to look for one.
func (k *Keeper) judging() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.opts.Record == nil || k.shows()
}

// shows says whether there is a pool that is published. The caller holds mu.
func (k *Keeper) shows() bool {
	return slices.ContainsFunc(k.pools, func(p *kept) bool { return p.complete() })
}

// isRunning says whether the app is there now, and whether another run will follow.
func (k *Keeper) isRunning() (now, again bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.running, k.lingers
}

// End says that the app has ended with this exit status, or could not be
// started. Nothing is asked of it any more; heartbeats that it has left behind
// are still counted.
func (k *Keeper) End(exit int) {
	k.mu.Lock()
	now := time.Now()
	k.settle(now)
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

// recordPause is the time between two publications of a record without pools.
func (k *Keeper) recordPause() time.Duration {
	return time.Duration(float64(k.lease) / recordShare)
}

// Linger keeps the lease of the record while there is no app, until stop is called.
func (k *Keeper) Linger() (stop func()) {
	lingers := func(l bool) {
		k.mu.Lock()
		k.lingers = l
		k.mu.Unlock()
	}
	lingers(true)
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			ring(k.pub.news)
			select {
			case <-over:
				return
			case <-time.After(k.recordPause()):
			}
		}
	})
	return func() {
		close(over)
		done.Wait()
		lingers(false)
	}
}

// Close publishes the end of the run, and returns when that is done or cannot be
// done within patience. Where Redis was never reached it tries once.
func (k *Keeper) Close(patience time.Duration) error {
	k.mu.Lock()
	started := k.app.Drain != nil
	k.mu.Unlock()
	if !started {
		go k.pub.run()
	}
	return k.pub.close(patience)
}

// ring wakes the receiver of c, or the next one.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
