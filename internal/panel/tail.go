package panel

import (
	"context"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A tail reads the streams that have viewers, each once for all its viewers.
type tail struct {
	cfg *config.Redis

	mu      sync.Mutex
	viewers map[*viewer]bool
	wake    chan struct{} // wake: full when viewers has changed
}

// A viewer is one open log of one app.
type viewer struct {
	app   string
	after entry.ID            // after: reading begins behind it if the app has no other viewer
	lines chan []journal.Line // lines: read only, since all viewers of the app share them
	slow  chan struct{}       // slow: closed when lines was full and the viewer was dropped
}

// backlog is how many batches wait for a slow viewer.
const backlog = 64

func newTail(cfg *config.Redis) *tail {
	return &tail{cfg: cfg, viewers: make(map[*viewer]bool), wake: make(chan struct{}, 1)}
}

// add returns a new viewer. It gets every line of the app that comes from now on, and perhaps
// older ones: the caller reads those behind after itself, once add has returned. The caller must
// call drop.
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

// wanted returns the apps that have viewers, and the entry behind which to read.
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
	for ctx.Err() == nil {
		if len(t.wanted()) > 0 {
			t.follow(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.wake:
		}
	}
}

// follow reads until no viewer is left. When a connection fails it goes on over another one: the
// reader and the joiner know what came before.
func (t *tail) follow(ctx context.Context) {
	reader := journal.NewReader()
	reader.Wait = blockFor
	var joiner journal.Joiner
	following := make(map[string]bool)
	next := func(client *redisconn.Client) error {
		defer context.AfterFunc(ctx, client.Abort)()
		entries, err := reader.Next(ctx, client)
		t.distribute(joiner.Add(entries))
		return err
	}
	var client *redisconn.Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	for ctx.Err() == nil {
		wanted := t.wanted()
		if len(wanted) == 0 {
			return
		}
		for app := range following {
			if _, still := wanted[app]; !still {
				reader.Forget(app)
				joiner.Forget(app)
				delete(following, app)
			}
		}
		for app, from := range wanted {
			if !following[app] {
				reader.Follow(app, from)
				following[app] = true
			}
		}
		var err error
		if client == nil {
			client, err = redisconn.Dial(ctx, t.cfg, t.cfg.LogsDB)
		}
		if err == nil {
			err = next(client)
		}
		if err == nil {
			continue
		}
		if client != nil {
			client.Close()
			client = nil
		}
		sleep(ctx, retryAfter)
	}
}

// blockFor is how long a read blocks in Redis, and so how long a new viewer may wait.
const blockFor = 200 * time.Millisecond

// distribute sends lines to the viewers of their apps; it drops slow viewers.
func (t *tail) distribute(lines []journal.Line) {
	if len(lines) == 0 {
		return
	}
	byApp := make(map[string][]journal.Line)
	for _, l := range lines {
		byApp[l.App] = append(byApp[l.App], l)
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
