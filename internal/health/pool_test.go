package health

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// TestPool runs small scripts: "+1.5s" lets time pass, "beat", "beat*3" and "cap=5" do what
// they say, "7" expects that health, "7/2" also that number of beats.
func TestPool(t *testing.T) {
	t.Parallel()
	contract := params{init: 1500, cap: 1000, depletionRate: 100, replenishRate: 15}
	for _, test := range []struct {
		name   string
		params params
		script string
	}{
		{"start", contract, "1500/0"},
		{"depletes", contract, "+1s 1400 +10s 400 +4s 0 +1h 0"},
		{"rounded up", contract, "+1ns 1500 +9999999ns 1499 +1ns 1499 +14.989999998s 1 +1ns 0"},
		{"a beat in the grace adds and takes nothing", contract, "+1s beat 1400/1"},
		{"a beat at the cap", contract, "+5s 1000 beat 1000/1"},
		{"a beat just below the cap", contract, "+5.001s beat 1000/1"},
		{"a beat below the cap", contract, "+6s 900 beat 915 beat*2 945/3"},
		{"never above the cap", contract, "+6s beat*100 1000/100"},
		{"from nothing", contract, "+1h 0 beat 15 +150ms 0"},
		{"no rates", params{init: 3, cap: 5}, "+1000h 3 beat*9 3/9"},
		{"init 0", params{cap: 5, depletionRate: 1, replenishRate: 2}, "0 beat 2 +1s 1"},
		{"the largest", params{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}, "9223372036854775807 +1ns 9223372027631403771 +1s 0 beat*3 9223372036854775807"},
		{"cap lowered gives grace", contract, "cap=100 1500 +1s beat 1400 +14s 0 beat*50 100"},
		{"cap raised", contract, "+5s 1000 cap=2000 beat 1015"},
		{"rates for what comes after", contract, "+1s depletion_rate=10 1400 +1s 1390 replenish_rate=1 +40s beat 991"},
		{"init before the first beat", contract, "+3s init=700 700 +1s 600"},
		{"init after the first beat", contract, "+6s beat 915 init=700 915/1"},
		{"declared, cap first", params{}, "0 cap=10 10 depletion_rate=1 +2s 8 init=5 5 replenish_rate=3 beat 8"},
		{"declared, init first", params{}, "init=15 15 cap=10 15 depletion_rate=1 +1s 14"},
		{"declared, beats first", params{}, "beat 0/1 cap=10 10 init=15 15/1 depletion_rate=1 +1s 14"},
		{"declared, beats before init", params{}, "beat 0/1 init=15 15 cap=10 15/1 depletion_rate=1 +1s 14"},
		{"declared, beats before the cap", params{}, "init=15 beat 15/1 cap=10 15 beat init=5 15/2"},
		{"declared, rate first", params{}, "depletion_rate=1 +9s cap=10 10"},
	} {
		p := &pool{params: test.params, initSaid: test.params.cap > 0}
		now := epoch
		p.start(now)
		for _, word := range strings.Fields(test.script) {
			var n, beats int64
			name, value, isSet := strings.Cut(word, "=")
			switch {
			case word[0] == '+':
				d, err := time.ParseDuration(word[1:])
				if err != nil {
					t.Fatal(err)
				}
				now = now.Add(d)
			case word == "beat":
				p.beat(1, now)
			case strings.HasPrefix(word, "beat*"):
				fmt.Sscan(word[len("beat*"):], &n)
				p.beat(n, now)
			case isSet:
				fmt.Sscan(value, &n)
				if err := p.set(name, n, now); err != nil {
					t.Errorf("%s: %s: %v", test.name, word, err)
				}
			default:
				p.advance(now)
				beats = p.beats
				fmt.Sscanf(word, "%d/%d", &n, &beats)
				if got := p.level.roundUp(); got != n || p.beats != beats {
					t.Errorf("%s: at %q after %v: health %d/%d", test.name, word, now.Sub(epoch), got, p.beats)
				}
			}
		}
	}
}

func TestRefusedValues(t *testing.T) {
	t.Parallel()
	p := &pool{params: params{1, 2, 3, 4}}
	for _, test := range []struct {
		property string
		value    int64
	}{{"init", -1}, {"cap", 0}, {"cap", -5}, {"depletion_rate", -1}, {"replenish_rate", math.MinInt64}, {"beats", 5}, {"health", 5}} {
		if err := p.set(test.property, test.value, epoch); err == nil || !strings.Contains(err.Error(), test.property) {
			t.Errorf("%v: %v", test, err)
		}
	}
	if p.params != (params{1, 2, 3, 4}) || !p.level.isZero() {
		t.Errorf("the pool has changed: %+v", p)
	}
}

