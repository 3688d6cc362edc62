// Package hook calls commands and web servers when something happens to the app: in the
// background, one call at a time, and for each kind once a second at most.
package hook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/health/beat"
)

// A Kind is a kind of event, named as its key in [hooks].
type Kind string

func (k Kind) String() string { return string(k) }

// The kinds.
const (
	Crash    Kind = "crash"    // wrapp wrote an entry of :crash
	Depleted Kind = "depleted" // a health pool has reached 0
	GaveUp   Kind = "gave_up"  // restart.limit forbids another start
	Dropped  Kind = "dropped"  // lines were dropped
)

// Kinds are all kinds. Each needs its key in config.Hooks, and its target in run's newHooks.
var Kinds = []Kind{Crash, Depleted, GaveUp, Dropped}

// Version is the version of the JSON. It changes when a field is removed or changes its
// meaning, not when a field is added.
const Version = 1

// An Event is passed to a hook as one JSON object; docs/hooks.md describes it. Fire sets
// Version, Time, App and Host; the caller must set Kind.
type Event struct {
	Version int       `json:"version"`
	Kind    Kind      `json:"event"`
	Time    time.Time `json:"time"`
	App     string    `json:"app"`
	Host    string    `json:"host"`

	Run  string `json:"run,omitempty"` // the time in the run's marker
	Text string `json:"text"`

	// Stream and ID say where the report is. The ID is the one that wrapp chose; Redis has a
	// later one if the stream already had newer entries.
	Stream string `json:"stream,omitempty"`
	ID     string `json:"id,omitempty"`

	CrashKind string `json:"kind,omitempty"`
	Signature string `json:"signature"` // of a crash
	PID       int    `json:"pid,omitempty"`
	Signal    string `json:"signal,omitempty"`
	Exit      *int   `json:"exit_code,omitempty"` // nil: the app still runs, or not known

	Pool     string `json:"pool,omitempty"`
	Restarts int    `json:"restarts,omitempty"` // starts after the first
	Dropped  int    `json:"dropped,omitempty"`  // lines

	// Skipped counts the events of this kind since the last call that got no call.
	Skipped int `json:"skipped,omitempty"`
}

// Bounds.
const (
	mostWaiting = 16          // mostWaiting: events of a kind
	mostText    = 1 << 10     // mostText: bytes of Event.Text, and of Event.Pool
	leastPause  = time.Second // leastPause: between the starts of two calls of a kind
	reportPause = time.Minute // reportPause: between two reports of failures of a kind

	// giveUp is how long Close waits for an aborted call: a command that hangs in the kernel
	// cannot be ended.
	giveUp = 5 * time.Second
)

// Options say what a Hooks calls, and where it reports failures.
type Options struct {
	App, Host string
	Targets   map[Kind]string // exec:COMMAND, or an http or https URL; a kind without one is not called
	Timeout   time.Duration   // of a call
	// Exec runs a command with a text on its standard input and returns nil if it ends with
	// exit status 0. It returns soon after ctx is done. By then the command and all
	// processes that it started have ended.
	Exec func(ctx context.Context, command []string, stdin []byte) error
	// Say writes to :error.
	Say func(text string)
	Log *slog.Logger
}

// A Hooks calls hooks. A nil Hooks calls none.
type Hooks struct {
	opts   Options
	ctx    context.Context // ctx: ends when Close gives up
	cancel context.CancelFunc
	wake   chan struct{} // wake: an event waits, or closing changed
	done   chan struct{}

	mu      sync.Mutex
	lanes   []*lane // lanes: of the kinds that have a target
	closing bool
}

// A lane has the waiting events of one kind.
type lane struct {
	kind    Kind
	target  string
	waiting []Event   // waiting: oldest first, mostWaiting at most
	skipped int       // skipped: events since the last call that found no room
	called  time.Time // called: start of the last call

	// Used by run only.
	flooded  bool      // flooded: the user was told that events are skipped
	failures int       // failures: in a row
	told     time.Time // told: when a failure was last reported
}

