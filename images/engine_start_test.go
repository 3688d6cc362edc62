//go:build docker

package images

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// engineTests are the tests of each variant in an engine; only names the one variant that a test
// is for.
var engineTests = []struct {
	name, only string
	run        func(box)
}{
	{"seed", "", box.seed},
	{"shell", "ubuntu22", box.shell},
	{"status", "", box.status},
	{"stop", "", box.stop},
	{"signals", "", box.signals},
	{"restart", "", box.restart},
	{"pause", "", box.pause},
	{"orphans", "", box.orphans},
	{"health", "", box.health},
	{"debug", "ubuntu22", box.debug},
	{"crash", "", box.crash},
	{"privileges", "", box.privileges},
	{"read-only", "", box.readOnly},
	{"spool", "", box.spool},
	{"full disk", "", box.fullDisk},
	{"memory", "", box.memory},
	{"limits", "", box.limits},
	{"users", "", box.users},
	{"logs", "", box.dockerLogs},
	{"terminal", "", box.terminal},
	{"compose", "", box.compose},
	{"restart policy", "", box.restartPolicy},
}

// seed: the first commands that a user runs work.
func (b box) seed() {
	server := b.server()
	config := b.config(fmt.Sprintf(`[redis]
host = "127.0.0.1"
port = %d
[app]
executable = "/app"
args = ["lines", "3", "20", "0"]
stream_name = "myapp"
[health.pools.api]
init = 10
cap = 10
`, server.Port))
	mounts := []string{"--network", "host", "-v", config + ":/config.toml:ro", "-v", b.engine.app + ":/app:ro"}
	b.start(mounts, b.wrapp("/config.toml")...).wantStatus(0)
	got := server.Messages("logs:app:myapp:info")
	if len(got) != 6 || !strings.HasPrefix(got[1], "line 0 ") || !strings.HasSuffix(got[5], "_exit_0}}") {
		b.Errorf("the stream has %q", got)
	}
	health := b.output(append(mounts, "--entrypoint", "jettison_health"), "--config", "/config.toml", "myapp:api")
	if !strings.Contains(health, `"myapp:api": {`) || !strings.Contains(health, `"exists": true`) {
		b.Errorf("jettison_health says %s", health)
	}
	if got := b.output(nil, b.wrapp("version")...); !strings.Contains(got, "linux/"+runtime.GOARCH) {
		b.Errorf("wrapp version says %s", got)
	}
}

// shell: without arguments, ubuntu22 starts bash at the terminal.
func (b box) shell() {
	line := fmt.Sprintf("%s run --rm -it --label %s %s", b.docker[0], b.label, b.images[b.variant])
	out, status := b.atTerminal(line, "id -un; for t in jq redis-cli gdb gdbserver jettison_health wrapp; do $t --version >/dev/null && echo has-$t; done; exit 5\n")
	for _, want := range []string{"archer", "has-jq", "has-redis-cli", "has-gdb\r", "has-gdbserver", "has-jettison_health", "has-wrapp"} {
		if !strings.Contains(out, want) {
			b.Errorf("no %q in what the shell says: %s", want, out)
		}
	}
	if status != 5 {
		b.Errorf("status %d, want the shell's 5", status)
	}
}

// atTerminal runs a command line at a new terminal and types text. It returns the terminal's
// output until the command ends, and the exit status.
func (b box) atTerminal(line, text string) (shown string, status int) {
	b.Helper()
	cmd := exec.Command("script", "--quiet", "--return", "--command", line, "/dev/null")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(stdin, text)
	cmd.Wait() // the error is in the exit status
	return out.String(), cmd.ProcessState.ExitCode()
}

