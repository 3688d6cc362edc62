package panel

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A report is a crash with its text, split into parts.
type report struct {
	Crash
	Board, App string
	Fields     [][2]string
	Head       []diffLine
	Parts      []part
	Cut        bool // Cut: text lacks the end

	text string // text: the whole report, visible
}

// A part is the text of a report below one "--- title ---".
type part struct {
	Title string
	Lines []diffLine
	Open  bool // shown unfolded
}

// A diffLine is a line of a report.
type diffLine struct {
	Text string
	Only bool // the report it is compared with lacks the line
}

// readReport reads one report.
func (b *board) readReport(ctx context.Context, app, id string) (*report, error) {
	at, err := entry.ParseID(id)
	if err != nil {
		return nil, errNoReport
	}
	var e *journal.Entry
	err = b.asks.do(ctx, func(ctx context.Context, logs, _ *redisconn.Client) (err error) {
		e, err = journal.Report(ctx, logs, app, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, errNoReport
	}
	r := &report{Crash: crashOf(e), Board: b.name, App: app}
	for i := 0; i+1 < len(e.Fields); i += 2 {
		r.Fields = append(r.Fields, [2]string{visible(e.Fields[i]), visible(cut(e.Fields[i+1], shownText))})
	}
	const most = 300 << 10 // wrapp writes 256 KiB at most
	r.text = visible(string(e.Message[:min(len(e.Message), most)]))
	r.Cut = len(e.Message) > most
	for line := range strings.Lines(r.text) {
		line = strings.TrimSuffix(line, "\n")
		title, isTitle := strings.CutPrefix(line, "--- ")
		title, closed := strings.CutSuffix(title, " ---")
		switch {
		case isTitle && closed:
			r.Parts = append(r.Parts, part{Title: title, Open: r.opens(title)})
		case len(r.Parts) > 0:
			p := &r.Parts[len(r.Parts)-1]
			p.Lines = append(p.Lines, diffLine{Text: line})
		default:
			r.Head = append(r.Head, diffLine{Text: line})
		}
	}
	return r, nil
}

// opens reports whether a part is shown unfolded: where the app was, and its last output.
func (r *report) opens(title string) bool {
	return r.Kind == "hang" && title == "all threads" ||
		strings.Contains(title, "backtrace") || strings.Contains(title, "traceback") || strings.Contains(title, "output")
}

var errNoReport = errors.New("there is no such report any more: the stream keeps the newest only")

// pointer matches addresses, which differ from run to run.
var pointer = regexp.MustCompile(`0x[0-9a-fA-F]+`)

// compare marks the lines that only one of two reports has, apart from addresses.
func compare(x, y *report) {
	bare := func(text string) string { return pointer.ReplaceAllString(text, "0x") }
	lines := func(r *report) map[string]bool {
		set := make(map[string]bool)
		r.each(func(l *diffLine) { set[bare(l.Text)] = true })
		return set
	}
	inX, inY := lines(x), lines(y)
	x.each(func(l *diffLine) { l.Only = !inY[bare(l.Text)] && strings.TrimSpace(l.Text) != "" })
	y.each(func(l *diffLine) { l.Only = !inX[bare(l.Text)] && strings.TrimSpace(l.Text) != "" })
}

func (r *report) each(f func(*diffLine)) {
	for i := range r.Head {
		f(&r.Head[i])
	}
	for i := range r.Parts {
		for j := range r.Parts[i].Lines {
			f(&r.Parts[i].Lines[j])
		}
	}
}

func (s *Server) crashPage(w http.ResponseWriter, r *http.Request) {
	b, view, ok := s.findApp(w, r, 1)
	if !ok {
		return
	}
	var both []*report
	for _, id := range []string{r.PathValue("id"), r.URL.Query().Get("with")} {
		if id == "" {
			continue
		}
		one, err := b.readReport(r.Context(), view.Name, id)
		if errors.Is(err, errNoReport) {
			s.problem(w, r, http.StatusNotFound, "Report "+visible(cut(id, 50))+": "+err.Error()+".")
			return
		}
		if err != nil {
			s.failed(w, r, b, err)
			return
		}
		both = append(both, one)
	}
	if len(both) == 2 {
		compare(both[0], both[1])
	}
	groups := s.groups(b.name, view.Name)
	s.show(w, r, http.StatusOK, "report", both[0].Headline, map[string]any{"App": view, "Reports": both, "Groups": groups})
}

func (s *Server) crashesPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.show(w, r, http.StatusOK, "crashes", "Crashes", map[string]any{"Groups": s.groups(q.Get("board"), q.Get("app")), "App": q.Get("app")})
}
