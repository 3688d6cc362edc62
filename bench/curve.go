package main

import (
	"fmt"
	"math"
	"strings"
)

// A curve is a plot of one or more figures over x, with logarithmic axes.
type curve struct {
	file, title  string
	xName, yName string
	x            []float64
	lines        []series
}

type series struct {
	name string
	y    []float64 // NaN: not measured at this x
}

// growth names how y grows with x, from the slope of the line that fits their logarithms best.
func growth(x, y []float64) string {
	var sx, sy, sxx, sxy float64
	var n float64
	for i := range x {
		if math.IsNaN(y[i]) {
			continue
		}
		n++
		a, b := math.Log(x[i]), math.Log(y[i])
		sx, sy, sxx, sxy = sx+a, sy+b, sxx+a*a, sxy+a*b
	}
	switch slope := (n*sxy - sx*sy) / (n*sxx - sx*sx); {
	case math.Abs(slope) < 0.15:
		return "flat"
	case slope < 0:
		return "falling"
	case slope < 0.85:
		return "less than linear"
	case slope <= 1.15:
		return "linear"
	default:
		return "more than linear"
	}
}

// table returns the curve's points in Markdown.
func (c *curve) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, %s\n\n| %s |", c.title, c.yName, c.xName)
	for _, l := range c.lines {
		fmt.Fprintf(&b, " %s |", l.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(c.lines)) + "\n")
	for i, x := range c.x {
		fmt.Fprintf(&b, "| %s |", thousands(x))
		for _, l := range c.lines {
			if math.IsNaN(l.y[i]) {
				b.WriteString(" – |")
				continue
			}
			if l.y[i] >= 1000 {
				fmt.Fprintf(&b, " %s |", thousands(l.y[i]))
				continue
			}
			fmt.Fprintf(&b, " %.3g |", l.y[i])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// svg draws the curve, readable on light and dark pages.
func (c *curve) svg() string {
	const left, top, width, height, space = 80.0, 50.0, 620.0, 340.0, 200.0 // pixels
	lowest, most := math.Inf(1), 0.0
	for _, l := range c.lines {
		for _, y := range l.y {
			if !math.IsNaN(y) {
				lowest, most = min(lowest, y), max(most, y)
			}
		}
	}
	fromX, toX := decade(c.x[0], math.Floor), decade(c.x[len(c.x)-1], math.Ceil)
	fromY, toY := decade(lowest, math.Floor), decade(most, math.Ceil)
	px := func(x float64) float64 { return left + width*(math.Log10(x)-fromX)/(toX-fromX) }
	py := func(y float64) float64 { return top + height*(1-(math.Log10(y)-fromY)/(toY-fromY)) }
	var b strings.Builder
	for e := fromX; e <= toX; e++ {
		x := px(math.Pow(10, e))
		fmt.Fprintf(&b, `<line class="grid" x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f"/><text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n",
			x, top, x, top+height, x, top+height+18, power(e))
	}
	for e := fromY; e <= toY; e++ {
		y := py(math.Pow(10, e))
		fmt.Fprintf(&b, `<line class="grid" x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f"/><text x="%.0f" y="%.0f" text-anchor="end">%s</text>`+"\n",
			left, y, left+width, y, left-6, y+4, power(e))
	}
	for i, l := range c.lines {
		var points strings.Builder
		for j, y := range l.y {
			if !math.IsNaN(y) {
				fmt.Fprintf(&points, "%.1f,%.1f ", px(c.x[j]), py(y))
			}
		}
		key := top + 10 + 22*float64(i)
		fmt.Fprintf(&b, `<polyline class="line l%d" points="%s"/><line class="line l%d" x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f"/><text x="%.0f" y="%.0f">%s</text>`+"\n",
			i, strings.TrimSpace(points.String()), i, left+width+16, key-4, left+width+40, key-4, left+width+46, key, escape(l.name))
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="13">
<style>
text { fill: #24292f } .grid { stroke: #8884 } .line { fill: none; stroke-width: 2 }
.l0 { stroke: #2f7d4f } .l1 { stroke: #2f7d4f; stroke-dasharray: 6 4 } .l2 { stroke: #c2571a } .l3 { stroke: #c2571a; stroke-dasharray: 6 4 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .l0, .l1 { stroke: #56b37f } .l2, .l3 { stroke: #f0883e } }
</style>
<text x="%.0f" y="24" font-size="15">%s</text><text x="%.0f" y="42">%s</text><text x="%.0f" y="%.0f" text-anchor="middle">%s</text>
%s</svg>
`, left+width+space, top+height+50, left, escape(c.title), left, escape(c.yName), left+width/2, top+height+40, escape(c.xName), b.String())
}

// decade returns the exponent of v to base ten, rounded.
func decade(v float64, round func(float64) float64) float64 { return round(math.Log10(v)) }

// power formats ten to the e.
func power(e float64) string {
	if e < 0 {
		return fmt.Sprintf("%.*f", int(-e), math.Pow(10, e))
	}
	return thousands(math.Pow(10, e))
}
