package panel

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// Bounds of one app.
const (
	maxCrashes = 100    // newest reports
	maxEvents  = 200    // events on the time axis
	maxPools   = 32     // pools
	maxValues  = 10_000 // names of values
	maxText    = 200    // bytes of a headline
)

// An app is the panel's state of one app of one board. Its board's lock guards it.
type app struct {
	name      string
	pools     map[string]*pool
	instances []fleet.Instance
	newest    fleet.Newest // newest: the newest run
	leased    bool         // leased: a lease was seen since the newest run marker
	mark      mark
	values    []string // values: names, sorted
	crashes   []Crash  // crashes: oldest first
	events    []Event  // events: oldest first

	seen   [logstream.Count]entry.ID // seen: last entry read of each stream
	behind bool                      // behind: the older reports are still to be read
	counts int                       // counts: entries of :info to ask for at once

	tallies     map[string]*tally // tallies: by instance
	counted     bool              // counted: all instances count, so the rates come from the tallies
	rate, wrong float32           // rate, wrong: lines and errors a second
	estimated   bool              // estimated: the rates are estimates of tip
	lines       ring
	errors      ring
}

// A mark is the newest run marker.
type mark struct {
	known bool
	run   string // run: the time in the marker
	at    time.Time
}

// A pool is a health pool with the history of its share.
type pool struct {
	health.Reading
	history ring
}

// share returns the health as a share of the cap, from 0 to 1, or NaN.
func (p *pool) share() float32 {
	h, ok := p.Get("health")
	c, _ := p.Get("cap")
	if !ok || c <= 0 {
		return unknown
	}
	return min(max(float32(h)/float32(c), 0), 1)
}

// An Event is a point on the time axis.
type Event struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // start, end or crash
	Text string    `json:"text"`
	ID   string    `json:"id,omitempty"` // of the crash

	run string // run: of a start, the time in the marker
}

// A Crash is a report without its text.
type Crash struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Signature string    `json:"signature"` // of the entry; without one "~" and the headline without numbers
	Headline  string    `json:"headline"`
	Where     string    `json:"where,omitempty"` // the first frame
	Kind      string    `json:"kind"`
	Signal    string    `json:"signal,omitempty"`
	Run       string    `json:"run,omitempty"`
	PID       string    `json:"pid,omitempty"`

	id entry.ID
}

var (
	firstOf  = regexp.MustCompile(`(?m)^#0 .*$`)
	volatile = regexp.MustCompile(`0x[0-9a-fA-F]+|\([^)]*\)|\d+`)
)

// addEntries updates the app from new entries of a stream.
func (a *app) addEntries(entries []journal.Entry) {
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
	m, ok := entry.ParseRunMarker(e.Message)
	if !ok {
		return
	}
	a.mark = mark{known: true, run: m.Stamp, at: e.Time()}
	event := Event{Time: e.Time(), Kind: "start", Text: "run began", run: a.mark.run}
	if !m.Begins {
		event = Event{Time: e.Time(), Kind: "end", Text: "run ended, exit " + strconv.Itoa(m.Exit)}
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

// crashOf returns the Crash that an entry reports.
func crashOf(e *journal.Entry) Crash {
	c := Crash{
		ID: e.ID.String(), Time: e.Time(), id: e.ID,
		Signature: short(e.Field("signature")),
		Kind:      short(e.Field("kind")),
		Signal:    short(e.Field("signal")),
		Run:       short(e.Field("run")),
		PID:       short(e.Field("pid")),
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

// short returns the beginning of a text, made visible: a copy, so that the rest does not stay
// in memory.
func short(text string) string { return cut(visible(strings.Clone(cut(text, maxText))), maxText) }

// cut returns the first n bytes of a text, in whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
