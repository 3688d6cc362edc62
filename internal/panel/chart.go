package panel

import (
	"strconv"
	"strings"
	"time"
)

// A lane is one row of an app's chart: a curve over the last hour, and the events on the same
// axis. Its SVG is 1000 wide and 100 high, and stretches to the page.
type lane struct {
	Name, Unit string
	Now        string
	Top        string // value at the upper edge
	Class      string
	Line, Area string // paths
	Marks      []chartMark
}

// A chartMark is an event at X.
type chartMark struct {
	X    int
	Kind string
	Text string
	Time time.Time
}

// lanes returns the chart of an app.
func (v *AppView) lanes() []lane {
	var marks []chartMark
	for _, e := range v.events {
		if age := v.now.Sub(e.Time); age >= 0 && age < span*time.Second {
			marks = append(marks, chartMark{1000 - int(age.Milliseconds()/span), e.Kind, e.Text, e.Time})
		}
	}
	var all []lane
	for i := range v.Pools {
		p := &v.Pools[i]
		now := p.State
		if p.Percent != nil {
			now = strconv.Itoa(*p.Percent) + " %"
		}
		class := "pool"
		if p.State == "dead" || p.State == "gone" {
			class += " bad"
		}
		all = append(all, lane{
			Name: p.Category, Unit: "pool", Now: now, Top: "100 %", Class: class, Marks: marks,
			Line: curve(p.history, 1, 1000, 100, false), Area: curve(p.history, 1, 1000, 100, true),
		})
	}
	for _, rate := range []struct {
		name, class string
		now         float32
		values      []float32
	}{{"lines", "rate", v.Lines, v.lines}, {"errors", "rate bad", v.Errors, v.errors}} {
		top := float32(1)
		for _, n := range rate.values {
			if !isUnknown(n) {
				top = max(top, n)
			}
		}
		all = append(all, lane{
			Name: rate.name, Unit: "a second", Now: number(rate.now), Top: number(top), Class: rate.class, Marks: marks,
			Line: curve(rate.values, top, 1000, 100, false), Area: curve(rate.values, top, 1000, 100, true),
		})
	}
	return all
}

// curve returns an SVG path through values from 0 to top, in a box of w by h, with gaps for
// unknown values. If closed, it is the outline of the area below.
func curve(values []float32, top float32, w, h int, closed bool) string {
	var b strings.Builder
	point := func(command byte, x, y float64) {
		b.WriteByte(command)
		b.WriteString(strconv.FormatFloat(x, 'f', 1, 64))
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(y, 'f', 1, 64))
	}
	step := float64(w) / float64(len(values))
	inside := false
	for i, v := range values {
		x := (float64(i) + .5) * step
		if isUnknown(v) {
			if inside && closed {
				point('L', x-step/2, float64(h))
				b.WriteByte('Z')
			}
			inside = false
			continue
		}
		y := float64(h) * (1 - float64(v/top))
		switch {
		case inside:
			point('L', x, y)
		case closed:
			point('M', x-step/2, float64(h))
			point('L', x-step/2, y)
			point('L', x, y)
		default:
			point('M', x-step/2, y)
			point('L', x, y)
		}
		inside = true
	}
	if inside && closed {
		point('L', float64(w), float64(h))
		b.WriteByte('Z')
	}
	return b.String()
}

// number returns a rate for people: three digits or so.
func number(v float32) string {
	switch {
	case isUnknown(v):
		return "–"
	case v == 0:
		return "0"
	case v < 10:
		return strings.TrimSuffix(strconv.FormatFloat(float64(v), 'f', 1, 32), ".0")
	case v < 10_000:
		return strconv.Itoa(int(v + .5))
	}
	return strconv.Itoa(int(v/1000+.5)) + " k"
}
