//go:build docker

package images

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// users: the user of the container decides the app's user, groups and home.
func (b box) users() {
	server := b.server()
	for name, test := range map[string]struct {
		opts []string
		want []string
	}{
		"archer":     {nil, []string{"uid 1000 gid 1000 ", " 44", "home /home/archer user archer"}},
		"added":      {[]string{"--group-add", "4444"}, []string{"uid 1000 gid 1000 ", " 44", " 4444"}},
		"arbitrary":  {[]string{"-u", "1234560:0"}, []string{"uid 1234560 gid 0", "home / user 1234560"}},
		"root":       {[]string{"-u", "0"}, []string{"uid 1000 gid 1000", " 44", "home /home/archer user archer"}},
		"root-added": {[]string{"-u", "0", "--group-add", "4444"}, []string{"uid 1000 gid 1000", " 44", " 4444"}},
	} {
		b.app(test.opts, []string{"--redis", server.URL(), "--name", name}, "who").wantStatus(0)
		got := strings.Join(server.Messages("logs:app:"+name+":info"), "\n")
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				b.Errorf("%s: the app says %q, want %q", name, got, want)
			}
		}
	}
}

// dockerLogs: with passthrough, docker logs has the app's output in order, even long lines.
func (b box) dockerLogs() {
	server := b.server()
	c := b.app(nil, []string{"--redis", server.URL(), "--name", "copied", "--passthrough", "always"}, "lines", "300", "50000", "0")
	c.wantStatus(0)
	stdout, err := exec.Command(b.docker[0], "logs", c.id).Output() // without stderr
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for line := range strings.Lines(string(stdout)) {
		if !strings.HasPrefix(line, fmt.Sprintf("line %d ", i)) || len(line) != 50001 {
			b.Fatalf("line %d is %d bytes: %.40q", i, len(line), line)
		}
		i++
	}
	if i != 300 {
		b.Errorf("%d lines, want 300", i)
	}
	if logs := c.logs(); !strings.Contains(logs, "all written") {
		b.Error("docker logs has nothing of stderr")
	}
	wantLines(b.T, server, "logs:app:copied:info", 300)
}

// restartPolicy: wrapp reports a wrong configuration at each start, until the engine's limit of
// restarts.
func (b box) restartPolicy() {
	wrong := b.config("[redis]\nprot = 1\n[app]\nexecutable = \"/app\"\n")
	c := b.start([]string{"--restart", "on-failure:2", "-v", wrong + ":/config.toml:ro"}, b.wrapp("/config.toml")...)
	until(b.T, "given up", func() bool { return c.inspect("{{.State.Status}} {{.RestartCount}}") == "exited 2" })
	c.wantStatus(125)
	if n := strings.Count(c.logs(), "wrapp: error: /config.toml:2: redis.prot: unknown key (did you mean redis.port?)"); n != 3 {
		b.Errorf("told %d times, want 3: %s", n, c.logs())
	}
	// The engine restarts only an app that fails.
	server := b.server()
	b.app([]string{"--restart", "on-failure:1"}, []string{"--redis", server.URL(), "--name", "fine"}, "exit", "0").wantStatus(0)
	c = b.app([]string{"--restart", "on-failure:1"}, []string{"--redis", server.URL(), "--name", "fails"}, "exit", "7")
	until(b.T, "two runs", func() bool { return c.inspect("{{.State.Status}} {{.RestartCount}}") == "exited 1" })
	if got := server.Messages("logs:app:fails:info"); len(got) != 6 {
		b.Errorf("two runs are %q", got)
	}
}

// A project is examples/compose with our app and images.
type project struct {
	box
	dir  string
	name string
}

