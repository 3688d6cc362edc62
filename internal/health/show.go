package health

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
)

// WriteJSON writes the one document that jettison_health prints when it could
// read: {"data": {"<service>:<category>": {…}}}, with the pools sorted.
func WriteJSON(w io.Writer, readings []Reading) error {
	sorted := make([]*Reading, len(readings))
	for i := range readings {
		sorted[i] = &readings[i]
	}
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].String() < sorted[j].String() })
	b := appendName(nil, "{\n  ", "data")
	open := "{\n    "
	for i, r := range sorted {
		// Two pairs can have one name; the last counts.
		if i+1 < len(sorted) && r.String() == sorted[i+1].String() {
			continue
		}
		b = r.appendJSON(appendName(b, open, r.String()))
		open = ",\n    "
	}
	end := "\n  }\n}\n"
	if len(sorted) == 0 {
		end = "{}\n}\n"
	}
	_, err := w.Write(append(b, end...))
	return err
}

// byName are the properties sorted by name, as indices.
var byName = [len(properties)]uint8{0, 1, 2, 6, 7, 3, 4, 5}

// appendJSON appends the pool as scripts read it; what Redis does not hold is not
// there.
func (r *Reading) appendJSON(b []byte) []byte {
	const next = ",\n      "
	open := "{\n      "
	for i, property := range properties {
		if r.has[i] {
			b = strconv.AppendInt(appendName(b, open, property), r.values[i], 10)
			open = next
		}
	}
	b = strconv.AppendBool(appendName(b, open, "exists"), r.Exists())
	if missing := r.missing(); len(missing) > 0 {
		b = appendList(appendName(b, next, "missing_keys"), next[1:], missing)
	}
	if len(r.invalid) > 0 {
		b = appendName(b, next, "invalid_keys")
		open = "{\n        "
		for _, i := range byName {
			if text, ok := r.invalid[properties[i]]; ok {
				b = jsontext.AppendText(appendName(b, open, properties[i]), "", text)
				open = ",\n        "
			}
		}
		b = append(b, "\n      }"...)
	}
	return append(b, "\n    }"...)
}

// WriteFailure writes the document that it prints when it could not. args are the
// pairs that were asked for.
func WriteFailure(w io.Writer, what, details string, args []string) error {
	b := jsontext.AppendText(nil, "{\n  \"error\": ", what)
	b = jsontext.AppendText(b, ",\n  \"details\": ", details)
	b = appendList(appendName(b, ",\n  ", "args"), "\n  ", args)
	_, err := w.Write(append(b, "\n}\n"...))
	return err
}

// appendName appends what stands before a member, and its name.
func appendName(b []byte, before, name string) []byte {
	return append(jsontext.AppendText(b, before, name), ": "...)
}

// appendList appends strings, one a line; end is what begins the list's last line.
func appendList(b []byte, end string, list []string) []byte {
	if len(list) == 0 {
		return append(b, "[]"...)
	}
	open := "[" + end + "  "
	for _, text := range list {
		b = jsontext.AppendText(b, open, text)
		open = "," + end + "  "
	}
	return append(append(b, end...), ']')
}

// WriteTable writes a line for each pool, for people. Columns are as wide as the
// widest cell and two blanks, counted in characters.
func WriteTable(w io.Writer, readings []Reading) error {
	const columns = 9
	cells := []string{"POOL", "HEALTH", "CAP", "%", "STATE", "BEATS", "DEPLETION/s", "REPLENISH/beat", "INIT"}
	for i := range readings {
		r := &readings[i]
		percent := "-"
		if r.has[healthProperty] && r.has[1] && r.values[1] > 0 {
			percent = strconv.FormatFloat(100*float64(r.values[healthProperty])/float64(r.values[1]), 'f', 0, 64)
		}
		cells = append(cells, shown(r.Pair), r.cell(7), r.cell(1), percent, r.state(), r.cell(0), r.cell(2), r.cell(4), r.cell(3))
	}
	var widths [columns]int
	for i, text := range cells {
		widths[i%columns] = max(widths[i%columns], utf8.RuneCountInString(text)+2)
	}
	var b []byte
	for i, text := range cells {
		b = append(b, text...)
		if i%columns == columns-1 {
			b = append(b, '\n')
			continue
		}
		for n := utf8.RuneCountInString(text); n < widths[i%columns]; n++ {
			b = append(b, ' ')
		}
	}
	_, err := w.Write(b)
	return err
}

// cell is what the table says of a property.
func (r *Reading) cell(property int) string {
	if text, ok := r.invalid[properties[property]]; ok {
		return strconv.Quote(text)
	}
	if !r.has[property] {
		return "-"
	}
	return strconv.FormatInt(r.values[property], 10)
}

// shown is a pool's name, quoted if it has something in it that is not shown
// as it is, or spoils a terminal: anybody who can write to Redis can name a pool.
func shown(p Pair) string {
	name := p.String()
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// state says in a word or two how the pool's app is.
func (r *Reading) state() string {
	const running, exit = 5, 6
	switch {
	case r.has == [len(properties)]bool{} && r.invalid == nil:
		return "no such pool"
	case !r.has[running]:
		return "unknown"
	case r.values[running] == 0 && r.has[exit]:
		return "ended, exit " + strconv.FormatInt(r.values[exit], 10)
	case r.values[running] == 0:
		return "ended"
	case !r.has[healthProperty]:
		return "nobody keeps it" // its lease has run out
	case r.values[healthProperty] == 0:
		return "dead"
	default:
		return "alive"
	}
}

// metrics are the Prometheus metrics, one for each property and one for Exists.
var metrics = []struct{ name, kind, help string }{
	{"beats_total", "counter", "Heartbeats counted in this run of the app."},
	{"cap", "gauge", "The most health that heartbeats can give."},
	{"depletion_rate", "gauge", "Health lost per second."},
	{"init", "gauge", "Health at the start of a run."},
	{"replenish_rate", "gauge", "Health won per heartbeat."},
	{"running", "gauge", "1 while the app runs, 0 after it has ended."},
	{"exit", "gauge", "Exit status of the app, 128+N for a signal; 0 while it runs."},
	{"health", "gauge", "Health that is left; 0 means dead."},
	{"exists", "gauge", "1 if every key of the pool is in Redis and holds an integer."},
}

// WritePrometheus writes the pools in Prometheus's text format (version 0.0.4).
// A value that is missing or no integer has no sample.
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
			fmt.Fprintf(&b, "%s{category=\"%s\",service=\"%s\"} %d\n", name, label(r.Category), label(r.Service), value)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// label is a label's value, which has to be UTF-8.
func label(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), `\`, `\\`)
	return strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), "\n", `\n`)
}
