package panel

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestRuns: the hash of a run gives an app's state; once its lease is gone, so is the app.
func TestRuns(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs, values := s.Dial(1), s.Dial(2)
	do := func(args ...any) {
		t.Helper()
		c := values
		if args[0] == "XADD" {
			c = logs
		}
		if _, err := c.Do(args[0].(string), args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	do("XADD", "logs:app:a:status", "*", "message", "{{__NEW_RUN_2026-11-29_01-02-03}}")
	do("HSET", "wrapp-run:a:1", "state", "running", "host", "orin", "restarts", 2, "spooled", 7, "lines", 5)
	do("HSET", "wrapp-run:a:2", "state", "running", "restarts", 1)
	const text = "a crashed: SIGSEGV (segmentation fault)\n\n--- backtrace ---\n#0 main\n"
	for _, signature := range []string{"0123456789ab", "ba9876543210", "0123456789ab"} {
		do("XADD", "logs:app:a:crash", "*", "message", text, "kind", "signal", "signature", signature)
	}
	p := start(t, nil, s)
	p.await("a", "running")
	eventually(t, "both instances are known", func() bool {
		a := p.apps()["a"]
		instances, _ := a["instances"].([]any)
		return a["restarts"] == 3. && a["spooled"] == 7. && len(instances) == 2
	})
	var crashes struct{ Groups []Group }
	eventually(t, "the crashes are known", func() bool {
		p.read("/crashes", &crashes)
		return len(crashes.Groups) == 2
	})
	if g := crashes.Groups[0]; g.Signature != "0123456789ab" || g.Count != 2 || len(g.Days) != 1 || g.Days[0].Count != 2 {
		t.Errorf("%+v", g)
	}
	var report struct {
		Crash
		Fields  map[string]string
		Message string
	}
	p.read("/apps/a/crashes/"+crashes.Groups[1].Reports[0].ID, &report)
	if report.Message != text || report.Signature != "ba9876543210" || report.Where != "main" || report.Fields["kind"] != "signal" {
		t.Errorf("%+v", report)
	}
	do("HSET", "wrapp-run:a:1", "state", "restarting")
	do("DEL", "wrapp-run:a:2")
	p.await("a", "restarting")
	do("HSET", "wrapp-run:a:1", "state", "running")
	p.await("a", "running")
	do("DEL", "wrapp-run:a:1")
	p.await("a", "gone")
	do("XADD", "logs:app:a:status", "*", "message", "{{__END_RUN_2026-11-29_01-02-04_exit_3}}")
	p.await("a", "failed")
	do("XADD", "logs:app:a:status", "*", "message", "{{__NEW_RUN_2026-11-29_01-02-05}}")
	p.await("a", "running")
}

// TestManyRestarts: an app that is restarted many times a second writes more to :status than its
// state may lag behind.
func TestManyRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs := s.Dial(1)
	add := func(message string) {
		t.Helper()
		if _, err := logs.Do("XADD", "logs:app:a:status", "*", "message", message); err != nil {
			t.Fatal(err)
		}
	}
	var conns redisconn.Pair
	b := newBoard(config.Board{Redis: s.Config().Redis}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err := conns.Dial(t.Context(), b.cfg); err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	v := &visit{board: b, values: conns.Values, logs: conns.Logs}
	b.state = there
	polled := func() State {
		t.Helper()
		if err := v.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b.view(b.apps["a"], 1).State
	}
	add("{{__NEW_RUN_2026-11-29_01-02-03}}")
	if got := polled(); got != Running {
		t.Errorf("the state is %v at first", got)
	}
	for range 90 {
		add("{{__END_RUN_2026-11-29_01-02-04_exit_1}}")
		add("{{__NEW_RUN_2026-11-29_01-02-04}}")
	}
	add("{{__END_RUN_2026-11-29_01-02-05_exit_0}}")
	for n := 1; polled() != Ended; n++ {
		if n == 5 {
			t.Fatalf("the end is not seen after %d polls", n)
		}
	}
}

// TestIdle: Redis may close a connection that no request has used for a while.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	if _, err := s.Dial(1).Do("XADD", "logs:app:a:info", "*", "message", "x"); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, s)
	admin := s.Dial(0)
	eventually(t, "the app is known", func() bool { return p.apps()["a"] != nil })
	for range 3 {
		if status, body := p.get("/api/v1/apps/a/log"); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
		if _, err := admin.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAwayPage opens the page of an app while its board is away: the log comes with the board.
func TestAwayPage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes")
	if _, err := s.Dial(1).Do("XADD", "logs:app:a:info", "*", "message", "kept"); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, s)
	eventually(t, "the app is known", func() bool { return p.apps()["a"] != nil })
	s.Down()
	b := p.open("/app/a?board=left", 1000, 700, "light")
	b.wait(`!document.getElementById("note").hidden`)
	s.Up()
	b.wait(`document.getElementById("lines").textContent.includes("kept") && document.getElementById("note").hidden`)
}

// TestRunAndTimes: a run's lines are bounded by since and until, too.
func TestRunAndTimes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	hour := time.Now().Truncate(time.Hour).Add(-3 * time.Hour)
	for run := range 2 {
		begin := hour.Add(time.Duration(run) * time.Hour)
		marker := "{{__NEW_RUN_" + begin.Format(entry.RunMarkerLayout) + "}}"
		c.Send("XADD", "logs:app:a:status", begin.UnixMilli(), "message", marker)
		for minute := range 3 {
			c.Send("XADD", "logs:app:a:info", begin.Add(time.Duration(minute)*time.Minute).UnixMilli(), "message", fmt.Sprint(run, minute))
		}
	}
	if _, err := c.Do(""); err != nil {
		t.Fatal(err)
	}
	client, err := redisconn.Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first := hour.Format(entry.RunMarkerLayout)
	for _, tt := range []struct {
		run          string
		since, until time.Duration
		place        string // the parameter before or after, and the hours until it
		want         string
	}{
		{run: "last", want: "1 0, 1 1, 1 2"},
		{run: "last", since: time.Minute, want: "1 0, 1 1, 1 2"},
		{run: "last", since: 61 * time.Minute, want: "1 1, 1 2"},
		{run: "last", until: 61 * time.Minute, want: "1 0, 1 1"},
		{run: first, want: "0 0, 0 1, 0 2"},
		{run: first, since: time.Minute, until: time.Minute, want: "0 1"},
		{run: first, until: 90 * time.Minute, want: "0 0, 0 1, 0 2"},
		{run: first, place: "before 2", want: "0 0, 0 1, 0 2"},
		{run: first, place: "after -1", want: "0 0, 0 1, 0 2"},
		{run: "last", place: "after 0", want: "1 0, 1 1, 1 2"},
		{run: "last", since: 61 * time.Minute, place: "after 0", want: "1 1, 1 2"},
	} {
		p := url.Values{"run": {tt.run}, "stream": {"info"}}
		if name, hours, ok := strings.Cut(tt.place, " "); ok {
			n, _ := time.ParseDuration(hours + "h")
			p.Set(name, fmt.Sprintf("%d-0", hour.Add(n).UnixMilli()))
		}
		for name, d := range map[string]time.Duration{"since": tt.since, "until": tt.until} {
			if d > 0 {
				p.Set(name, hour.Add(d).Format(time.RFC3339))
			}
		}
		q, err := parseLogQuery(p)
		if err != nil {
			t.Fatal(err)
		}
		page, err := q.page(t.Context(), client, "a")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range page.Lines {
			got = append(got, l.Text)
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%v: %q, want %s", p, got, tt.want)
		}
	}
}