// status: the engine gets the app's exact exit status.
func (b box) status() {
	server := b.server()
	wrong := b.config("[redis]\nprot = 1\n[app]\nexecutable = \"/app\"\n")
	redis := []string{"--redis", server.URL()}
	for name, test := range map[string]struct {
		want int
		args []string
	}{
		"0":               {0, []string{"--", "/app", "exit", "0"}},
		"7":               {7, []string{"--", "/app", "exit", "7"}},
		"configuration":   {125, []string{"/config.toml"}},
		"not executable":  {126, []string{"--", "/config.toml"}},
		"not there":       {127, []string{"--", "/nowhere"}},
		"SIGABRT":         {134, []string{"--", "/app", "kill", "6"}},
		"SIGKILL":         {137, []string{"--", "/app", "kill", "9"}},
		"SIGSEGV":         {139, []string{"--", "/app", "kill", "11"}},
		"SIGTERM":         {143, []string{"--", "/app", "kill", "15"}},
		"real-time 34":    {162, []string{"--", "/app", "kill", "34"}},
		"255, the last":   {255, []string{"--", "/app", "exit", "255"}},
		"no such command": {125, []string{"--no-such-flag", "--", "/app"}},
	} {
		b.Run(name, func(t *testing.T) {
			b := box{t, b.engine, b.variant}
			args := test.args
			if test.want != 125 {
				args = append(slices.Clone(redis), args...)
			}
			c := b.start([]string{"--network", "host", "-v", b.engine.app + ":/app:ro", "-v", wrong + ":/config.toml:ro"}, b.wrapp(args...)...)
			c.wantStatus(test.want)
			if logs := c.logs(); (test.want >= 125 && test.want <= 127) != strings.Contains(logs, "wrapp: error: ") {
				t.Errorf("wrapp says %q", logs)
			}
		})
	}
}

// started waits until the app under wrapp has printed "ready".
func (c *container) started(messages func() []string) {
	c.Helper()
	until(c.T, "ready", func() bool { return has(messages(), "ready") })
}

// stop: docker stop ends the app's whole tree, and the app's last output is delivered.
func (b box) stop() {
	server := b.server()
	for name, test := range map[string]struct {
		app     string
		opts    []string
		want    int
		last    string
		timeout string
	}{
		"quick":     {"quick", nil, 0, "bye", "1m"},
		"deaf":      {"deaf", nil, 137, "ready", "500ms"},
		"with init": {"quick", []string{"--init"}, 0, "bye", "1m"},
		"host pids": {"quick", []string{"--pid", "host"}, 0, "bye", "1m"},
	} {
		b.Run(name, func(t *testing.T) {
			b := box{t, b.engine, b.variant}
			key := strings.ReplaceAll(name, " ", "-")
			c := b.app(test.opts, []string{"--redis", server.URL(), "--name", key, "--stop-timeout", test.timeout}, test.app)
			info := func() []string { return server.Messages("logs:app:" + key + ":info") }
			c.started(info)
			b.engine.run(t, "stop", "--time", "90", c.id)
			c.wantStatus(test.want)
			got := info()
			if n := len(got); n < 2 || got[n-2] != test.last || !strings.HasSuffix(got[n-1], fmt.Sprintf("_exit_%d}}", test.want)) {
				t.Errorf("the stream has %q", got)
			}
		})
	}
	b.Run("Redis away", func(t *testing.T) {
		b := box{t, b.engine, b.variant}
		away := b.server()
		away.Down()
		c := b.app(nil, []string{"--redis", away.URL(), "--passthrough", "always"}, "quick")
		until(t, "ready", func() bool { return strings.Contains(c.logs(), "ready") })
		b.engine.run(t, "stop", "--time", "30", c.id)
		c.wantStatus(0)
	})
}

// signals: docker kill -s reaches the app; after SIGKILL nothing is left running.
func (b box) signals() {
	server := b.server()
	flags := []string{"--redis", server.URL(), "--name", "hup"}
	c := b.app(nil, flags, "hup")
	info := func() []string { return server.Messages("logs:app:hup:info") }
	c.started(info)
	c.kill("HUP")
	c.wantStatus(3)

	flags[3] = "deaf"
	c = b.app([]string{"--pid", "host"}, flags, "deaf")
	c.started(func() []string { return server.Messages("logs:app:deaf:info") })
	pid := c.inspect("{{.State.Pid}}")
	lists, err := filepath.Glob("/proc/" + pid + "/task/*/children") // of each thread
	if err != nil {
		b.Fatal(err)
	}
	var children []string
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		children = append(children, strings.Fields(string(text))...)
	}
	if len(children) != 1 {
		b.Fatalf("wrapp's children: %q", children)
	}
	c.kill("KILL")
	c.wantStatus(137)
	// In the host's PID namespace the kernel does not end the app together with wrapp.
	app := "/proc/" + children[0]
	until(b.T, "the app gone", func() bool { _, err := os.Stat(app); return err != nil })
}

