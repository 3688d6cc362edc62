package main

import (
	"fmt"
	"strings"
)

// A row is one line of the table: a figure, the anchor that it is compared with, and its goal.
type row struct {
	group                              string // for -only
	figure, value, anchor, ratio, goal string
	used                               float64 // share of the goal's limit: 1 or less is met
	curve                              *curve  // nil: a point only
}

// figure returns a row with a value only.
func figure(name, value string) row { return row{figure: name, value: value} }

// against adds an anchor. got is the row's value as a number, base the anchor's.
func (r row) against(anchor string, got, base float64) row {
	r.anchor, r.ratio = anchor, fmt.Sprintf("%.2f", got/base)
	return r
}

// atMost adds a goal that is met if got is limit or less.
func (r row) atMost(goal string, got, limit float64) row {
	r.goal, r.used = goal, got/limit
	return r
}

// atLeast adds a goal that is met if got is limit or more.
func (r row) atLeast(goal string, got, limit float64) row {
	r.goal, r.used = goal, limit/got
	return r
}

// drawn adds the curve that the row summarises.
func (r row) drawn(c *curve) row {
	r.curve = c
	return r
}

func (r row) met() bool { return r.used <= 1 }

// table renders rows in Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| figure | value | anchor | ratio | goal | met | -only |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		met := "yes"
		switch {
		case r.goal == "":
			met = ""
		case !r.met():
			met = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.figure, r.value, r.anchor, r.ratio, r.goal, met, r.group)
	}
	return b.String()
}

// plot draws the used share of each goal as an SVG, readable on light and dark pages.
func plot(rows []row) string {
	const (
		left, width, line = 430, 300, 22 // pixels; the goal is at left+width
		longest           = 2.0          // larger shares are cut off
	)
	var b strings.Builder
	y := 50
	for _, r := range rows {
		if r.goal == "" {
			continue
		}
		class := "met"
		if !r.met() {
			class = "missed"
		}
		length := int(min(r.used, longest) * width)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y, escape(r.figure))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%d" height="14"/>`, class, left, y-11, max(length, 1))
		fmt.Fprintf(&b, `<text x="%d" y="%d">%.2f</text>`+"\n", left+length+6, y, r.used)
		y += line
	}
	goal := left + width
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1080 %d" font-family="sans-serif" font-size="13">
<style>
text { fill: #24292f } .met { fill: #2f7d4f } .missed { fill: #c2571a } .goal { stroke: #24292f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .met { fill: #56b37f } .missed { fill: #f0883e } .goal { stroke: #e6edf3 } }
</style>
<text x="%d" y="22" text-anchor="middle">the goal</text><line class="goal" x1="%d" y1="28" x2="%d" y2="%d" stroke-dasharray="4 3"/>
%s<text x="%d" y="%d">How much of what each goal allows is used: shorter is better.</text>
</svg>
`, y+20, goal, goal, goal, y-14, b.String(), left, y+8)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
