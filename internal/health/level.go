package health

import (
	"math"
	"math/bits"
	"time"
)

// billion is what one unit of health is made of: a rate per second times
// nanoseconds gives billionths, exactly.
const billion = 1_000_000_000

// A level is an amount of health in billionths, of 128 bits, so that no
// parameter of 63 bits and no duration can overflow it.
type level struct{ hi, lo uint64 }

// units is n whole units; n is not negative.
func units(n int64) level { return times(n, billion) }

// times is a × b; neither is negative.
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

// minus is l − m, and nothing where that would be less.
func (l level) minus(m level) level {
	if l.less(m) {
		return level{}
	}
	lo, borrow := bits.Sub64(l.lo, m.lo, 0)
	hi, _ := bits.Sub64(l.hi, m.hi, borrow)
	return level{hi, lo}
}

// roundUp is the level in whole units: 0 for nothing, and only for that.
func (l level) roundUp() int64 { return int64(l.over(billion)) }

// lasts is how long the level takes to be used up at rate units a second; very
// long is the longest Duration.
func (l level) lasts(rate int64) time.Duration {
	if rate == 0 {
		return math.MaxInt64
	}
	return time.Duration(min(l.over(uint64(rate)), math.MaxInt64))
}

// over is l / n, rounded up, and at most the largest uint64.
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