func (p project) compose(args ...string) string {
	p.Helper()
	line := []string{"docker-compose"}
	if p.engine.compose2() {
		line = append(slices.Clone(p.docker), "compose")
	}
	cmd := exec.Command(line[0], append(append(line[1:], "--project-name", p.name), args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "IMAGE="+p.images[p.variant], "REDIS_IMAGE="+p.redis, "APP="+p.engine.app)
	text, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return strings.TrimSpace(string(text))
}

func (e *engine) compose2() bool {
	_, err := e.try("compose", "version")
	return err == nil
}

// service returns the container of a service.
func (p project) service(name string) *container {
	p.Helper()
	return &container{p.box, p.compose("ps", "-q", name)}
}

// compose: examples/compose neither loses nor repeats a line while Redis is disconnected, paused,
// restarted and killed, and across down and up.
func (b box) compose() {
	p := project{b, publicDir(b.T), fmt.Sprintf("jettison%d%s", os.Getpid(), b.variant)}
	text, err := os.ReadFile("../examples/compose/compose.yaml")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "compose.yaml"), text, 0o644); err != nil {
		b.Fatal(err)
	}
	config, err := os.ReadFile("../examples/compose/config.toml")
	if err != nil {
		b.Fatal(err)
	}
	// Ours writes numbered lines in place of the example's camera.
	run := strings.Replace(string(config), `args = ["--fps", "30"]`, `args = ["lines", "1000000", "60", "5000"]`, 1) + "\n[logs]\nmax_entries = 1000000\npassthrough = \"always\"\n"
	if run == string(config) {
		b.Fatalf("the example's configuration has other args: %s", config)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "config.toml"), []byte(run), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if b.Failed() {
			b.Log(p.compose("logs", "--tail", "20"))
		}
		p.compose("down", "--volumes", "--timeout", "1")
	})
	p.compose("up", "-d")
	camera := p.service("camera")
	until(b.T, "healthy", func() bool { return camera.inspect("{{.State.Health.Status}}") == "healthy" })

	written := func() (n int) { // reading the whole log each time would take too long
		last := strings.TrimSpace(b.engine.run(b.T, "logs", "--tail", "1", camera.id))
		if _, err := fmt.Sscanf(last, "line %d ", &n); err != nil {
			return 0 // the last line is wrapp's own
		}
		return n + 1
	}
	more := func(n int) {
		b.Helper()
		first := 0
		until(b.T, "lines", func() bool { first = written(); return first > 0 })
		until(b.T, "more lines", func() bool { return written() >= first+n })
	}
	network := p.name + "_default"
	server := p.service("redis").id
	for _, fault := range [][2][]string{
		{{"network", "disconnect", network, server}, {"network", "connect", "--alias", "redis", network, server}},
		{{"pause", server}, {"unpause", server}},
		{{"restart", server}, nil},
		{{"kill", server}, {"start", server}},
	} {
		b.engine.run(b.T, fault[0]...)
		more(300)
		if fault[1] != nil {
			b.engine.run(b.T, fault[1]...)
		}
		p.caughtUp(written())
	}
	// Down while Redis is unreachable: the rest waits on the volume.
	b.engine.run(b.T, "network", "disconnect", network, server)
	more(300)
	p.compose("stop", "--timeout", "60", "camera")
	want := linesOf(strings.Split(camera.logs(), "\n"))
	p.compose("down")
	p.compose("up", "-d")
	p.caughtUp(len(want))
	p.compose("stop", "--timeout", "60", "camera")
	got := linesOf(p.messages())
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		b.Errorf("%d lines were written and %d arrived, or in another order", len(want), len(got))
	}
	for i, line := range got[len(want):] {
		if !strings.HasPrefix(line, fmt.Sprintf("line %d ", i)) {
			b.Fatalf("the second run's line %d is %q", i, line)
		}
	}
}

// linesOf returns the app's lines.
func linesOf(texts []string) (lines []string) {
	for _, text := range texts {
		if strings.HasPrefix(text, "line ") {
			lines = append(lines, text)
		}
	}
	return lines
}

const cameraLines = "logs:app:camera:info"

// ask sends a command to the project's Redis. It returns an error while Redis is unreachable.
func (p project) ask(command string, args ...any) (any, error) {
	p.Helper()
	address := p.service("redis").inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
	conn, err := redis.Dial("tcp", net.JoinHostPort(address, "6379"), redis.DialDatabase(1))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(command, args...)
}

// messages returns the camera's messages in Redis.
func (p project) messages() (messages []string) {
	p.Helper()
	values, err := redis.Values(p.ask("XRANGE", cameraLines, "-", "+"))
	if err != nil {
		p.Fatal(err)
	}
	for _, v := range values {
		pair, _ := redis.Values(v, nil)
		fields, _ := redis.StringMap(pair[1], nil)
		messages = append(messages, fields["message"])
	}
	return messages
}

// caughtUp waits until Redis has that many lines and the run marker before them.
func (p project) caughtUp(lines int) {
	p.Helper()
	until(p.T, fmt.Sprintf("%d lines in Redis", lines), func() bool {
		n, err := redis.Int(p.ask("XLEN", cameraLines))
		return err == nil && n > lines
	})
}
