package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/eventlog"
)

// calls records the calls of Options.Exec.
type calls struct {
	mu     sync.Mutex
	events []Event
	begun  []time.Time
	now    int // now: calls that are running
	most   int
	said   []string
	log    bytes.Buffer
}

// options returns Options in which every hook calls a command. It takes that long in the
// bubble's time and ends with err.
func (c *calls) options(takes time.Duration, err func() error) Options {
	targets := make(map[Kind]string)
	for _, kind := range Kinds {
		targets[kind] = "exec:it 'and more'"
	}
	return Options{
		App: "app", Host: "host", Targets: targets, Timeout: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(&c.log, nil)),
		Say: func(text string) { c.said = append(c.said, text) },
		Exec: func(ctx context.Context, command []string, stdin []byte) error {
			var e Event
			if !slices.Equal(command, []string{"it", "and more"}) || json.Unmarshal(stdin, &e) != nil || !bytes.HasSuffix(stdin, []byte("}\n")) {
				return fmt.Errorf("%q, %s", command, stdin)
			}
			c.mu.Lock()
			c.events, c.begun = append(c.events, e), append(c.begun, time.Now())
			c.now++
			c.most = max(c.most, c.now)
			c.mu.Unlock()
			defer func() {
				c.mu.Lock()
				c.now--
				c.mu.Unlock()
			}()
			select {
			case <-time.After(takes):
				return err()
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

func well() error { return nil }

func TestNone(t *testing.T) {
	t.Parallel()
	h := New(Options{Targets: map[Kind]string{Crash: ""}})
	h.Fire(Event{Kind: Crash})
	h.Close(time.Second)
	if h != nil {
		t.Error("there are hooks without targets")
	}
}

// TestFlood fires more events than may be called: one call at a time, one a second of a
// kind, and events that find no room are counted.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(calls)
		h := New(c.options(10*time.Millisecond, well))
		for i := range 100 {
			h.Fire(Event{Kind: Crash, PID: i + 1, Text: strings.Repeat("é", 1000)})
			h.Fire(Event{Kind: Depleted, Pool: "p"})
		}
		time.Sleep(time.Minute)
		h.Fire(Event{Kind: Crash, PID: 1000})
		synctest.Wait()
		h.Close(time.Second)
		last := make(map[Kind]time.Time)
		count := make(map[Kind]int)
		skipped := make(map[Kind]int)
		for i, e := range c.events {
			if before, ok := last[e.Kind]; ok && c.begun[i].Sub(before) < time.Second {
				t.Errorf("two calls of %s within %v", e.Kind, c.begun[i].Sub(before))
			}
			last[e.Kind] = c.begun[i]
			count[e.Kind]++
			skipped[e.Kind] += e.Skipped
			if e.Version != 1 || e.App != "app" || e.Host != "host" || e.Time.IsZero() || len(e.Text) > mostText || strings.ContainsRune(e.Text, '\uFFFD') {
				t.Errorf("%+v", e)
			}
		}
		if c.most != 1 {
			t.Errorf("%d calls at a time", c.most)
		}
		// One event may have left the queue before the last was fired.
		for _, kind := range []Kind{Crash, Depleted} {
			want := 100
			if kind == Crash {
				want = 101
			}
			if count[kind]+skipped[kind] != want || count[kind] < mostWaiting || count[kind] > mostWaiting+2 {
				t.Errorf("%s: %d calls, %d skipped", kind, count[kind], skipped[kind])
			}
		}
		if n := strings.Count(c.log.String(), "it is told once"); n != 2 {
			t.Errorf("the flood is told %d times", n)
		}
	})
}

// TestHangs has a command that does not end: the timeout ends it, and neither Fire nor Close
// waits long.
func TestHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(calls)
		h := New(c.options(time.Hour, well))
		began := time.Now()
		for range 10 {
			h.Fire(Event{Kind: GaveUp})
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Fire takes %v", took)
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if len(c.begun) != 3 || c.begun[2].Sub(c.begun[0]) != 10*time.Second {
			t.Errorf("calls at %v", c.begun)
		}
		began = time.Now()
		h.Close(2 * time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Close takes %v", took)
		}
		if len(c.said) != 1 || c.said[0] != "the hook hooks.gave_up failed: it did not end within 5s" {
			t.Errorf("%q", c.said)
		}
		if !strings.Contains(c.log.String(), "not called for all events") || !strings.Contains(c.log.String(), "events=7") {
			t.Error(c.log.String())
		}
	})
}

// TestFails: failures are reported once, and so is their end.
func TestFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(calls)
		var fail atomic.Bool
		h := New(c.options(0, func() error {
			if fail.Load() {
				return errors.New("exit status 3")
			}
			return nil
		}))
		for i := range 8 {
			fail.Store(i != 3 && i != 5)
			h.Fire(Event{Kind: Dropped, Dropped: 5})
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		h.Close(time.Second)
		if len(c.said) != 1 || c.said[0] != "the hook hooks.dropped failed: exit status 3" {
			t.Errorf("%q", c.said)
		}
		if n := strings.Count(c.log.String(), "succeeds again"); n != 2 {
			t.Errorf("%d", n)
		}
	})
}

