package health

import (
	"math"
	"math/bits"
	"time"
)

// billion is how many billionths make one unit of health: a rate per second times
// nanoseconds gives billionths, exactly.
const billion = 1_000_000_000

// A level is an amount of health in billionths. It has 128 bits, so that the product of
// a parameter (63 bits) and a duration fits.
type level struct{ hi, lo uint64 }

// units returns n whole units; n is not negative.
func units(n int64) level { return times(n, billion) }

// times returns a × b; neither is negative.
func times(a, b int64) level {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return level{hi, lo}
}

func (l level) less(m level) bool { return l.hi < m.hi || l.hi == m.hi && l.lo < m.lo }

func (l level) isZero() bool { return l == level{} }

func (l level) plus(m level) level {
	lo, carry := bits.Add64(l.lo, m.lo, 0)
	hi, _ := bits.Add64(l.hi, m.hi, carry)
	return level{hi, lo}
}

// minus returns l − m, but 0 at the least.
func (l level) minus(m level) level {
	if l.less(m) {
		return level{}
	}
	lo, borrow := bits.Sub64(l.lo, m.lo, 0)
	hi, _ := bits.Sub64(l.hi, m.hi, borrow)
	return level{hi, lo}
}

// roundUp returns the level in whole units, rounded up: 0 only for an empty level.
func (l level) roundUp() int64 { return int64(l.over(billion)) }

// lasts returns how long the level lasts at rate units a second, at most the longest
// Duration.
func (l level) lasts(rate int64) time.Duration {
	if rate == 0 {
		return math.MaxInt64
	}
	return time.Duration(min(l.over(uint64(rate)), math.MaxInt64))
}

// over returns l / n, rounded up, and at most the largest uint64.
func (l level) over(n uint64) uint64 {
	if l.hi >= n {
		return math.MaxUint64
	}
	quotient, rest := bits.Div64(l.hi, l.lo, n)
	if rest > 0 && quotient < math.MaxUint64 {
		quotient++
	}
	return quotient
}
