package health

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
)

// A document is a pool as scripts read it; a property that Redis lacks is left out.
type document struct {
	Beats         *int64            `json:"beats,omitempty"`
	Cap           *int64            `json:"cap,omitempty"`
	DepletionRate *int64            `json:"depletion_rate,omitempty"`
	Init          *int64            `json:"init,omitempty"`
	ReplenishRate *int64            `json:"replenish_rate,omitempty"`
	Running       *int64            `json:"running,omitempty"`
	Exit          *int64            `json:"exit,omitempty"`
	Health        *int64            `json:"health,omitempty"`
	Exists        bool              `json:"exists"`
	Missing       []string          `json:"missing_keys,omitempty"`
	Invalid       map[string]string `json:"invalid_keys,omitempty"`
}

func (r *Reading) document() document {
	d := document{Exists: r.Exists(), Missing: r.missing(), Invalid: r.invalid}
	for i, to := range [len(properties)]**int64{
		beatsProperty: &d.Beats, capProperty: &d.Cap, depletionProperty: &d.DepletionRate, initProperty: &d.Init,
		replenishProperty: &d.ReplenishRate, runningProperty: &d.Running, exitProperty: &d.Exit, healthProperty: &d.Health,
	} {
		if r.has[i] {
			*to = &r.values[i]
		}
	}
	return d
}

// WriteJSON writes the document of a successful read:
// {"data": {"<service>:<category>": {…}}}, with the pools sorted. Of two pairs with one
// name the last counts.
func WriteJSON(w io.Writer, readings []Reading) error {
	data := make(map[string]document, len(readings))
	for i := range readings {
		data[readings[i].String()] = readings[i].document()
	}
	return jsontext.WriteDocument(w, map[string]any{"data": data})
}

// WriteFailure writes the document of a failure. args are the pairs that were asked for.
func WriteFailure(w io.Writer, what, details string, args []string) error {
	return jsontext.WriteDocument(w, struct {
		Error   string   `json:"error"`
		Details string   `json:"details"`
		Args    []string `json:"args"`
	}{what, details, append([]string{}, args...)})
}

// WriteTable writes a line for each pool.
func WriteTable(w io.Writer, readings []Reading) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POOL\tHEALTH\tCAP\t%\tSTATE\tBEATS\tDEPLETION/s\tREPLENISH/beat\tINIT")
	for i := range readings {
		r := &readings[i]
		percent := "-"
		if r.has[healthProperty] && r.has[capProperty] && r.values[capProperty] > 0 {
			percent = strconv.FormatFloat(100*float64(r.values[healthProperty])/float64(r.values[capProperty]), 'f', 0, 64)
		}
		fmt.Fprintln(table, strings.Join([]string{
			shown(r.Pair), r.cell(healthProperty), r.cell(capProperty), percent, r.state(), r.cell(beatsProperty),
			r.cell(depletionProperty), r.cell(replenishProperty), r.cell(initProperty),
		}, "\t"))
	}
	return table.Flush()
}

// cell returns the table's text for a property.
func (r *Reading) cell(property int) string {
	if text, ok := r.invalid[properties[property]]; ok {
		return strconv.Quote(text)
	}
	if !r.has[property] {
		return "-"
	}
	return strconv.FormatInt(r.values[property], 10)
}

// shown returns a pool's name, quoted if it has characters that need escaping or would
// control a terminal: every writer of this Redis can name a pool.
func shown(p Pair) string {
	name := p.String()
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// state returns the state of the pool's app in a word or two.
func (r *Reading) state() string {
	switch {
	case r.has == [len(properties)]bool{} && r.invalid == nil:
		return "no such pool"
	case !r.has[runningProperty]:
		return "unknown"
	case r.values[runningProperty] == 0 && r.has[exitProperty]:
		return "ended, exit " + strconv.FormatInt(r.values[exitProperty], 10)
	case r.values[runningProperty] == 0:
		return "ended"
	case !r.has[healthProperty]:
		return "lease is gone"
	case r.values[healthProperty] == 0:
		return "dead"
	default:
		return "alive"
	}
}

// metrics are the Prometheus metrics, one for each property and one for Exists.
var metrics = [...]struct{ name, kind, help string }{
	beatsProperty:     {"beats_total", "counter", "Heartbeats counted in this run of the app."},
	capProperty:       {"cap", "gauge", "The most health that heartbeats can give."},
	depletionProperty: {"depletion_rate", "gauge", "Health lost per second."},
	initProperty:      {"init", "gauge", "Health at the start of a run."},
	replenishProperty: {"replenish_rate", "gauge", "Health won per heartbeat."},
	runningProperty:   {"running", "gauge", "1 while the app runs, 0 after it has ended."},
	exitProperty:      {"exit", "gauge", "Exit status of the app, 128+N for a signal; 0 while it runs."},
	healthProperty:    {"health", "gauge", "Health that is left; 0 means dead."},
	len(properties):   {"exists", "gauge", "1 if every key of the pool is in Redis and holds an integer."},
}

// WritePrometheus writes the pools in Prometheus's text format (version 0.0.4).
// A missing value, or one that is no integer, has no sample.
func WritePrometheus(w io.Writer, readings []Reading) error {
	var b strings.Builder
	for i, m := range metrics {
		name := "jettison_health_pool_" + m.name
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, m.help, name, m.kind)
		for j := range readings {
			r := &readings[j]
			var value int64
			if i < len(properties) {
				if !r.has[i] {
					continue
				}
				value = r.values[i]
			} else if r.Exists() {
				value = 1
			}
			fmt.Fprintf(&b, "%s{category=\"%s\",service=\"%s\"} %d\n", name, Label(r.Category), Label(r.Service), value)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Label escapes the value of a Prometheus label, which has to be UTF-8.
func Label(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), `\`, `\\`)
	return strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), "\n", `\n`)
}
