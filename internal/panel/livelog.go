package panel

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A liveLog is the live log of one browser.
type liveLog struct {
	*events
	q *logQuery

	seen    [logstream.Count + 1]entry.ID // seen: last line that add has read, by stream; of stderr, behind them
	waiting []LineView
	skipped int
	last    time.Time // last: when lines were sent
}

// begin sends the lines behind the request's after, and returns a viewer that gets the later ones.
func (l *liveLog) begin(ctx context.Context, b *board, app string) (*viewer, error) {
	// The viewer begins before the lines are read, so that no line is lost in between. add
	// drops the lines that come both ways.
	var v *viewer
	var lines []journal.Line
	more := false
	err := b.asks.do(ctx, func(ctx context.Context, logs, _ *redisconn.Client) error {
		from := l.q.after.ID
		// The viewer reads all streams. With :info it begins where a line ends, or it would miss
		// pieces. Without, it begins at the newest entry, which spares it all those behind after.
		if !l.q.wantsStream(logstream.Info) {
			var err error
			if from, err = journal.NewReader(app).Newest(ctx, logs); err != nil {
				return err
			}
		}
		if v != nil {
			b.tail.drop(v)
		}
		v = b.tail.add(app, from)
		reader := l.q.reader(app)
		reader.After = l.q.after
		entries, err := reader.First(ctx, logs, catchUp)
		if err != nil {
			return err
		}
		var joiner journal.Joiner
		lines, more = joiner.Add(entries), len(entries) == catchUp
		return nil
	})
	if err == nil && more {
		l.send("reset", true)
		err = errReset
	}
	if err == nil {
		l.add(lines)
		err = l.flush()
	}
	if err != nil && v != nil {
		b.tail.drop(v)
	}
	return v, err
}

// errReset says that the browser has missed catchUp entries or more and must load the page
// anew.
var errReset = errors.New("too much has come since")

// add queues the wanted lines that it has not read yet. A Joiner returns the lines of each pipe in
// the order of their IDs; the end of a run can return one of stdout behind a later one of stderr.
func (l *liveLog) add(lines []journal.Line) {
	for i := range lines {
		line := &lines[i]
		seen := &l.seen[line.Stream]
		if line.Stderr {
			seen = &l.seen[logstream.Count]
		}
		if !seen.Less(line.ID) {
			continue
		}
		*seen = line.ID
		if !l.q.wantsStream(line.Stream) || !l.q.filter.Wants(line) {
			continue
		}
		if len(l.waiting) == linesAtOnce { // the newest lines matter most
			copy(l.waiting, l.waiting[1:])
			l.waiting = l.waiting[:linesAtOnce-1]
			l.skipped++
		}
		l.waiting = append(l.waiting, l.q.view(line))
	}
}

func (q *logQuery) wantsStream(s logstream.Stream) bool {
	return q.streams == nil || slices.Contains(q.streams, s)
}

// flush sends the waiting lines.
func (l *liveLog) flush() error {
	if len(l.waiting) == 0 && l.skipped == 0 {
		return nil
	}
	err := l.send("lines", map[string]any{"lines": l.waiting, "skipped": l.skipped})
	l.waiting, l.skipped, l.last = l.waiting[:0], 0, time.Now()
	return err
}
