package panel

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Bounds of one request's reading of the streams.
const (
	pageLines   = 200      // lines, unless another number is asked for
	pageMost    = 1000     // lines
	scanEntries = 20_000   // entries that are searched
	scanBytes   = 16 << 20 // bytes that are searched
	scanTime    = 2 * time.Second
	chunkFirst  = 64         // entries in the first command
	chunkMost   = 1000       // entries in one command
	chunkBytes  = 1 << 20    // bytes in one command, about
	shownText   = 2 << 10    // bytes of a line, unless the whole line is asked for
	wholeText   = 10<<20 + 1 // bytes of a whole line
	patternMost = 1000       // bytes of the search pattern
)

// A LineView is a line as pages and the API show it.
type LineView struct {
	ID     string      `json:"id"`     // a place in the log: the parameters before, after, at
	Time   int64       `json:"time"`   // milliseconds since 1970
	Stream string      `json:"stream"` // out, err, status, error or crash
	Level  string      `json:"level,omitempty"`
	Text   string      `json:"text"`
	Fields [][2]string `json:"fields,omitempty"`
	More   int         `json:"more,omitempty"` // bytes of the text that Text lacks
}

// A Page is a part of an app's log.
type Page struct {
	Lines  []LineView `json:"lines"`
	Before string     `json:"before,omitempty"` // parameter before of the page before; "" on the first page
	After  string     `json:"after,omitempty"`  // parameter after of the page behind
	Read   int        `json:"read"`             // entries that were searched
}

// A logQuery is a request for a part of an app's log, from the parameters of a URL.
type logQuery struct {
	filter  journal.Filter
	streams []logstream.Stream
	run     string
	since   time.Time
	until   time.Time
	before  journal.EntryName
	after   journal.EntryName
	at      journal.EntryName
	n       int
	text    int // text: most bytes of a line
}

// parseLogQuery reads the parameters of a URL. Its errors name the parameter.
func parseLogQuery(p url.Values) (*logQuery, error) {
	q := &logQuery{n: pageLines, text: shownText}
	fail := func(name string, err error) (*logQuery, error) { return nil, fmt.Errorf("%s: %w", name, err) }
	var err error
	if v := p.Get("level"); v != "" {
		if q.filter.Level, err = loglevel.Parse(v); err != nil {
			return fail("level", err)
		}
	}
	if v := p.Get("q"); v != "" {
		if len(v) > patternMost {
			return fail("q", errors.New("must not be longer than 1000 bytes"))
		}
		if p.Get("re") == "" {
			v = "(?i)" + regexp.QuoteMeta(v)
		}
		if q.filter.Grep, err = regexp.Compile(v); err != nil {
			return fail("q", err)
		}
	}
	switch v := p.Get("stream"); v {
	case "":
	case "out", "err":
		q.filter.Source = map[string]string{"out": "stdout", "err": "stderr"}[v]
		q.streams = []logstream.Stream{logstream.Info}
	default:
		for s := range logstream.Count {
			if s.String() == v {
				q.streams = append(q.streams, s)
			}
		}
		if q.streams == nil {
			return fail("stream", errors.New("must be out, err, info, status, error or crash"))
		}
	}
	if q.run = p.Get("run"); q.run != "" && q.run != journal.LastRun {
		if _, err = time.Parse(entry.RunMarkerLayout, q.run); err != nil {
			return fail("run", errors.New("must be last, or the time in a {{__NEW_RUN_…}}, such as 2026-11-23_20-15-01"))
		}
	}
	for name, to := range map[string]*time.Time{"since": &q.since, "until": &q.until} {
		if v := p.Get(name); v != "" {
			if *to, err = journal.ParseTime(v, time.Now()); err != nil {
				return fail(name, err)
			}
		}
	}
	for name, to := range map[string]*journal.EntryName{"before": &q.before, "after": &q.after, "at": &q.at} {
		if v := p.Get(name); v != "" {
			if *to, err = journal.ParseEntryName(v); err != nil {
				return fail(name, errors.New("must be the id of a line"))
			}
		}
	}
	if v := p.Get("n"); v != "" {
		if q.n, err = strconv.Atoi(v); err != nil || q.n < 1 || q.n > pageMost {
			return fail("n", fmt.Errorf("must be from 1 to %d", pageMost))
		}
	}
	if p.Get("whole") != "" {
		q.n, q.text = min(q.n, 1), wholeText
	}
	return q, nil
}

// reader returns a reader of the requested streams.
func (q *logQuery) reader(app string) *journal.Reader {
	r := journal.NewReader(app)
	if q.streams != nil {
		r.Only(q.streams...)
	}
	r.Until = q.until
	return r
}

// errNoRun says that :status lacks the run's marker.
var errNoRun = errors.New("run: :status has no such run of this app any more")

// bound limits since and until to the run's times.
func (q *logQuery) bound(ctx context.Context, logs *redisconn.Client, app string) error {
	if q.run == "" {
		return nil
	}
	r := journal.NewReader(app)
	r.Only(logstream.Status)
	entries, err := r.Last(ctx, logs, chunkMost, time.Time{})
	if err != nil {
		return err
	}
	span, ok := journal.FindRun(entries, q.run)[app]
	if !ok {
		return errNoRun
	}
	// wrapp writes the marker to :info at about the same time as to :status.
	const apart = 20 * time.Millisecond
	if from := span.From.Time().Add(-apart); q.since.Before(from) {
		q.since = from
	}
	if span.To != (entry.ID{}) {
		if to := span.To.Time().Add(-apart - time.Millisecond); q.until.IsZero() || to.Before(q.until) {
			q.until = to
		}
	}
	return nil
}