// New returns a Hooks, or nil without any target. Close ends it.
func New(opts Options) *Hooks {
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	h := &Hooks{opts: opts, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for _, kind := range Kinds {
		if target := opts.Targets[kind]; target != "" {
			h.lanes = append(h.lanes, &lane{kind: kind, target: target})
		}
	}
	if len(h.lanes) == 0 {
		return nil
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	go h.run()
	return h
}

// Fire queues a call of the hook of the event's kind. It never blocks and calls no other
// code, so any goroutine may call it with any lock held.
func (h *Hooks) Fire(e Event) {
	if h == nil {
		return
	}
	e.Version, e.Time, e.App, e.Host = Version, time.Now(), h.opts.App, h.opts.Host
	e.Text, e.Pool = bounded(e.Text), bounded(e.Pool)
	h.mu.Lock()
	for _, l := range h.lanes {
		switch {
		case l.kind != e.Kind:
		case len(l.waiting) < mostWaiting:
			l.waiting = append(l.waiting, e)
		default:
			l.skipped++
		}
	}
	h.mu.Unlock()
	h.ring()
}

// bounded cuts a text that is longer than mostText, between two characters.
func bounded(text string) string {
	if len(text) <= mostText {
		return text
	}
	n := mostText - len("…")
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

func (h *Hooks) ring() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Close calls the hooks for the waiting events, for patience at most, and then aborts the
// call that runs. Do not call Fire afterwards.
func (h *Hooks) Close(patience time.Duration) {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	h.ring()
	limit := time.AfterFunc(patience, h.cancel)
	select {
	case <-h.done:
	case <-time.After(patience + giveUp):
	}
	limit.Stop()
	h.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lanes {
		if n := len(l.waiting) + l.skipped; n > 0 {
			h.opts.Log.Warn("a hook was not called for all events", "hook", l.kind, "events", n)
		}
	}
}

// run makes the calls, one at a time.
func (h *Hooks) run() {
	defer close(h.done)
	for h.ctx.Err() == nil {
		l, e, pause := h.next(time.Now())
		if l != nil {
			h.call(l, e)
			continue
		}
		if pause < 0 {
			return
		}
		var due <-chan time.Time
		if pause > 0 {
			due = time.After(pause)
		}
		select {
		case <-h.wake:
		case <-due:
		case <-h.ctx.Done():
		}
	}
}

// next removes and returns the event to call a hook for now: of the due ones the one that
// has waited longest. If none is due, pause is the time until one will be; 0 if no event
// waits, less than 0 if none will come any more.
func (h *Hooks) next(now time.Time) (due *lane, e Event, pause time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lanes {
		if len(l.waiting) == 0 {
			continue
		}
		if left := leastPause - now.Sub(l.called); !l.called.IsZero() && left > 0 {
			if pause == 0 || left < pause {
				pause = left
			}
			continue
		}
		if due == nil || l.waiting[0].Time.Before(due.waiting[0].Time) {
			due = l
		}
	}
	if due == nil {
		if pause == 0 && h.closing {
			pause = -1
		}
		return nil, Event{}, pause
	}
	e = due.waiting[0]
	due.waiting = due.waiting[1:]
	e.Skipped, due.skipped = due.skipped, 0
	due.called = now
	return due, e, 0
}

// call makes one call, and reports the first failure and its end.
func (h *Hooks) call(l *lane, e Event) {
	text, err := json.Marshal(e)
	if err == nil {
		ctx, cancel := context.WithTimeout(h.ctx, h.opts.Timeout)
		if err = h.send(ctx, l.target, append(text, '\n')); err != nil && ctx.Err() != nil {
			err = fmt.Errorf("it did not end within %v", h.opts.Timeout)
			if h.ctx.Err() != nil {
				err = fmt.Errorf("it had not ended when wrapp did")
			}
		}
		cancel()
	}
	if e.Skipped > 0 && !l.flooded {
		l.flooded = true
		h.opts.Log.Warn("a hook is called for some events only: they come faster than it may be called; it is told once", "hook", l.kind, "left out", e.Skipped)
	}
	switch {
	case err == nil && l.failures > 0:
		h.opts.Log.Info("the hook succeeds again", "hook", l.kind, "failures", l.failures)
		l.failures = 0
	case err != nil:
		if l.failures++; l.failures == 1 && (l.told.IsZero() || time.Since(l.told) >= reportPause) {
			l.told = time.Now()
			h.opts.Log.Warn("a hook failed", "hook", l.kind, "error", err)
			h.opts.Say(fmt.Sprintf("the hook hooks.%s failed: %v", l.kind, err))
		}
	}
}

func (h *Hooks) send(ctx context.Context, target string, text []byte) error {
	if beat.IsHTTP(target) {
		return beat.Post(ctx, target, text)
	}
	command, err := beat.Command(target)
	if err != nil {
		return err
	}
	return h.opts.Exec(ctx, command, text)
}
