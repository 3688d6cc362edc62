package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Times and bounds of live views.
const (
	sendWithin  = 5 * time.Second       // a browser that reads more slowly is dropped
	linesEvery  = 50 * time.Millisecond // least time between two batches of lines
	linesAtOnce = 40                    // newest lines in a batch; older ones are only counted
	catchUp     = 2000                  // a browser that has missed more lines loads the page anew
	sparkPoints = 60
	chartPoints = 240
	chartEvery  = 5 // seconds
	shownValues = 500
)

// events writes server-sent events (HTML standard, chapter 9.2).
type events struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
	buf  bytes.Buffer
}

// stream begins server-sent events, or answers with an error. If ok, the caller must call
// done.
func (s *Server) stream(w http.ResponseWriter) (e *events, done func(), ok bool) {
	select {
	case s.viewers <- struct{}{}:
	default:
		http.Error(w, fmt.Sprintf("%d live views are open, and no more are allowed", maxViewers), http.StatusServiceUnavailable)
		return nil, nil, false
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	e = &events{w: w, ctrl: http.NewResponseController(w)}
	if e.ctrl.SetWriteDeadline(time.Now().Add(sendWithin)) != nil || e.write(": hello\n\n") != nil {
		<-s.viewers
		return nil, nil, false
	}
	return e, func() { <-s.viewers }, true
}

// send sends an event with data as JSON, which has no line ends.
func (e *events) send(name string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e.buf.Reset()
	e.buf.WriteString("event: " + name + "\ndata: ")
	e.buf.Write(body)
	e.buf.WriteString("\n\n")
	return e.write(e.buf.String())
}

func (e *events) write(text string) error {
	if err := e.ctrl.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.ctrl.Flush()
}

// An overview is the table of all apps as HTML, at one instant.
type overview struct {
	at    time.Time
	Top   template.HTML            // the summary and the boards
	Order []string                 // ids of the rows, in order
	Rows  map[string]template.HTML // by id
}

// readOverview returns the overview. It makes one each second, for all viewers.
func (s *Server) readOverview() (*overview, error) {
	s.overviewMu.Lock()
	defer s.overviewMu.Unlock()
	if s.lastOverview != nil && time.Since(s.lastOverview.at) < pollEvery*9/10 {
		return s.lastOverview, nil
	}
	apps := s.appViews(sparkPoints)
	o := &overview{at: time.Now(), Order: make([]string, 0, len(apps)), Rows: make(map[string]template.HTML, len(apps))}
	var b strings.Builder
	if err := s.pages.templates.ExecuteTemplate(&b, "top", summary(s.boardViews(), apps)); err != nil {
		return nil, err
	}
	o.Top = template.HTML(b.String())
	for i := range apps {
		b.Reset()
		row := struct {
			*AppView
			ManyBoards bool
		}{&apps[i], len(s.boards) > 1}
		if err := s.pages.templates.ExecuteTemplate(&b, "row", row); err != nil {
			return nil, err
		}
		id := apps[i].Board + "/" + apps[i].Name
		o.Order = append(o.Order, id)
		o.Rows[id] = template.HTML(b.String())
	}
	s.lastOverview = o
	return o, nil
}

// A topView is the part above the table.
type topView struct {
	Boards []BoardView
	Apps   int
	States []stateCount // the worst first
	Recent int          // crashes in the last hour
}

type stateCount struct {
	State
	Count int
}

func summary(boards []BoardView, apps []AppView) topView {
	top := topView{Boards: boards, Apps: len(apps)}
	for i := range apps { // sorted by state
		if n := len(top.States); n == 0 || top.States[n-1].State != apps[i].State {
			top.States = append(top.States, stateCount{apps[i].State, 0})
		}
		top.States[len(top.States)-1].Count++
		for _, e := range apps[i].events {
			if e.Kind == "crash" && time.Since(e.Time) < span*time.Second {
				top.Recent++
			}
		}
	}
	return top
}

func (s *Server) overviewPage(w http.ResponseWriter, r *http.Request) {
	o, err := s.readOverview()
	if err != nil {
		s.opts.Log.Error("the overview could not be made", "error", err)
		http.Error(w, "the overview could not be made; the panel's own log says why", http.StatusInternalServerError)
		return
	}
	s.show(w, r, http.StatusOK, "overview", "Overview", o)
}

// overviewLive sends the changed rows of the table.
func (s *Server) overviewLive(w http.ResponseWriter, r *http.Request) {
	e, done, ok := s.stream(w)
	if !ok {
		return
	}
	defer done()
	sent := new(overview)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		o, err := s.readOverview()
		if err != nil {
			return
		}
		changed := make(map[string]template.HTML)
		for id, row := range o.Rows {
			if sent.Rows[id] != row {
				changed[id] = row
			}
		}
		if e.send("table", map[string]any{"top": o.Top, "order": o.Order, "rows": changed}) != nil {
			return
		}
		sent = o
		if !s.pause(r.Context(), tick.C) {
			return
		}
	}
}

