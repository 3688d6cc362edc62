package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// configure writes a configuration that reaches the server.
func configure(t *testing.T, s *redistest.Server, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.toml")
	text = fmt.Sprintf("redis.host = '127.0.0.1'\nredis.port = %d\n%s", s.Port, text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// shell returns the [app] table that runs a script.
func shell(name, script string) string {
	return fmt.Sprintf("[app]\nexecutable = '/bin/sh'\nstream_name = '%s'\nargs = ['-c', '''%s''']\n", name, script)
}

// A poolView is a pool in the output of jettison_health.
type poolView struct {
	Beats, Cap, Running, Exit, Health int64
	Exists                            bool
	Missing                           []string `json:"missing_keys"`
}

// pool returns a pool from the command jettison_health.
func pool(t *testing.T, file, pair string) (p poolView, exit int) {
	t.Helper()
	out, err := tool(t, "jettison_health", "--config", file, pair).Output()
	var document struct{ Data map[string]poolView }
	if err := json.Unmarshal(out, &document); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return document.Data[pair], code(t, err)
}

// begin starts wrapp, which does not outlive the test.
func begin(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// TestPoolOfAnApp tests the whole loop: an app, its pool, and jettison_health, which reports
// the app as healthy until it is not.
func TestPoolOfAnApp(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("myapp", `echo "{{__healthpool__api_beats}}{{__healthpool__own_cap:7}}"; echo ready; exec sleep 1000`)+`
[health]
interval = "200ms"
[health.pools.api]
init = 1500
cap = 1000
depletion_rate = 1
replenish_rate = 15
`)
	cmd := wrapp(t, file)
	begin(t, cmd)
	eventually(t, "the app is ready", func() bool { return slices.Contains(s.Messages("logs:app:myapp:info"), "ready") })
	eventually(t, "its beat is published", func() bool {
		p, exit := pool(t, file, "myapp:api")
		return exit == 0 && p.Exists && p.Beats == 1 && p.Running == 1 && p.Health > 1400 && p.Cap == 1000
	})
	eventually(t, "its own pool is published", func() bool {
		p, exit := pool(t, file, "myapp:own")
		return exit == 0 && p.Cap == 7 && p.Health == 7
	})

	// A monitor that scans finds the pools.
	c := s.Dial(2)
	eventually(t, "the pools are found, with health only for a while", func() bool {
		keys, err := redis.Strings(c.Do("KEYS", "*:__healthpool__*_*"))
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, key := range keys {
			if strings.HasPrefix(key, "wrapp:") {
				continue // the value that the marker wrote
			}
			if m := regexp.MustCompile(`(.*?):__healthpool__(.*?)_(cap|health)$`).FindStringSubmatch(key); m != nil {
				found = append(found, m[1]+" "+m[2]+" "+m[3])
			}
			left, err := redis.Int64(c.Do("PTTL", key))
			if err != nil || left > 5000 || !strings.HasSuffix(key, "_health") && left > 0 {
				t.Fatalf("%s is there for %d ms, %v", key, left, err)
			}
			if strings.HasSuffix(key, "_health") && left <= 0 {
				return false // a busy machine has let it end
			}
		}
		slices.Sort(found)
		return slices.Equal(found, []string{"myapp api cap", "myapp api health", "myapp own cap", "myapp own health"})
	})
	eventually(t, "all are shown", func() bool {
		all, err := tool(t, "jettison_health", "--config", file, "--all", "--format", "table").Output()
		return err == nil && strings.Count(string(all), "\n") == 3
	})

	// Redis comes back empty.
	s.Down()
	s.Up()
	eventually(t, "published again", func() bool { p, _ := pool(t, file, "myapp:api"); return p.Exists && p.Beats == 1 })

	cmd.Process.Signal(syscall.SIGTERM)
	if got := code(t, cmd.Wait()); got != 143 {
		t.Errorf("exit status %d", got)
	}
	p, exit := pool(t, file, "myapp:api")
	if exit != 0 || p.Running != 0 || p.Exit != 143 || p.Health != 0 || !p.Exists {
		t.Errorf("at the end: %+v, exit status %d", p, exit)
	}
}

// TestPoolEnds has apps end in several ways.
func TestPoolEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, test := range map[string]struct {
		script string
		want   int64
	}{
		"zero":    {"exit 0", 0},
		"seven":   {"exit 7", 7},
		"killed":  {"kill -KILL $$", 137},
		"late":    {"echo '{{__healthpool__api_beats}}'; exit 3", 3},
		"missing": {"", 127},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := shell(name, test.script)
			if name == "missing" {
				app = "[app]\nexecutable = '/nonexistent/app'\nstream_name = 'missing'\n"
			}
			file := configure(t, s, app+"[health.pools.api]\ncap = 10\n")
			if out, err := wrapp(t, file).CombinedOutput(); int64(code(t, err)) != test.want {
				t.Errorf("%v: %s", err, out)
			}
			p, exit := pool(t, file, name+":api")
			if exit != 0 || p.Running != 0 || p.Exit != test.want || p.Health != 0 {
				t.Errorf("%+v, exit status %d", p, exit)
			}
			if name == "late" && p.Beats != 1 {
				t.Errorf("%d beats", p.Beats)
			}
		})
	}
}