// TestSlowViewer: a viewer that does not receive is dropped, and no other waits for it.
func TestSlowViewer(t *testing.T) {
	t.Parallel()
	tail := newTail(nil)
	slow, quick := tail.add("a", entry.ID{}), tail.add("a", entry.ID{})
	line := []journal.Line{{App: "a"}}
	for range backlog + 1 {
		tail.distribute(line)
		<-quick.lines
	}
	select {
	case <-slow.slow:
	default:
		t.Error("the slow one is not dropped")
	}
	select {
	case <-quick.slow:
		t.Error("the quick one is dropped")
	default:
	}
	if len(tail.viewers) != 1 {
		t.Errorf("%d viewers", len(tail.viewers))
	}
}

// TestViewersAreBounded: live views are limited, and one that ends makes room for another.
func TestViewersAreBounded(t *testing.T) {
	t.Parallel()
	p := start(t, nil, redistest.Start(t))
	var open []io.Closer
	for range maxViewers {
		answer, err := http.Get(p.url + "live")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%d %q %v", answer.StatusCode, line, err)
		}
		open = append(open, answer.Body)
	}
	if status, body := p.get("/live"); status != http.StatusServiceUnavailable || !strings.Contains(body, "100 live views are open") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := p.get("/"); status != http.StatusOK {
		t.Errorf("the page itself is %d", status)
	}
	open[0].Close()
	eventually(t, "there is room again", func() bool {
		answer, err := http.Get(p.url + "live")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}
