package health

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// properties are the names of a pool's keys, in the order of every output.
var properties = [...]string{
	beatsProperty:     "beats",
	capProperty:       "cap",
	depletionProperty: "depletion_rate",
	initProperty:      "init",
	replenishProperty: "replenish_rate",
	runningProperty:   "running",
	exitProperty:      "exit",
	healthProperty:    "health",
}

// Indices of properties.
const (
	beatsProperty = iota
	capProperty
	depletionProperty
	initProperty
	replenishProperty
	runningProperty
	exitProperty
	healthProperty
)

// poolInfix follows the service and its colon in a pool's keys.
const poolInfix = "__healthpool__"

// key returns the Redis key of a property of service's pool.
func key(service, category, property string) string {
	return service + ":" + poolInfix + category + "_" + property
}

// A setting is one SET command.
type setting struct {
	key   string
	value int64
	lease time.Duration // lease: how long the key lives; 0: for ever
}

// state returns the settings to publish now, one for each property of a pool. A pool that has no cap yet is
// not published.
func (k *Keeper) state() []setting {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.excludeLostTime(now)
	k.advance(now)
	var settings []setting
	for _, p := range k.pools {
		if !p.complete() {
			continue
		}
		values := [len(properties)]int64{
			beatsProperty: p.beats, capProperty: p.cap, depletionProperty: p.depletionRate, initProperty: p.init,
			replenishProperty: p.replenishRate, exitProperty: int64(p.exit),
		}
		lease := time.Duration(0)
		if k.running && !p.former {
			values[runningProperty], values[healthProperty], lease = 1, p.level.roundUp(), k.lease
		}
		for i, property := range properties {
			s := setting{key: key(k.opts.Service, p.category, property), value: values[i]}
			if i == healthProperty {
				s.lease = lease
			}
			settings = append(settings, s)
		}
	}
	return settings
}

const (
	// publishTimeout is how long Redis may take to answer one piece of a publication.
	publishTimeout = 2 * time.Second

	// pieceBytes bounds a piece, roughly: publishTimeout is then enough for a link of 5 KiB/s.
	pieceBytes      = 8 << 10
	settingOverhead = 50 // bytes of a command without its key
)

// A publisher writes settings to Redis, and repeats a publication that has failed.
type publisher struct {
	dial    func(context.Context) (*redisconn.Client, error)
	log     *slog.Logger
	state   func() []setting
	running func() (now, again bool) // running: Keeper.isRunning
	record  recorder

	news chan struct{}      // news: filled every interval, changed or not, and at events, such as the end of a run
	ctx  context.Context    // ctx: ends when close is called
	quit context.CancelFunc // quit: ends ctx
	done chan struct{}      // done: closed when run has returned

	client   *redisconn.Client
	outcomes streak
	ever     bool // ever: at least one publication has succeeded
}

// retryAfter is how long after a failed publication it is repeated, unless news come before.
const retryAfter = time.Second

// run publishes the state at news. The end waits for a piece that is under way, because Redis
// might carry out an abandoned one after a later one from another connection. A dial and a record
// without pools are abandoned at the end.
func (p *publisher) run() {
	defer close(p.done)
	var settings []setting
	var record []string
	var retry <-chan time.Time
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.news:
			settings, record = p.state(), p.recorded()
		case <-retry: // the same settings: the app was not judged since
		case <-time.After(p.record.renewal()): // nobody rings after the app's end
			now, _ := p.running()
			settings, record = nil, p.record.fields(now)
		}
		retry = nil
		if len(settings) == 0 {
			if record != nil {
				p.publish(p.ctx, p.ctx, nil, record) // after a failure the next record replaces it
			}
			continue
		}
		err := p.publish(p.ctx, context.Background(), settings, record)
		if err != nil && p.ctx.Err() != nil {
			return // close publishes
		}
		p.outcomes.log(p.log, err, "health pools are not published", "health pools are published again")
		if err != nil {
			retry = time.After(retryAfter)
		}
	}
}

// recorded returns the record's fields to publish now; nil for none. An app that ended
// before its first publication needs no record.
func (p *publisher) recorded() []string {
	now, again := p.running()
	if !now && !again && !p.ever {
		return nil
	}
	return p.record.fields(now)
}

// close ends run and publishes the last state. It repeats that until it succeeds or patience is over,
// but tries once only if no publication has ever succeeded. Without pools it tries the record once,
// and its failure is no error.
func (p *publisher) close(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.quit()
	<-p.done
	defer p.hangUp()
	settings, record := p.state(), p.recorded()
	if len(settings) == 0 {
		if record != nil {
			p.publish(ctx, ctx, nil, record)
		}
		return nil
	}
	for {
		err := p.publish(ctx, ctx, settings, record)
		if err == nil || !p.ever {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// publish writes the settings and the record. It begins nothing more once begin is done, and abandons what
// it has begun once ctx is done.
func (p *publisher) publish(begin, ctx context.Context, settings []setting, record []string) error {
	var err error
	if p.client == nil {
		if p.client, err = p.dial(begin); err != nil {
			return err
		}
		err = p.record.open(ctx, p.client)
	}
	if err == nil {
		err = p.exchange(begin, ctx, settings, record)
	}
	if err != nil {
		p.hangUp()
		return err
	}
	p.ever = true
	return nil
}

// exchange writes the settings in pieces, so that a slow link delays them only. Each piece renews the
// record, whose lease must outlast all pieces. An error reply does not keep the next piece back. In
// a cluster all is one piece, so that a node that hangs delays the others once.
func (p *publisher) exchange(begin, ctx context.Context, settings []setting, record []string) (err error) {
	for first := true; first || len(settings) > 0; first = false {
		n := 0
		for size := 0; n < len(settings) && (size < pieceBytes || p.client.InCluster()); n++ {
			size += len(settings[n].key) + settingOverhead
		}
		failed := p.exchangePiece(ctx, settings[:n], record)
		err, settings = cmp.Or(err, failed), settings[n:]
		if failed != nil && redisconn.Reply(failed) == "" {
			break
		}
		if len(settings) > 0 && begin.Err() != nil {
			return begin.Err()
		}
	}
	return err
}

// exchangePiece writes settings and the record in one pipeline, and checks the answers.
func (p *publisher) exchangePiece(ctx context.Context, settings []setting, record []string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	commands := p.record.commands(p.client, record)
	before := len(commands)
	for _, s := range settings {
		set := p.client.B().Set().Key(s.key).Value(strconv.FormatInt(s.value, 10))
		if s.lease > 0 {
			commands = append(commands, set.PxMilliseconds(s.lease.Milliseconds()).Build())
		} else {
			commands = append(commands, set.Build())
		}
	}
	answers := p.client.DoMulti(ctx, commands...)
	err := p.record.check(answers[:before])
	for _, answer := range answers[before:] {
		err = cmp.Or(err, answer.Error())
	}
	return err
}

func (p *publisher) hangUp() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}
