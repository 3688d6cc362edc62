package fleet

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// TestAssess checks an app's state by its hashes and its newest marker.
func TestAssess(t *testing.T) {
	t.Parallel()
	begun := func(ago time.Duration) *marker {
		return &marker{RunMarker: entry.RunMarker{Begins: true, Stamp: "2026-11-29_11-00-00"}, at: noon.Add(-ago), boot: "b", host: "h"}
	}
	ended := func(ago time.Duration, exit int) *marker {
		return &marker{RunMarker: entry.RunMarker{Exit: exit}, at: noon.Add(-ago)}
	}
	run := func(state string, ago time.Duration) Instance {
		return Instance{State: state, Started: noon.Add(-ago), Restarts: 2, Spooled: 5}
	}
	older, unheard := begun(time.Hour), begun(time.Hour)
	older.boot, older.host = "", ""
	unheard.noLease = true
	bootless := begun(time.Hour)
	bootless.boot = ""
	for _, row := range []struct {
		name      string
		instances []Instance
		m         *marker
		want      string
		since     time.Duration
		here      Instance
	}{
		{"running", []Instance{run(Running, time.Hour)}, begun(time.Hour), "running", time.Hour, Instance{}},
		{"restarting", []Instance{run(Restarting, time.Minute)}, ended(time.Second, 1), "restarting", time.Minute, Instance{}},
		{"ending", []Instance{run(Ending, time.Hour)}, begun(time.Hour), "ending", time.Hour, Instance{}},
		{"ended while its lease lasts on", []Instance{run(Ending, time.Hour)}, ended(time.Second, 3), "ended 3", time.Second, Instance{}},
		{"started again at once", []Instance{run(Running, 0)}, ended(time.Second, 3), "running", 0, Instance{}},
		{"two instances", []Instance{run(Ending, time.Hour), run(Running, time.Minute)}, begun(time.Minute), "running (2 instances)", time.Hour, Instance{}},
		{"after one that was lost", []Instance{{State: Running, Started: noon, Restarts: 2, Spooled: 5, Before: LostPower}}, begun(0), "running (before: power)", 0, Instance{}},
		{"ended", nil, ended(time.Hour, 139), "ended 139", time.Hour, Instance{}},
		{"killed", nil, begun(leaseGrace), "killed: lease gone", leaseGrace, Instance{}},
		{"killed with the machine", nil, begun(time.Hour), "killed: the machine went down", time.Hour, Instance{Host: "h", Boot: "another"}},
		{"killed on this machine", nil, begun(time.Hour), "killed: lease gone", time.Hour, Instance{Host: "h", Boot: "b"}},
		{"killed on this machine, and nothing says which boot", nil, bootless, "killed: lease gone", time.Hour, Instance{Host: "h", Boot: "b"}},
		{"killed, and this machine does not say which boot", nil, begun(time.Hour), "killed: lease gone", time.Hour, Instance{Host: "h"}},
		{"just begun", nil, begun(leaseGrace - 1), "running", leaseGrace - 1, Instance{}},
		{"just begun by a clock that is ahead", nil, begun(1 - leaseGrace), "running", -1, Instance{}},
		{"begun by a clock that is far ahead", nil, begun(-time.Hour), "killed: lease gone", -1, Instance{}},
		{"an older wrapp, of which nothing is known", nil, older, "unknown", time.Hour, Instance{}},
		{"Redis does not take the hash", nil, unheard, "unknown", time.Hour, Instance{}},
		{"nothing but a hash", []Instance{run(Running, time.Hour)}, nil, "running", time.Hour, Instance{}},
		{"nothing", nil, nil, "unknown", -1, Instance{}},
		{"a state of tomorrow", []Instance{run("thinking", time.Hour)}, begun(time.Hour), "unknown", time.Hour, Instance{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a := assess("app", row.instances, row.m, nil, row.here, noon)
			if a.Summary() != row.want {
				t.Errorf("%s, want %s", a.Summary(), row.want)
			}
			if row.since >= 0 && !a.Since.Equal(noon.Add(-row.since)) {
				t.Errorf("since %v, want %v ago", a.Since, row.since)
			}
			if a.Restarts != 2*len(a.Instances) || a.Waiting != 5*len(a.Instances) {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestInstanceFields: ParseInstance returns the Instance whose fields were written.
func TestInstanceFields(t *testing.T) {
	t.Parallel()
	want := Instance{
		Name: "a:b", ID: "here", Host: "here", PID: 1, AppPID: 7, Started: noon.Add(123 * time.Millisecond), Stamp: "2026-11-29_12-00-00", State: Running,
		Restarts: 2, LastExit: "139", Updated: noon, Lines: 1 << 40, Errors: 8, Dropped: 3, Spooled: 4, DeadLetters: 5, Crashes: 6, Wrapp: "v1.2.3", Boot: "x", Before: LostOOM,
	}
	fields := make(map[string]string)
	for f := want.Fields(); len(f) > 0; f = f[2:] {
		fields[f[0]] = f[1]
	}
	name, id, ok := cutRunKey(RunKey("a:b", "here"))
	if got := parseInstance(name, id, fields); got != want || !ok || len(fields) != 18 {
		t.Errorf("%+v, %v, %d fields", got, ok, len(fields))
	}
	if got := parseInstance("a", "b", map[string]string{"pid": "-3", "lines": "many", "started": "yesterday"}); got != (Instance{Name: "a", ID: "b"}) {
		t.Errorf("%+v", got)
	}
	for _, key := range []string{"wrapp-run:", "wrapp-run:a", "wrapp-run::b", "other:a:b"} {
		if _, _, ok := cutRunKey(key); ok {
			t.Errorf("%s is one", key)
		}
	}
}

// readApps calls Read over connections of its own.
func readApps(t *testing.T, r *config.Redis) []App {
	t.Helper()
	var clients [2]*redisconn.Client
	for i, db := range []int{r.LogsDB, r.ValuesDB} {
		client, err := redisconn.Dial(context.Background(), r, db)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		clients[i] = client
	}
	apps, err := Read(context.Background(), clients[0], clients[1])
	if err != nil {
		t.Fatal(err)
	}
	return apps
}

type doer interface {
	Do(command string, args ...any) (any, error)
}

// fill writes a few apps.
func fill(t *testing.T, logs, values doer) {
	t.Helper()
	do := func(c doer, command string, args ...any) {
		t.Helper()
		if _, err := c.Do(command, args...); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	id := func(ago time.Duration) string { return fmt.Sprint(now.Add(-ago).UnixMilli()) }
	// A wrapp that is gone; its marker is far back.
	do(logs, "XADD", "logs:app:gone:status", id(2*time.Hour), "message", "{{__NEW_RUN_2026-11-29_10-00-00}}", "host", "h", "boot", "b")
	for i := range 3 * statusPage {
		do(logs, "XADD", "logs:app:gone:status", id(time.Hour-time.Duration(i)*time.Second), "message", "{{__NEW_RUN_nonsense}}")
	}
	for i := range 30 {
		do(logs, "XADD", "logs:app:gone:error", id(time.Duration(29-i)*time.Minute+time.Second), "message", "wrong")
	}
	do(logs, "XADD", "logs:app:gone:crash", id(time.Minute), "message", "gone wrote a traceback and went on: Go: panic: x", "kind", "traceback", "signature", "aaaaaaaaaaaa", "frame", "main.f")
	run := Instance{Host: "h", State: Running, Started: now.Add(-time.Hour), Spooled: 9, Lines: 7}
	do(values, "HSET", redis.Args{RunKey("lives", "h1")}.AddFlat(run.Fields())...)
	run.Started = now.Add(-2 * time.Hour)
	do(values, "HSET", redis.Args{RunKey("lives", "h2")}.AddFlat(run.Fields())...)
	for category, level := range map[string]int{"good": 90, "bad": 10} {
		for property, value := range map[string]int{"beats": 1, "cap": 100, "depletion_rate": 1, "init": 1, "replenish_rate": 1, "running": 1, "exit": 0, "health": level} {
			do(values, "SET", "lives:__healthpool__"+category+"_"+property, value)
		}
	}
	do(values, "SET", "wrapp-run:strange:h", "no hash")
	for _, stream := range []string{"status", "error", "crash"} {
		do(logs, "SET", "logs:app:lives:"+stream, "no stream")
	}
}

func check(t *testing.T, apps []App) {
	t.Helper()
	if len(apps) != 2 || apps[0].Name != "gone" || apps[1].Name != "lives" {
		t.Fatalf("%+v", apps)
	}
	gone, lives := apps[0], apps[1]
	if gone.Summary() != "killed: lease gone" || gone.Errors != 10 || gone.Crash == nil || gone.Crash.What != "Go: panic: x" || gone.Crash.Frame != "main.f" {
		t.Errorf("%+v, %+v", gone, gone.Crash)
	}
	if lives.Summary() != "running (2 instances)" || lives.Waiting != 18 || lives.Pool == nil || lives.Pool.Category != "bad" || time.Since(lives.Since) < 90*time.Minute {
		t.Errorf("%+v", lives)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	fill(t, s.Dial(1), s.Dial(2))
	apps := readApps(t, &s.Config().Redis)
	check(t, apps)

	var text bytes.Buffer
	if err := WriteTable(&text, apps); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gone   killed: lease gone ", "bad 10%", "Go: panic: x aaaaaaaaaaaa"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}

// TestWorstPool: pools that were taken out of the configuration do not count while the app runs.
func TestWorstPool(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	values := s.Dial(2)
	const removed, killed, low, good = -1, -2, 10, 90 // without a lease after an end, and after a SIGKILL; health
	for _, row := range []struct {
		name, state string
		pools       map[string]int
		want        string
	}{
		{"runs", Running, map[string]int{"removed": removed, "killed": killed, "low": low, "good": good}, "low 10%"},
		{"runs-bare", Running, map[string]int{"removed": removed, "killed": killed}, ""},
		{"between", Restarting, map[string]int{"good": removed}, "good ended"},
		{"older", "", map[string]int{"removed": removed, "good": good}, "good 90%"},
		{"ended", "", map[string]int{"good": removed}, "good ended"},
		{"killed", "", map[string]int{"good": killed}, "good lease is gone"},
	} {
		if row.state != "" {
			values.Send("HSET", redis.Args{RunKey(row.name, "h")}.AddFlat((&Instance{State: row.state}).Fields())...)
		}
		s.Dial(1).Do("XADD", "logs:app:"+row.name+":status", "*", "message", "m")
		for category, level := range row.pools {
			for property, value := range map[string]int{"beats": 1, "cap": 100, "depletion_rate": 1, "init": 1, "replenish_rate": 1, "running": 1, "exit": 0, "health": level} {
				switch {
				case property == "running" && level == removed:
					value = 0
				case property == "health" && level == removed:
					value = 0
				case property == "health" && level == killed:
					continue
				}
				values.Send("SET", row.name+":__healthpool__"+category+"_"+property, value)
			}
		}
		if _, err := values.Do(""); err != nil {
			t.Fatal(err)
		}
		t.Run(row.name, func(t *testing.T) {
			for _, a := range readApps(t, &s.Config().Redis) {
				if got := poolSummary(a.Pool); a.Name == row.name && got != row.want {
					t.Errorf("%q, want %q", got, row.want)
				}
			}
		})
	}
}

// TestReadInCluster has the keys on several servers.
func TestReadInCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, false)
	r := config.Default().Redis
	r.Host, r.Port, r.LogsDB, r.ValuesDB = "", 0, 0, 0
	r.ConnectTimeout = config.Duration(2 * time.Minute)
	r.Cluster = &config.Cluster{Addrs: redistest.Addrs(cluster.Masters)}
	c := inCluster{t, cluster}
	fill(t, c, c)
	check(t, readApps(t, &r))
}

// inCluster sends each command to the owner of its key, which is its first argument.
type inCluster struct {
	t *testing.T
	c *redistest.Cluster
}

func (c inCluster) Do(command string, args ...any) (any, error) {
	return c.c.Owner(c.c.Slot(fmt.Sprint(args[0]))).Dial(0).Do(command, args...)
}

// TestPromlint applies the rules of `promtool check metrics` to names that need escaping.
func TestPromlint(t *testing.T) {
	t.Parallel()
	apps := []App{
		{Name: "a\nb\"\\\xff", State: IsEnded, Exit: 3, Pool: &health.Reading{Pair: health.Pair{Service: "s", Category: "c\n"}}, Crash: &Crash{Time: noon}},
		{Name: "b", State: IsRunning, Since: noon, Instances: []Instance{{ID: "i"}, {ID: "j"}}},
	}
	var text bytes.Buffer
	if err := WritePrometheus(&text, apps); err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(&text).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