// restart: each start of the container is a new run.
func (b box) restart() {
	server := b.server()
	c := b.app(nil, []string{"--redis", server.URL(), "--name", "again"}, "quick")
	info := func() []string { return server.Messages("logs:app:again:info") }
	c.started(info)
	b.engine.run(b.T, "restart", "--time", "30", c.id)
	count := func(word string) (n int) {
		for _, m := range info() {
			if strings.Contains(m, word) {
				n++
			}
		}
		return n
	}
	until(b.T, "ready again", func() bool { return count("ready") == 2 })
	if news, ends := count("{{__NEW_RUN_"), count("_exit_0}}"); news != 2 || ends != 1 {
		b.Errorf("%d runs began and %d ended, want 2 and 1", news, ends)
	}
	b.engine.run(b.T, "stop", c.id)
	c.wantStatus(0)
}

// pause: the time that the engine pauses the container does not deplete pools.
func (b box) pause() {
	server := b.server()
	config := b.config(fmt.Sprintf(`[redis]
url = %q
[app]
executable = "/app"
args = ["beat"]
stream_name = "held"
[health]
interval = "100ms"
[health.pools.api]
init = 250
cap = 250
depletion_rate = 50
replenish_rate = 50
`, server.URL()))
	c := b.start([]string{"--network", "host", "-v", config + ":/config.toml:ro", "-v", b.engine.app + ":/app:ro"}, b.wrapp("/config.toml")...)
	c.started(func() []string { return server.Messages("logs:app:held:info") })
	pools := server.Dial(2)
	beats := func() (n int) {
		text, _ := pools.Do("GET", "held:__healthpool__api_beats")
		fmt.Sscanf(fmt.Sprintf("%s", text), "%d", &n)
		return n
	}
	until(b.T, "beats", func() bool { return beats() > 3 })
	b.engine.run(b.T, "pause", c.id)
	time.Sleep(10 * time.Second) // twice as long as the pool lasts
	before := beats()
	b.engine.run(b.T, "unpause", c.id)
	until(b.T, "more beats", func() bool { return beats() > before+10 })
	for _, stream := range []string{"status", "error"} {
		if got := server.Messages("logs:app:held:" + stream); has(got, "depleted") {
			b.Errorf("the pause depleted the pool: :%s has %q", stream, got)
		}
	}
	// The same silence of a running app does.
	c.kill("USR1")
	until(b.T, "depleted by the app's silence", func() bool {
		return has(server.Messages("logs:app:held:status"), "depleted") || has(server.Messages("logs:app:held:error"), "depleted")
	})
	b.engine.run(b.T, "stop", c.id)
}

// orphans: processes that the app leaves behind are reaped and ended, with or without another
// init before wrapp.
func (b box) orphans() {
	server := b.server()
	for _, opts := range [][]string{nil, {"--init"}, {"--pid", "host"}} {
		name := "as-first" + strings.Join(opts, "")
		c := b.app(opts, []string{"--redis", server.URL(), "--name", name, "--stop-timeout", "300ms"}, "orphans", "20")
		c.wantStatus(0)
		if got := server.Messages("logs:app:" + name + ":info"); !has(got, "left") {
			b.Errorf("%v: the stream has %q", opts, got)
		}
	}
	// No process of the containers is left, not even in the host's namespace.
	if text, err := exec.Command("pgrep", "--full", "^/app orphans 20$").Output(); err == nil {
		b.Errorf("still running: %s", text)
	}
}
