package health

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// properties are the names of a pool's keys, in the order in which they are
// shown.
var properties = [...]string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"}

// healthProperty is the place of "health" in properties.
const healthProperty = len(properties) - 1

// poolInfix follows the service and its colon in the keys of pools.
const poolInfix = "__healthpool__"

// key is the Redis key of a property of service's pool.
func key(service, category, property string) string {
	return service + ":" + poolInfix + category + "_" + property
}

// A setting is one SET command.
type setting struct {
	key   string
	value int64
	lease time.Duration // 0: for ever
}

// state is what to publish now: eight settings a pool. A pool whose cap is not
// known is not shown.
func (k *Keeper) state() []setting {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.settle(now)
	k.advance(now)
	var settings []setting
	for _, p := range k.pools {
		if !p.complete() {
			continue
		}
		values := [len(properties)]int64{p.beats, p.cap, p.depletionRate, p.init, p.replenishRate, 0, int64(p.exit), 0}
		lease := time.Duration(0)
		if k.running && !p.former {
			values[5], values[healthProperty], lease = 1, p.level.roundUp(), k.lease
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

// publishTimeout is how long Redis may take to answer a publication.
const publishTimeout = 2 * time.Second

// A publisher writes settings to Redis. Where Redis is away it tries again with
// the next ones.
type publisher struct {
	dial    func(context.Context) (*redisconn.Client, error)
	log     *slog.Logger
	state   func() []setting
	running func() (now, again bool) // the app is there; it will be
	record  recorder

	news chan struct{} // there is something new to publish
	quit chan struct{} // closed by close
	done chan struct{} // closed when run has returned

	client *redisconn.Client
	failed int // publications in a row
	ever   bool
}

// retryAfter is when a publication that Redis did not take is made up for, if
// there is nothing new before.
const retryAfter = time.Second

// run publishes the state each time there is something new. A publication that
// has begun is seen to its end: Redis might otherwise take it after a later one,
// from another connection.
func (p *publisher) run() {
	defer close(p.done)
	var settings []setting
	var record []string
	var retry <-chan time.Time
	for {
		select {
		case <-p.quit:
			return
		case <-p.news:
			settings, record = p.state(), p.recorded()
		case <-retry: // the same again: between looks nothing is known of the app
		}
		retry = nil
		if len(settings) == 0 {
			if record != nil {
				ctx, cancel := untilQuit(p.quit)
				p.publish(ctx, nil, record) // the next one makes up for it
				cancel()
			}
			continue
		}
		err := p.publish(context.Background(), settings, record)
		if p.tell(err); err != nil {
			retry = time.After(retryAfter)
		}
	}
}

// recorded returns the fields of the record that are to be published now. An app that has
// ended before its record was published for the first time needs none.
func (p *publisher) recorded() []string {
	now, again := p.running()
	if !now && !again && !p.ever {
		return nil
	}
	return p.record.fields(now)
}

// tell says once that Redis does not take the pools, and once that it does.
func (p *publisher) tell(err error) {
	switch {
	case err == nil && p.failed > 0:
		p.log.Info("health pools are published again", "failures", p.failed)
		p.failed = 0
	case err != nil:
		if p.failed++; p.failed == 1 {
			p.log.Warn("health pools are not published", "error", err)
		}
	}
}

// close ends run and publishes the last state. It is told by an error that this
// did not work within patience.
func (p *publisher) close(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	close(p.quit)
	<-p.done
	defer p.hangUp()
	settings, record := p.state(), p.recorded()
	if len(settings) == 0 {
		if record != nil {
			p.publish(ctx, nil, record)
		}
		return nil
	}
	for {
		err := p.publish(ctx, settings, record)
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

// publish writes the settings and the record in one pipeline, and reads the answers.
func (p *publisher) publish(ctx context.Context, settings []setting, record []string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if p.client == nil {
		client, err := p.dial(ctx)
		if err != nil {
			return err
		}
		p.client = client
	}
	err := p.exchange(ctx, settings, record)
	if err != nil {
		p.hangUp()
		return err
	}
	p.ever = true
	return nil
}

func (p *publisher) exchange(ctx context.Context, settings []setting, record []string) error {
	commands := make([]rueidis.Completed, len(settings), len(settings)+2)
	for i, s := range settings {
		set := p.client.B().Set().Key(s.key).Value(strconv.FormatInt(s.value, 10))
		if s.lease > 0 {
			commands[i] = set.PxMilliseconds(s.lease.Milliseconds()).Build()
		} else {
			commands[i] = set.Build()
		}
	}
	commands = append(commands, p.record.commands(p.client, record)...)
	answers := p.client.DoMulti(ctx, commands...)
	for _, answer := range answers[:len(settings)] {
		if err := answer.Error(); err != nil {
			return err
		}
	}
	return p.record.heard(answers[len(settings):])
}

func (p *publisher) hangUp() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}