// pause waits for the next tick; it returns false if the view ends.
func (s *Server) pause(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.ending.Done():
		return false
	case <-tick:
		return true
	}
}

// An appHead is the part of an app's page above its log: the template "head".
type appHead struct {
	*AppView
	Lanes  []lane
	Values [][2]string
	More   int // values that are not shown
	Groups []Group
}

func (s *Server) readHead(ctx context.Context, b *board, name string) (*appHead, bool) {
	view, ok := s.appView(b, name, chartPoints)
	if !ok {
		return nil, false
	}
	head := &appHead{AppView: &view, Lanes: view.lanes(), Groups: s.groups(b.name, name)}
	values, more, err := b.readValues(ctx, name)
	if err != nil {
		values = nil // the state of the board says why
	}
	head.Values, head.More = values, more
	return head, true
}

// readValues reads the values that markers have set, the first by name; more counts the rest.
func (b *board) readValues(ctx context.Context, name string) (values [][2]string, more int, err error) {
	b.mu.Lock()
	var names []string
	if a := b.apps[name]; a != nil {
		names = a.values
	}
	up := b.state == there
	b.mu.Unlock()
	if len(names) == 0 || !up {
		return nil, 0, nil
	}
	more = max(0, len(names)-shownValues)
	names = names[:len(names)-more]
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = "wrapp:" + name + ":" + n
	}
	err = b.asks.do(ctx, func(ctx context.Context, _, client *redisconn.Client) error {
		read, err := client.Values(ctx, keys)
		for i, v := range read {
			if v != nil {
				values = append(values, [2]string{visible(names[i]), visible(cut(*v, maxText))})
			}
		}
		return err
	})
	return values, more, err
}

func (s *Server) appPage(w http.ResponseWriter, r *http.Request) {
	b, view, ok := s.findApp(w, r, 1)
	if !ok {
		return
	}
	head, ok := s.readHead(r.Context(), b, view.Name)
	if !ok {
		return
	}
	var runs []string
	for _, e := range slices.Backward(head.events) {
		if e.run != "" && !slices.Contains(runs, e.run) {
			runs = append(runs, e.run)
		}
	}
	s.show(w, r, http.StatusOK, "app", view.Name, map[string]any{"App": head, "Runs": runs})
}

// appLive sends the head of an app's page each second, and its log as it comes.
func (s *Server) appLive(w http.ResponseWriter, r *http.Request) {
	q, b, view, ok := s.findLog(w, r)
	if !ok {
		return
	}
	e, done, ok := s.stream(w)
	if !ok {
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	l := &liveLog{events: e, q: q}
	var lines <-chan []journal.Line // nil: without the log
	var slow <-chan struct{}
	if r.URL.Query().Get("log") != "" {
		v, err := l.begin(ctx, b, view.Name)
		if err != nil {
			return // the browser reconnects
		}
		defer b.tail.drop(v)
		lines, slow = v.lines, v.slow
	}
	head := time.NewTimer(0)
	defer head.Stop()
	flush := time.NewTicker(linesEvery)
	defer flush.Stop()
	sent, heads := "", 0
	for {
		// Single lines are sent at once, many in batches.
		var gather <-chan time.Time
		if len(l.waiting)+l.skipped > 0 {
			gather = flush.C
		}
		select {
		case <-ctx.Done():
			return
		case <-slow:
			return
		case batch := <-lines:
			l.add(batch)
			if time.Since(l.last) >= linesEvery && l.flush() != nil {
				return
			}
		case <-gather:
			if l.flush() != nil {
				return
			}
		case <-head.C:
			html, err := s.headHTML(ctx, b, view.Name, heads%chartEvery == 0)
			if err != nil {
				return
			}
			heads++
			if html != sent {
				if e.send("head", html) != nil {
					return
				}
				sent = html
			} else if e.write(": alive\n\n") != nil {
				return
			}
			head.Reset(pollEvery)
		}
	}
}

// headHTML returns the head of an app's page, with or without the chart.
func (s *Server) headHTML(ctx context.Context, b *board, name string, chart bool) (string, error) {
	head, ok := s.readHead(ctx, b, name)
	if !ok {
		return "", fmt.Errorf("no such app: %s", name)
	}
	if !chart {
		head.Lanes = nil
	}
	var html strings.Builder
	err := s.pages.templates.ExecuteTemplate(&html, "head", head)
	return html.String(), err
}
