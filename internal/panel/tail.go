package panel

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A tail reads the streams that have viewers, each once however many these are.
type tail struct {
	cfg *config.Redis
	log *slog.Logger

	mu      sync.Mutex
	viewers map[*viewer]bool
	wake    chan struct{} // has something in it when the viewers have changed
}

// A viewer is one open log of one app.
type viewer struct {
	app   string
	after entry.ID            // where reading begins if the app has no other viewer
	lines chan []journal.Line // shared by all viewers of the app: not to be changed
	slow  chan struct{}       // closed when lines was full: the viewer is dropped
}

// backlog is how many batches wait for a slow viewer.
const backlog = 64

func newTail(cfg *config.Redis, log *slog.Logger) *tail {
	return &tail{cfg: cfg, log: log, viewers: make(map[*viewer]bool), wake: make(chan struct{}, 1)}
}

// add has lines of an app sent to a new viewer. The caller calls drop.
func (t *tail) add(app string, after entry.ID) *viewer {
	v := &viewer{app: app, after: after, lines: make(chan []journal.Line, backlog), slow: make(chan struct{})}
	t.mu.Lock()
	t.viewers[v] = true
	t.mu.Unlock()
	t.poke()
	return v
}

func (t *tail) drop(v *viewer) {
	t.mu.Lock()
	delete(t.viewers, v)
	t.mu.Unlock()
	t.poke()
}

func (t *tail) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// wanted returns the apps that have viewers, and from where on to read.
func (t *tail) wanted() map[string]entry.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	apps := make(map[string]entry.ID)
	for v := range t.viewers {
		if from, known := apps[v.app]; !known || v.after.Less(from) {
			apps[v.app] = v.after
		}
	}
	return apps
}

// run reads until ctx ends. Without viewers it has no connection.
func (t *tail) run(ctx context.Context) {
	at := make(map[string]entry.ID) // the last whole line of each app that was given out
	for ctx.Err() == nil {
		if len(t.wanted()) == 0 {
			clear(at)
			select {
			case <-ctx.Done():
			case <-t.wake:
			}
			continue
		}
		if err := t.read(ctx, at); err != nil && ctx.Err() == nil {
			sleep(ctx, retryAfter)
		}
	}
}

// read is run over one connection, while anybody looks.
func (t *tail) read(ctx context.Context, at map[string]entry.ID) error {
	client, err := redisconn.Dial(ctx, t.cfg, t.cfg.LogsDB)
	if err != nil {
		return err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, client.Abort)
	defer stop()
	reader := journal.NewReader()
	reader.Wait = blockFor
	var joiner journal.Joiner
	following := make(map[string]bool)
	for {
		wanted := t.wanted()
		if len(wanted) == 0 {
			return nil
		}
		for app := range following {
			if _, still := wanted[app]; !still {
				reader.Forget(app)
				joiner.Forget(app)
				delete(following, app)
				delete(at, app)
			}
		}
		for app, from := range wanted {
			if !following[app] {
				if last, known := at[app]; known {
					from = last
				}
				reader.Follow(app, from)
				following[app] = true
			}
		}
		entries, err := reader.Next(ctx, client)
		if err != nil {
			return err
		}
		t.give(joiner.Add(entries), at)
	}
}

// blockFor is how long Redis is waited in for an entry, which is how long a new viewer waits
// to be live at most.
const blockFor = 200 * time.Millisecond

// give sends lines to the viewers of their apps.
func (t *tail) give(lines []journal.Line, at map[string]entry.ID) {
	if len(lines) == 0 {
		return
	}
	byApp := make(map[string][]journal.Line)
	for _, l := range lines {
		byApp[l.App] = append(byApp[l.App], l)
		at[l.App] = l.ID
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for v := range t.viewers {
		if len(byApp[v.app]) == 0 {
			continue
		}
		select {
		case v.lines <- byApp[v.app]:
		default:
			close(v.slow)
			delete(t.viewers, v)
		}
	}
}