// A model is the pool in big.Int, literally as the contract states it.
type model struct {
	level, cap, replenish, depletion *big.Int
	at                               time.Time
}

func (m *model) advance(now time.Time) {
	m.level.Sub(m.level, new(big.Int).Mul(m.depletion, big.NewInt(int64(now.Sub(m.at)))))
	if m.level.Sign() < 0 {
		m.level.SetInt64(0)
	}
	m.at = now
}

func (m *model) beat() {
	after := new(big.Int).Add(m.level, m.replenish)
	if after.Cmp(m.cap) > 0 {
		after = m.cap
	}
	if after.Cmp(m.level) > 0 {
		m.level.Set(after)
	}
}

func (l level) big() *big.Int {
	n := new(big.Int).SetUint64(l.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(l.lo))
}

// TestProperties runs random histories of pools of all magnitudes and compares them with the
// model: one pool advances at every step, one only when it must.
func TestProperties(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 14))
	magnitude := func() int64 { return random.Int64() >> random.IntN(63) }
	for range 3000 {
		ps := params{magnitude(), max(1, magnitude()), magnitude(), magnitude()}
		steps := &pool{params: ps, initSaid: true}
		leaps := &pool{params: ps, initSaid: true}
		steps.start(epoch)
		leaps.start(epoch)
		nano := func(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(billion)) }
		m := &model{nano(ps.init), nano(ps.cap), nano(ps.replenishRate), big.NewInt(ps.depletionRate), epoch}
		now := epoch
		for range 30 {
			now = now.Add(time.Duration(magnitude() >> 10))
			steps.advance(now)
			m.advance(now)
			if at, ok := steps.emptyAt(); ok {
				before, after := *steps, *steps
				before.advance(at.Add(-1))
				after.advance(at)
				if before.level.isZero() || !after.level.isZero() {
					// A Duration holds 292 years at most.
					if at.Sub(now) < math.MaxInt64 {
						t.Fatalf("%+v: said to be empty at %v", steps, at)
					}
				}
			}
			if n := random.Int64N(4); n > 0 {
				above := units(ps.cap).less(steps.level)
				before := steps.level
				for range n {
					steps.beat(1, now)
					m.beat()
				}
				leaps.beat(n, now)
				if above && steps.level != before {
					t.Fatalf("%+v: a beat in the grace changed the level", ps)
				}
				if !above && units(ps.cap).less(steps.level) {
					t.Fatalf("%+v: above the cap", ps)
				}
			}
			if steps.level.big().Cmp(m.level) != 0 {
				t.Fatalf("%+v: level %v, want %v", ps, steps.level.big(), m.level)
			}
		}
		leaps.advance(now)
		if leaps.level != steps.level || leaps.beats != steps.beats {
			t.Fatalf("%+v: %v in leaps, %v in steps", ps, leaps.level, steps.level)
		}
	}
}

func TestExcludeAndHold(t *testing.T) {
	t.Parallel()
	p := &pool{params: params{100, 100, 10, 1}}
	p.start(epoch)
	p.exclude(3*time.Second, epoch.Add(5*time.Second))
	if p.advance(epoch.Add(5 * time.Second)); p.level != units(80) {
		t.Errorf("3 of 5 s left out: health %d", p.level.roundUp())
	}
	p.exclude(time.Hour, epoch.Add(6*time.Second))
	if p.advance(epoch.Add(6 * time.Second)); p.level != units(80) {
		t.Errorf("more left out than there was: health %d", p.level.roundUp())
	}
	p.hold = epoch.Add(8 * time.Second)
	if at, ok := p.emptyAt(); !ok || at != epoch.Add(16*time.Second) {
		t.Errorf("empty at %v, %v", at, ok)
	}
	if p.advance(epoch.Add(9 * time.Second)); p.level != units(70) {
		t.Errorf("2 of 3 s held: health %d", p.level.roundUp())
	}
	p.empty(epoch.Add(9 * time.Second))
	if p.level.roundUp() != 0 {
		t.Errorf("emptied: health %d", p.level.roundUp())
	}
}

// TestExcludeEndOfHold has a hold end within the time that is left out.
func TestExcludeEndOfHold(t *testing.T) {
	t.Parallel()
	p := &pool{params: params{100, 100, 10, 1}}
	p.start(epoch)
	p.hold = epoch.Add(5 * time.Second)
	p.exclude(8*time.Second, epoch.Add(10*time.Second))
	if p.advance(epoch.Add(10 * time.Second)); p.level != units(100) {
		t.Errorf("2 s held, 8 s left out: health %d", p.level.roundUp())
	}
}
