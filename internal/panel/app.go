package panel

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// Bounds of what is kept of one app.
const (
	maxCrashes = 100    // reports that are known, the newest
	maxEvents  = 200    // marks on the time axis
	maxPools   = 32     // pools
	maxValues  = 10_000 // names of values
	maxText    = 200    // bytes of a headline
)

// An app is what is known of one name on one board. Its board's lock guards it.
type app struct {
	name    string
	pools   map[string]*pool
	runs    []fleet.Run  // by instance
	newest  fleet.Newest // run
	leased  bool         // a lease has been seen since the newest run marker
	mark    mark
	values  []string // names, sorted
	crashes []Crash  // the oldest first
	events  []Event  // the oldest first

	seen   [logstream.Count]entry.ID
	behind bool // the crashes of before the panel's start are still to be read
	counts int  // entries of :info to ask for at once, so that an answer stays small

	tallies     map[string]*tally // by instance
	counted     bool              // all runs count, so the rates are of the tallies
	rate, wrong float32           // lines and errors a second
	estimated   bool              // the rates are no counts
	lines       ring
	errors      ring
}

// A mark is the newest run marker.
type mark struct {
	known bool
	run   string // the time in it
	at    time.Time
}

// A pool is a health pool with its history, the health as a share of the cap.
type pool struct {
	health.Reading
	history ring
}

// share is the health as a share of the cap, from 0 to 1, or NaN.
func (p *pool) share() float32 {
	h, ok := p.Get("health")
	c, _ := p.Get("cap")
	if !ok || c <= 0 {
		return unknown
	}
	return min(max(float32(h)/float32(c), 0), 1)
}

// An Event is a mark on the time axis.
type Event struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // start, end or crash
	Text string    `json:"text"`
	ID   string    `json:"id,omitempty"` // of the crash

	run string // that began
}

// A Crash is a report without its text.
type Crash struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Signature string    `json:"signature"` // the entry's own, or "~" and the group that the headline makes
	Headline  string    `json:"headline"`
	Where     string    `json:"where,omitempty"` // the first frame
	Kind      string    `json:"kind"`
	Signal    string    `json:"signal,omitempty"`
	Run       string    `json:"run,omitempty"`
	PID       string    `json:"pid,omitempty"`

	id entry.ID
}

var (
	runMarker = regexp.MustCompile(`^\{\{__(NEW|END)_RUN_(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)(?:_exit_(\d+))?\}\}$`)
	firstOf   = regexp.MustCompile(`(?m)^#0 .*$`)
	volatile  = regexp.MustCompile(`0x[0-9a-fA-F]+|\([^)]*\)|\d+`)
)

// take notes what entries of a stream say.
func (a *app) take(entries []journal.Entry) {
	for i := range entries {
		e := &entries[i]
		a.seen[e.Stream] = e.ID
		switch e.Stream {
		case logstream.Status:
			a.newest.Add(rueidis.XRangeEntry{ID: e.ID.String(), FieldValues: fieldsOf(e)})
			a.marker(e)
		case logstream.Crash:
			a.crash(e)
		}
	}
}

func fieldsOf(e *journal.Entry) map[string]string {
	fields := map[string]string{"message": string(e.Message)}
	for i := 0; i+1 < len(e.Fields); i += 2 {
		fields[e.Fields[i]] = e.Fields[i+1]
	}
	return fields
}

func (a *app) marker(e *journal.Entry) {
	m := runMarker.FindSubmatch(e.Message)
	if m == nil {
		return
	}
	a.mark = mark{known: true, run: string(m[2]), at: e.Time()}
	event := Event{Time: e.Time(), Kind: "start", Text: "run began", run: a.mark.run}
	if string(m[1]) == "END" {
		event = Event{Time: e.Time(), Kind: "end", Text: "run ended, exit " + string(m[3])}
	}
	a.leased = false
	a.event(event)
}

func (a *app) event(e Event) {
	i, _ := slices.BinarySearchFunc(a.events, e, func(x, y Event) int { return x.Time.Compare(y.Time) })
	a.events = slices.Insert(a.events, i, e)
	a.events = a.events[max(0, len(a.events)-maxEvents):]
}

func (a *app) crash(e *journal.Entry) {
	c := crashOf(e)
	i, known := slices.BinarySearchFunc(a.crashes, c, func(x, y Crash) int {
		return compareIDs(x.id, y.id)
	})
	if known {
		return
	}
	a.crashes = slices.Insert(a.crashes, i, c)
	a.crashes = a.crashes[max(0, len(a.crashes)-maxCrashes):]
	a.event(Event{Time: c.Time, Kind: "crash", Text: c.Headline, ID: c.ID})
}

func compareIDs(x, y entry.ID) int { return cmp.Or(cmp.Compare(x.Ms, y.Ms), cmp.Compare(x.Seq, y.Seq)) }

// crashOf is what a list of crashes shows of an entry.
func crashOf(e *journal.Entry) Crash {
	c := Crash{ID: e.ID.String(), Time: e.Time(), id: e.ID}
	for i := 0; i+1 < len(e.Fields); i += 2 {
		v := short(e.Fields[i+1])
		switch e.Fields[i] {
		case "kind":
			c.Kind = v
		case "signal":
			c.Signal = v
		case "run":
			c.Run = v
		case "pid":
			c.PID = v
		case "signature":
			c.Signature = v
		}
	}
	text := string(e.Message[:min(len(e.Message), 64<<10)])
	head, _, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	c.Headline = short(head)
	c.Where = short(strings.TrimSpace(strings.TrimPrefix(firstOf.FindString(text), "#0")))
	if c.Signature == "" {
		c.Signature = "~" + cut(volatile.ReplaceAllString(c.Headline+" "+c.Where, ""), maxText)
	}
	return c
}

// short is the beginning of a text, as it is shown: a copy, which does not keep the rest in
// memory.
func short(text string) string { return cut(visible(strings.Clone(cut(text, maxText))), maxText) }

// cut is the first n bytes of a text, with whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