// TestClosingCalls: events that were fired just before the end still get their calls.
func TestClosingCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(calls)
		h := New(c.options(time.Second, well))
		h.Fire(Event{Kind: Crash})
		h.Fire(Event{Kind: GaveUp})
		h.Close(5 * time.Second)
		if len(c.events) != 2 || c.events[0].Kind != Crash || c.events[1].Kind != GaveUp {
			t.Errorf("%+v", c.events)
		}
	})
}

// TestPosts posts the JSON to a real server.
func TestPosts(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	status := make(chan int, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- fmt.Sprintln(r.Method, r.URL, r.Header.Get("Content-Type"), r.ContentLength == int64(len(body))) + string(body)
		w.WriteHeader(<-status)
	}))
	defer s.Close()
	said := make(chan string, 10)
	h := New(Options{
		App: "app", Host: "host", Timeout: 2 * time.Minute,
		Targets: map[Kind]string{Crash: s.URL + "/a/s3cret?x=s3cret"},
		Say:     func(text string) { said <- text },
	})
	exit := 139
	status <- 204
	h.Fire(Event{Kind: Crash, Run: "2026-11-29_07-00-00", PID: 7, Exit: &exit, Stream: "logs:app:app:crash", ID: "1-2", CrashKind: "signal", Signal: "SIGSEGV"})
	head, body, _ := strings.Cut(<-got, "\n")
	if head != "POST /a/s3cret?x=s3cret application/json true" {
		t.Error(head)
	}
	var e map[string]any
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	for name, want := range map[string]any{
		"version": 1.0, "event": "crash", "app": "app", "host": "host", "run": "2026-11-29_07-00-00", "pid": 7.0, "exit_code": 139.0,
		"stream": "logs:app:app:crash", "id": "1-2", "kind": "signal", "signal": "SIGSEGV", "signature": "",
	} {
		if e[name] != want {
			t.Errorf("%s is %v, want %v", name, e[name], want)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"])); err != nil {
		t.Error(err)
	}
	// A redirection is not followed, and its target is not shown.
	status <- 302
	h.Fire(Event{Kind: Crash})
	if text := <-said; text != "the hook hooks.crash failed: HTTP status 302" {
		t.Error(text)
	}
	if body := <-got; strings.Contains(body, `"run"`) {
		t.Errorf("a field without a value: %s", body)
	}
	h.Close(2 * time.Minute)
}

// TestServerHangs has a server that reads the request and does not answer.
func TestServerHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan string, 10)
	h := New(Options{
		Timeout: 100 * time.Millisecond,
		Targets: map[Kind]string{Crash: "http://" + l.Addr().String() + "/s3cret"},
		Say:     func(text string) { said <- text },
	})
	// The kernel takes the connection; a late call may make none in time.
	h.Fire(Event{Kind: Crash})
	if text := <-said; text != "the hook hooks.crash failed: it did not end within 100ms" {
		t.Error(text)
	}
	h.Close(2 * time.Minute)
}

// TestNobodyListens has a port without a listener: the error shows no path.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	said := make(chan string, 10)
	h := New(Options{
		Timeout: 2 * time.Minute,
		Targets: map[Kind]string{Crash: "http://127.0.0.1:1/s3cret"},
		Say:     func(text string) { said <- text },
	})
	h.Fire(Event{Kind: Crash})
	if text := <-said; !strings.Contains(text, "connection refused") || strings.Contains(text, "s3cret") {
		t.Error(text)
	}
	h.Close(2 * time.Minute)
}

// TestStuck has a command that cannot be ended, because it hangs in the kernel: Close ends all
// the same.
func TestStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		h := New(Options{
			Targets: map[Kind]string{Crash: "exec:it"}, Timeout: time.Second,
			Exec: func(context.Context, []string, []byte) error {
				<-stuck
				return nil
			},
		})
		h.Fire(Event{Kind: Crash})
		synctest.Wait()
		began := time.Now()
		if h.Close(time.Second); time.Since(began) > time.Second+giveUp {
			t.Errorf("the end took %v", time.Since(began))
		}
		close(stuck)
	})
}

// TestFailureNamesHook: wrapp's log says which hook failed.
func TestFailureNamesHook(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	h := New(Options{
		Targets: map[Kind]string{GaveUp: "exec:it"}, Timeout: time.Minute, Log: eventlog.New(&said, "wrapp", false),
		Exec: func(context.Context, []string, []byte) error { return errors.New("exit status 1") },
		Say:  func(string) {},
	})
	h.Fire(Event{Kind: GaveUp})
	h.Close(time.Minute)
	if want := "wrapp: warning: a hook failed hook=gave_up: exit status 1\n"; said.String() != want {
		t.Errorf("%q, want %q", said.String(), want)
	}
}