// page reads a page: the lines around at, behind after, or the last lines before before.
func (q *logQuery) page(ctx context.Context, logs *redisconn.Client, app string) (*Page, error) {
	if err := q.bound(ctx, logs, app); err != nil {
		return nil, err
	}
	switch {
	case q.at.ID != (entry.ID{}):
		q.before = q.at
		older, err := q.older(ctx, logs, app, q.n/2)
		if err != nil {
			return nil, err
		}
		q.after = journal.EntryName{ID: q.at.ID.Previous()} // includes the line itself
		newer, err := q.newer(ctx, logs, app, q.n/2+1)
		if err != nil {
			return nil, err
		}
		newer.Lines = slices.DeleteFunc(newer.Lines, func(l LineView) bool {
			return slices.ContainsFunc(older.Lines, func(o LineView) bool { return o.ID == l.ID })
		})
		return &Page{append(older.Lines, newer.Lines...), older.Before, newer.After, older.Read + newer.Read}, nil
	case q.after.ID != (entry.ID{}):
		return q.newer(ctx, logs, app, q.n)
	}
	return q.older(ctx, logs, app, q.n)
}

// older reads the last n matching lines before q.before.
func (q *logQuery) older(ctx context.Context, logs *redisconn.Client, app string, n int) (*Page, error) {
	r := q.reader(app)
	r.Before = q.before
	var chunks [][]journal.Entry
	page := &Page{Lines: []LineView{}}
	if q.before == (journal.EntryName{}) {
		newest, err := r.Newest(ctx, logs)
		if err != nil {
			return nil, err
		}
		page.After = newest.String()
	}
	pieces := journal.Joiner{Pieces: true}
	chunk, bytes, wanted, start := chunkFirst, 0, 0, false
	// Read more than n, so that the first line has all its pieces.
	for begin := time.Now(); wanted < n+8 && page.Read < scanEntries && bytes < scanBytes && time.Since(begin) < scanTime; {
		entries, err := r.Last(ctx, logs, chunk, q.since)
		if err != nil {
			return nil, err
		}
		size := 0
		for i := range entries {
			size += len(entries[i].Message)
		}
		for _, l := range pieces.Add(entries) {
			if q.filter.Wants(&l) {
				wanted++
			}
		}
		chunks = append(chunks, entries)
		page.Read += len(entries)
		bytes += size
		if start = len(entries) < chunk; start {
			break
		}
		r.Before = entries[0].EntryName()
		chunk = min(max(chunkBytes*len(entries)/(size+1), 4), 4*chunk, chunkMost)
	}
	var joiner journal.Joiner
	var lines []journal.Line
	for _, entries := range slices.Backward(chunks) {
		lines = append(lines, joiner.Add(entries)...)
	}
	if len(lines) > 0 {
		page.After = lines[len(lines)-1].EntryName().String()
	}
	lines = q.filter.Select(lines)
	if !start {
		page.Before = r.Before.String()
	}
	if len(lines) > n {
		page.Before = q.before.String()
		if lines = lines[len(lines)-n:]; n > 0 {
			page.Before = lines[0].EntryName().String()
		}
	}
	for i := range lines {
		page.Lines = append(page.Lines, q.view(&lines[i]))
	}
	return page, nil
}

// newer reads the first n matching lines after q.after, at q.since or later.
func (q *logQuery) newer(ctx context.Context, logs *redisconn.Client, app string, n int) (*Page, error) {
	r := q.reader(app)
	r.After = q.after
	if ms := q.since.UnixMilli(); ms > 0 && q.after.ID.Ms < uint64(ms) {
		r.After = journal.EntryName{ID: entry.ID{Ms: uint64(ms)}.Previous()}
	}
	var joiner journal.Joiner
	page := &Page{Lines: []LineView{}, After: q.after.String()}
	chunk, bytes := chunkFirst, 0
	for begin := time.Now(); len(page.Lines) < n && page.Read < scanEntries && bytes < scanBytes && time.Since(begin) < scanTime; {
		entries, err := r.First(ctx, logs, chunk)
		if err != nil {
			return nil, err
		}
		page.Read += len(entries)
		size := 0
		for i := range entries {
			size += len(entries[i].Message)
		}
		bytes += size
		for _, l := range joiner.Add(entries) {
			if !q.until.IsZero() && l.ID.Ms > uint64(q.until.UnixMilli()) {
				return page, nil
			}
			if len(page.Lines) == n {
				break
			}
			page.After = l.EntryName().String()
			if q.filter.Wants(&l) {
				page.Lines = append(page.Lines, q.view(&l))
			}
		}
		if len(entries) < chunk {
			break
		}
		r.After = entries[len(entries)-1].EntryName()
		chunk = min(max(chunkBytes*len(entries)/(size+1), 4), 4*chunk, chunkMost)
	}
	return page, nil
}

// view returns a LineView.
func (q *logQuery) view(l *journal.Line) LineView {
	v := LineView{ID: l.EntryName().String(), Time: l.Time.UnixMilli(), Stream: l.Stream.String(), Level: l.Level.String()}
	if l.Stream == logstream.Info {
		v.Stream = "out"
		if l.Stderr {
			v.Stream = "err"
		}
	}
	text := strings.TrimSuffix(string(l.Text[:min(len(l.Text), q.text)]), "\n")
	if len(l.Text) > q.text {
		v.More = len(l.Text) - q.text
	}
	v.Text = visible(text)
	for i := 0; i+1 < len(l.More); i += 2 {
		v.Fields = append(v.Fields, [2]string{visible(l.More[i]), visible(cut(l.More[i+1], q.text))})
	}
	for i := range l.Fields {
		f := &l.Fields[i]
		v.Fields = append(v.Fields, [2]string{visible(string(f.Key)), visible(cut(string(f.AppendText(nil)), q.text))})
	}
	return v
}
