package health

import (
	"fmt"
	"math"
	"time"
)

// params are a pool's parameters: init and cap in whole units, depletionRate in units a
// second, replenishRate in units a heartbeat. None is negative.
type params struct {
	init, cap, depletionRate, replenishRate int64
}

// A pool is the arithmetic of one health pool. It knows neither a clock nor Redis: the
// caller passes in each instant, and instants never go back.
type pool struct {
	params
	initSaid bool // initSaid: init was set; if not, the first cap becomes init

	level level
	at    time.Time // at: instant at which level is right
	hold  time.Time // hold: the level does not deplete before it
	beats int64
	begun bool // begun: a heartbeat has come since the pool was complete
}

// start begins a run.
func (p *pool) start(now time.Time) {
	p.level, p.at, p.beats, p.begun, p.hold = units(p.init), now, 0, false, time.Time{}
}

// complete reports whether the pool counts: one without a cap is still being declared.
func (p *pool) complete() bool { return p.cap > 0 }

// advance brings the level to the instant now.
func (p *pool) advance(now time.Time) {
	from := p.at
	if !now.After(from) {
		return
	}
	p.at = now
	if p.hold.After(from) {
		from = p.hold
	}
	if elapsed := now.Sub(from); elapsed > 0 {
		p.level = p.level.minus(times(p.depletionRate, int64(elapsed)))
	}
}

// exclude brings the level to the instant now, without depletion in the last d before it.
func (p *pool) exclude(d time.Duration, now time.Time) {
	p.advance(now.Add(-d))
	p.at = now
}

// beat counts n heartbeats of the instant now.
func (p *pool) beat(n int64, now time.Time) {
	p.advance(now)
	if p.beats > math.MaxInt64-n {
		p.beats = math.MaxInt64
	} else {
		p.beats += n
	}
	p.begun = p.begun || p.complete()
	// In one step the same as level = max(level, min(cap, level + replenish)), done n times.
	full := units(p.cap)
	if !p.level.less(full) {
		return
	}
	won := full
	if p.replenishRate == 0 || n <= math.MaxInt64/p.replenishRate {
		won = units(n * p.replenishRate)
	}
	if p.level = p.level.plus(won); full.less(p.level) {
		p.level = full
	}
}

// set changes a parameter at the instant now.
func (p *pool) set(property string, value int64, now time.Time) error {
	least := int64(0)
	if property == "cap" {
		least = 1
	}
	if value < least {
		return fmt.Errorf("%s must be at least %d and not %d", property, least, value)
	}
	p.advance(now)
	switch property {
	case "init":
		p.init, p.initSaid = value, true
		if !p.begun {
			p.level = units(value)
		}
	case "cap":
		if !p.complete() && !p.initSaid {
			p.init, p.level = value, units(value)
		}
		p.cap = value
	case "depletion_rate":
		p.depletionRate = value
	case "replenish_rate":
		p.replenishRate = value
	default:
		return fmt.Errorf("a pool has no %s to set", property)
	}
	return nil
}

// empty sets the level to 0.
func (p *pool) empty(now time.Time) {
	p.advance(now)
	p.level = level{}
}

// emptyAt returns when the level reaches 0 without heartbeats. ok is false if it is 0 or
// never reaches it.
func (p *pool) emptyAt() (at time.Time, ok bool) {
	if p.level.isZero() || p.depletionRate == 0 {
		return time.Time{}, false
	}
	from := p.at
	if p.hold.After(from) {
		from = p.hold
	}
	return from.Add(p.level.lasts(p.depletionRate)), true
}