// TestOverwritten has an app write markers before a progress bar that never ends its line:
// the bar is one entry at the end, but each marker counts at once.
func TestOverwritten(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("bar", `trap 'printf "100%%\n"; exit 0' TERM
while :; do printf '{{__healthpool__api_beats}}{{frames}}1%%\r'; sleep 0.05; done`)+`
[health]
interval = "200ms"
[health.pools.api]
cap = 10
`)
	cmd := wrapp(t, file)
	begin(t, cmd)
	eventually(t, "it beats", func() bool { p, _ := pool(t, file, "bar:api"); return p.Beats >= 3 })
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	p, _ := pool(t, file, "bar:api")
	frames, err := redis.Int64(s.Dial(2).Do("GET", "wrapp:bar:frames"))
	if got := output(t, s, "bar"); !slices.Equal(got, []string{"100%"}) || err != nil || frames < 3 || frames != p.Beats {
		t.Errorf("%q, %d frames, %d beats, %v", got, frames, p.Beats, err)
	}
}

// TestNobodyKeeps kills wrapp: the health of its pools expires.
func TestNobodyKeeps(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("gone", "exec sleep 1000")+"[health.pools.api]\ncap = 10\n")
	cmd := wrapp(t, file)
	begin(t, cmd)
	eventually(t, "it is healthy", func() bool { _, exit := pool(t, file, "gone:api"); return exit == 0 })
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "it is not", func() bool {
		p, exit := pool(t, file, "gone:api")
		return exit == 1 && !p.Exists && slices.Equal(p.Missing, []string{"health"}) && p.Running == 1
	})
}

// TestSources tries heartbeats from every source.
func TestSources(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			io.WriteString(w, strings.Repeat("fine\n", 10_000))
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, r, "/bad", http.StatusFound)
		case "/hang":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(web.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	hung := filepath.Join(t.TempDir(), "hung")
	sources := map[string]struct {
		beat string
		want bool
	}{
		"output":   {"output", true},
		"marker":   {"marker", false}, // the app writes none
		"web":      {web.URL + "/ok?a=b", true},
		"early":    {web.URL + "/early", true},
		"moved":    {web.URL + "/moved", true},
		"web_bad":  {web.URL + "/bad", false},
		"web_hang": {web.URL + "/hang", false},
		"no_web":   {"http://" + silent.Addr().String() + "/", false},
		"tcp":      {"tcp://" + silent.Addr().String(), true},
		"no_tcp":   {"tcp://127.0.0.1:1", false},
		"exec":     {`exec:sh -c "test \"$WHO\" = 'the app'"`, true},
		"exec_bad": {"exec:false", false},
		"exec_not": {"exec:/nonexistent/probe", false},
		"hang":     {"exec:sh -c 'echo $$ >>" + hung + "; sleep 1000 & echo $! >>" + hung + "; wait'", false},
	}
	text := shell("sources", "while :; do echo line; sleep 0.1; done") + "env.WHO = 'the app'\n[health]\ninterval = '2s'\n"
	for category, source := range sources {
		text += fmt.Sprintf("[health.pools.%s]\ninit = 0\ncap = 100\nreplenish_rate = 1\nbeat = ['''%s''']\n", category, source.beat)
	}
	file := configure(t, s, text)
	cmd := wrapp(t, file)
	begin(t, cmd)
	for category, source := range sources {
		if source.want {
			eventually(t, category+" beats", func() bool {
				p, _ := pool(t, file, "sources:"+category)
				return p.Beats >= 3 && p.Health >= 3
			})
		}
	}
	ran := func() []string {
		text, _ := os.ReadFile(hung)
		return strings.Fields(string(text))
	}
	eventually(t, "the hanging probe has run twice", func() bool { return len(ran()) >= 4 })
	for category, source := range sources {
		if p, _ := pool(t, file, "sources:"+category); !source.want && p.Beats > 0 {
			t.Errorf("%s: %+v", category, p)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if got := code(t, cmd.Wait()); got != 143 {
		t.Errorf("exit status %d", got)
	}
	for _, pid := range ran() {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s of a probe is left", pid)
		}
	}
}

// TestDepleted stops an app that is silent, once it has said that it is there.
func TestDepleted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("silent", `trap "echo bye; exit 9" TERM; echo "{{__healthpool__api_beats}}"; while :; do sleep 0.05; done`)+`
[health.pools.api]
init = 0
cap = 1
depletion_rate = 2
replenish_rate = 1
on_depleted = "stop"
`)
	out, err := wrapp(t, file).CombinedOutput()
	if got := code(t, err); got != 9 {
		t.Errorf("exit status %d: %s", got, out)
	}
	if !slices.Contains(s.Messages("logs:app:silent:status"), "stopping: health pool api is depleted") {
		t.Errorf("%q", s.Messages("logs:app:silent:status"))
	}
}

// TestRefusedMarkers has an app declare impossible parameters.
func TestRefusedMarkers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("wrong", `for i in 1 2 3; do echo "{{__healthpool__api_cap:0}}"; done; echo "{{__healthpool__api_init:1.5}}"`)+"[health.pools.api]\ncap = 5\n")
	if out, err := wrapp(t, file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if p, _ := pool(t, file, "wrong:api"); p.Cap != 5 {
		t.Errorf("%+v", p)
	}
	if got := s.Messages("logs:app:wrong:error"); len(got) != 2 || !strings.Contains(got[0], "cap must be at least 1 and not 0") {
		t.Errorf("%q", got)
	}
}

// TestAwayAtTheEnd ends an app while Redis is away: wrapp ends too, and reports what it could
// not publish.
func TestAwayAtTheEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("away", "exec sleep 1000")+"[health.pools.api]\ncap = 10\n")
	cmd := hurried(wrapp(t, file))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begin(t, cmd)
	eventually(t, "it is published", func() bool { _, exit := pool(t, file, "away:api"); return exit == 0 })
	s.Pause()
	defer s.Resume()
	cmd.Process.Signal(syscall.SIGTERM)
	if got := code(t, cmd.Wait()); got != 143 {
		t.Errorf("exit status %d", got)
	}
	if !strings.Contains(stderr.String(), "the end of the health pools is not published") {
		t.Errorf("stderr: %s", &stderr)
	}
}
