package panel

import (
	"context"
	"errors"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A liveLog is the log that one browser looks at.
type liveLog struct {
	*events
	q *logQuery

	seen    [logstream.Count]entry.ID // what was given out
	waiting []LineView
	id      string // of the last line that was looked at
	skipped int
	last    time.Time // when lines were sent
}

// begin sends what has come behind after, and has the rest sent to the viewer it returns.
func (l *liveLog) begin(ctx context.Context, b *board, app string, after journal.Cursor) (*viewer, error) {
	// The viewer is there before it is looked what has come, so that nothing comes in between.
	// What both have is left out by add.
	var v *viewer
	var lines []journal.Line
	more := false
	err := b.asks.do(ctx, func(ctx context.Context, logs, _ *redisconn.Client) error {
		from := after.ID // behind a whole line
		if l.q.streams != nil && !l.q.wantsStream(logstream.Info) {
			var err error
			if from, err = journal.NewReader(app).Newest(ctx, logs); err != nil {
				return err
			}
		}
		v = b.tail.add(app, from)
		reader := l.q.reader(app)
		reader.After = after
		entries, err := reader.First(ctx, logs, catchUp)
		if err != nil {
			return err
		}
		var joiner journal.Joiner
		lines, more = joiner.Add(entries), len(entries) == catchUp
		return nil
	})
	if err == nil && more {
		l.send("reset", "", true)
		err = errReset
	}
	if err == nil {
		l.add(lines)
		l.skipped, l.last = 0, time.Time{}
		err = l.flush()
	}
	if err != nil && v != nil {
		b.tail.drop(v)
	}
	return v, err
}

// errReset says that the browser has missed more than is sent, and asks for a page anew.
var errReset = errors.New("too much has come since")

// add takes lines that have not been given out.
func (l *liveLog) add(lines []journal.Line) {
	for i := range lines {
		line := &lines[i]
		if !l.seen[line.Stream].Less(line.ID) {
			continue
		}
		l.seen[line.Stream] = line.ID
		l.id = line.Cursor().String()
		if l.q.streams != nil && !l.q.wantsStream(line.Stream) || !l.q.filter.Wants(line) {
			continue
		}
		if len(l.waiting) == linesAtOnce { // the newest are what one looks at
			copy(l.waiting, l.waiting[1:])
			l.waiting = l.waiting[:linesAtOnce-1]
			l.skipped++
		}
		l.waiting = append(l.waiting, l.q.view(line))
	}
}

func (q *logQuery) wantsStream(s logstream.Stream) bool {
	for _, wanted := range q.streams {
		if s == wanted {
			return true
		}
	}
	return false
}

// flush sends what waits.
func (l *liveLog) flush() error {
	if len(l.waiting) == 0 && l.skipped == 0 {
		return nil
	}
	err := l.send("lines", l.id, map[string]any{"lines": l.waiting, "skipped": l.skipped})
	l.waiting, l.skipped, l.last = l.waiting[:0], 0, time.Now()
	return err
}
