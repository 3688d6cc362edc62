package journal

import (
	"bytes"
	"slices"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Span is the place of one run in the streams of an app.
type Span struct {
	From entry.ID // ID of the run's first entry
	To   entry.ID // ID of the next run's first entry; zero: no run follows
}

// LastRun, as an argument of FindRun and Run, is the newest run.
const LastRun = "last"

// FindRun returns the Span of one run of each app that has it: the run whose first marker has the
// stamp run, or the newest one (LastRun). It finds runs by :status, since :info may have lost the
// marker and the app can forge it there. The entries are in the order of their IDs. If they
// include those of :info, the Span begins at the marker there, which comes first.
func FindRun(entries []Entry, run string) map[string]Span {
	spans := make(map[string]Span)
	info := make(map[string]*Entry) // the newest marker of a beginning on :info, by app
	for i := range entries {
		e := &entries[i]
		m, ok := entry.ParseRunMarker(e.Message)
		if !ok || !m.Begins {
			continue
		}
		if e.Stream == logstream.Info {
			info[e.App] = e
		}
		if e.Stream != logstream.Status {
			continue
		}
		begin := e.ID
		if first := info[e.App]; first != nil && bytes.Equal(first.Message, e.Message) {
			begin = first.ID
		}
		span, found := spans[e.App]
		switch {
		case run == LastRun || !found && m.Stamp == run:
			spans[e.App] = Span{From: begin}
		case found && span.To == (entry.ID{}):
			span.To = begin
			spans[e.App] = span
		}
	}
	return spans
}

// Run returns those of the entries that belong to one run of each app; see FindRun.
func Run(entries []Entry, run string) []Entry {
	spans := FindRun(entries, run)
	return slices.DeleteFunc(entries, func(e Entry) bool {
		span, ok := spans[e.App]
		return !ok || e.ID.Less(span.From) || span.To != entry.ID{} && !e.ID.Less(span.To)
	})
}
