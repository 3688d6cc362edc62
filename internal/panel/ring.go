package panel

import "math"

// span is the length of the history, in seconds.
const span = 3600

// A ring holds a value for each second of the last hour: 14,400 bytes. An unknown value is
// NaN. In the zero ring all values are unknown.
type ring struct {
	newest int64 // Unix time of the newest value, in seconds; 0: empty
	values []float32
}

// put sets the value of a second; skipped seconds become unknown.
func (r *ring) put(second int64, value float32) {
	if r.values == nil {
		r.values = make([]float32, span)
		for i := range r.values {
			r.values[i] = unknown
		}
	}
	if second < r.newest-span {
		return
	}
	for s := max(r.newest+1, second-span); s < second; s++ {
		r.values[s%span] = unknown
	}
	r.values[second%span] = value
	r.newest = max(r.newest, second)
}

// window returns n values for the seconds up to now, the oldest first. Each joins the known
// values of its share of the seconds, and is NaN if there are none.
func (r *ring) window(now int64, seconds, n int, join func(a, b float32) float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = unknown
	}
	if r.values == nil {
		return out
	}
	first := now - int64(seconds) + 1
	for s := max(first, r.newest-span+1); s <= min(now, r.newest); s++ {
		i, v := int(s-first)*n/seconds, r.values[s%span]
		switch {
		case isUnknown(v):
		case isUnknown(out[i]):
			out[i] = v
		default:
			out[i] = join(out[i], v)
		}
	}
	return out
}

var unknown = float32(math.NaN())

func isUnknown(v float32) bool { return v != v }

func lower(a, b float32) float32  { return min(a, b) }
func higher(a, b float32) float32 { return max(a, b) }
