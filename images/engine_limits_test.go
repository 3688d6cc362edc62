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
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// health: jettison_health works as a HEALTHCHECK, as in docs/health.md.
func (b box) health() {
	server := b.server()
	dir := publicDir(b.T)
	config := b.config(fmt.Sprintf(`[redis]
url = %q
[app]
executable = "/app"
args = ["beat"]
stream_name = "myapp"
[health.pools.api]
init = 100
cap = 100
depletion_rate = 50
replenish_rate = 50
`, server.URL()))
	dockerfile := "FROM " + b.images[b.variant] + `
HEALTHCHECK --interval=5s --timeout=20s --retries=1 \
    CMD ["jettison_health", "--config", "/config.toml", "--min-health", "1", "myapp:api"]
`
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		b.Fatal(err)
	}
	image := b.images[b.variant] + "-health"
	b.engine.build(b.T, image, dir)
	c := b.startImage(image, []string{"--network", "host", "-v", config + ":/config.toml:ro", "-v", b.engine.app + ":/app:ro"}, b.wrapp("/config.toml")...)
	is := func(want string) {
		b.Helper()
		until(b.T, want, func() bool { return c.inspect("{{.State.Health.Status}}") == want })
	}
	is("starting")
	is("healthy")
	c.kill("USR1") // beats stop
	is("unhealthy")
	c.kill("USR2")
	is("healthy")
	b.engine.run(b.T, "stop", c.id)
}

// debug: gdb debugs the app through wrapp and gdbserver, with the engine's default privileges.
func (b box) debug() {
	for name, opts := range map[string][]string{
		"default": nil, "no-new-privileges": {"--security-opt", "no-new-privileges"},
		"no capability": {"--cap-drop", "ALL"}, "read-only": {"--read-only"},
	} {
		b.Run(name, func(t *testing.T) {
			b := box{t, b.engine, b.variant}
			server := b.server()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := l.Addr().String()
			l.Close()
			c := b.app(opts, []string{"--redis", server.URL(), "--name", "debugged", "--debug=" + address}, "crash")
			until(t, "paused", func() bool { return strings.Contains(c.logs(), "paused before its first instruction") })
			got := command(t, "gdb", "-nx", "-batch", "-iex", "set remotetimeout 300", b.engine.app, "-ex", "target remote "+address, "-ex", "break read_frame", "-ex", "continue",
				"-ex", "backtrace", "-ex", "print frame", "-ex", "detach")
			for _, want := range []string{"Breakpoint 1, read_frame", "#1 ", "main", "$1 = (volatile int *) 0x0"} {
				if !strings.Contains(got, want) {
					t.Errorf("gdb does not say %q: %s", want, got)
				}
			}
			c.wantStatus(139)
			if got := server.Messages("logs:app:debugged:info"); !has(got, "about to crash") {
				t.Errorf("the stream has %q", got)
			}
		})
	}
}

// wantReport wants exactly one crash report, with these words.
func wantReport(t *testing.T, server *redistest.Server, name string, words ...string) {
	t.Helper()
	got := server.Messages("logs:app:" + name + ":crash")
	if len(got) != 1 || !has(got, words...) {
		t.Errorf("want one crash report with %q, there is %q", words, got)
	}
}

// crash: a crash gets a report with a backtrace, by gdb if the image has it.
func (b box) crash() {
	b.coreFiles()
	server := b.server()
	by := "by wrapp"
	if b.variant == "ubuntu22" {
		by = "by gdb"
	}
	for name, opts := range map[string][]string{
		"default": nil, "no-new-privileges": {"--security-opt", "no-new-privileges"},
		"no-capability": {"--cap-drop", "ALL"}, "unconfined": {"--security-opt", "seccomp=unconfined"},
	} {
		c := b.app(append(opts, "--ulimit", "core=-1"), []string{"--redis", server.URL(), "--name", name}, "crash")
		c.wantStatus(139)
		wantReport(b.T, server, name, "SIGSEGV", by, "read_frame", "main", "app.c:", "about to crash")
	}
	// Without a core, as on a read-only root, there is still a report.
	for name, opts := range map[string][]string{"no-core": {"--ulimit", "core=0"}, "read-only": {"--ulimit", "core=-1", "--read-only"}} {
		b.app(opts, []string{"--redis", server.URL(), "--name", name}, "crash").wantStatus(139)
		wantReport(b.T, server, name, "SIGSEGV", "about to crash")
	}
}

// privileges: the app runs with fewer privileges than the engine's default, and gets no more than
// the container's.
func (b box) privileges() {
	server := b.server()
	for name, test := range map[string]struct {
		opts []string
		want string
	}{
		"default":    {nil, "new privileges 1"},
		"none":       {[]string{"--security-opt", "no-new-privileges", "--cap-drop", "ALL"}, "new privileges 0"},
		"unconfined": {[]string{"--security-opt", "seccomp=unconfined"}, "new privileges 1"},
	} {
		b.app(test.opts, []string{"--redis", server.URL(), "--name", name}, "who").wantStatus(0)
		if got := server.Messages("logs:app:" + name + ":info"); !has(got, test.want) || !has(got, "uid 1000 gid 1000") {
			b.Errorf("%s: the app says %q, want %s", name, got, test.want)
		}
	}
}

// memory: an app that the kernel kills for its memory is reported as such, and wrapp lives.
func (b box) memory() {
	server := b.server()
	c := b.app([]string{"--memory", "64m", "--memory-swap", "64m"}, []string{"--redis", server.URL(), "--name", "eater"}, "eat")
	c.wantStatus(137)
	wantReport(b.T, server, "eater", "SIGKILL", "memory", "hungry")
	if got := server.Messages("logs:app:eater:info"); !strings.HasSuffix(got[len(got)-1], "_exit_137}}") {
		b.Errorf("the stream has %q", got)
	}
	// If the kernel kills wrapp instead, the output before is in Redis, and the engine reports the reason.
	c = b.app([]string{"--memory", "64m", "--memory-swap", "64m"}, []string{"--redis", server.URL(), "--name", "eaten"}, "eat-later")
	until(b.T, "ready", func() bool { return has(server.Messages("logs:app:eaten:info"), "ready") })
	if err := os.WriteFile("/proc/"+c.inspect("{{.State.Pid}}")+"/oom_score_adj", []byte("1000"), 0); err != nil {
		b.Fatal(err)
	}
	app := strings.Fields(b.engine.run(b.T, "top", c.id, "-o", "pid,comm"))
	if err := exec.Command("kill", "-USR1", app[slices.Index(app, "app")-1]).Run(); err != nil {
		b.Fatal(err)
	}
	c.wantStatus(137)
	if killed := c.inspect("{{.State.OOMKilled}}"); killed != "true" {
		b.Errorf("killed for its memory: %s", killed)
	}
}

// limits: the engine's limits apply to the app, and wrapp reports what it lacks because of them.
func (b box) limits() {
	server := b.server()
	b.app([]string{"--ulimit", "nofile=200:300"}, []string{"--redis", server.URL(), "--name", "files"}, "files").wantStatus(0)
	if got := server.Messages("logs:app:files:info"); !has(got, "files 200") {
		b.Errorf("the app says %q", got)
	}
	b.app([]string{"--ulimit", "fsize=65536"}, []string{"--redis", server.URL(), "--name", "fsize"}, "write", "/tmp/x", "1000000").wantStatus(128 + 25)
	wantReport(b.T, server, "fsize", "SIGXFSZ")
	// wrapp's own files stay below the limit, or wrapp does without them.
	server.Down()
	c := b.app([]string{"--ulimit", "fsize=65536"}, []string{"--redis", server.URL(), "--name", "fsize2"}, "lines", "20000", "100", "0")
	c.wantStatus(0)
	if logs := c.logs(); !strings.Contains(logs, "spool") {
		b.Errorf("wrapp says nothing of a spool that cannot grow: %s", logs)
	}
}

// wantLines waits until a stream has all lines of "lines N …", in order and once each.
func wantLines(t *testing.T, server *redistest.Server, key string, n int) {
	t.Helper()
	var got []string
	next := func() (i int) {
		for _, m := range got {
			if strings.HasPrefix(m, fmt.Sprintf("line %d ", i)) {
				i++
			} else if strings.HasPrefix(m, "line ") {
				t.Fatalf("%s has %.30q where line %d should be", key, m, i)
			}
		}
		return i
	}
	until(t, fmt.Sprintf("%d lines in %s", n, key), func() bool {
		got = server.Messages(key)
		return next() == n
	})
}

// later runs an app while Redis is away, and wrapp once more when Redis is back. With a volume
// for the spool, the second run delivers the first run's lines.
func (b box) later(server *redistest.Server, name string, opts []string) *container {
	b.Helper()
	server.Down()
	flags := []string{"--redis", server.URL(), "--name", name, "--max-entries", "100000"}
	c := b.app(opts, flags, "lines", "2000", "50", "0")
	c.wantStatus(0)
	server.Up()
	b.app(opts, flags, "exit", "0").wantStatus(0)
	return c
}

// spool: a spool on a volume holds the undelivered lines, even if nothing else is writable.
func (b box) spool() {
	volume := fmt.Sprintf("jettison-%d-%s", os.Getpid(), b.variant)
	for _, name := range []string{volume, volume + "-any"} {
		b.engine.run(b.T, "volume", "create", "--label", b.label, name)
	}
	ours := publicDir(b.T)
	if err := os.Chown(ours, 1000, 1000); err != nil {
		b.Fatal(err)
	}
	for name, opts := range map[string][]string{
		"volume":     {"-v", volume + ":/var/lib/wrapp", "--read-only"},
		"bind-mount": {"-v", ours + ":/var/lib/wrapp"},
		// A new volume inherits the mode of the image's directory: any UID with the group root may use it.
		"arbitrary": {"-v", volume + "-any:/var/lib/wrapp", "--read-only", "-u", "1234560:0"},
	} {
		server := b.server()
		b.later(server, name, opts)
		wantLines(b.T, server, "logs:app:"+name+":info", 2000)
	}
	// wrapp names an unusable directory, its owner and the remedy, and the app runs.
	server, roots := b.server(), publicDir(b.T)
	for name, test := range map[string]struct{ mount, want string }{
		"roots": {roots, "/var/lib/wrapp belongs to 0:0, mode 0755; this process is 1000:1000; as root: install -d -o 1000 -g 1000 /var/lib/wrapp)"},
		"ro":    {ours + ":ro", "/var/lib/wrapp/ro: read-only file system"},
	} {
		source, option, _ := strings.Cut(test.mount, ":")
		mount := strings.TrimSuffix(source+":/var/lib/wrapp:"+option, ":")
		b.app([]string{"--read-only", "-v", mount}, []string{"--redis", server.URL(), "--name", name}, "exit", "0").wantStatus(0)
		if got := server.Messages("logs:app:" + name + ":status"); !has(got, "no spool; ", test.want, "/home/archer/.local/state/wrapp/"+name+": read-only file system") {
			b.Errorf("%s: :status has %q", name, got)
		}
	}
}

// readOnly: wrapp needs no writable file system.
func (b box) readOnly() {
	server := b.server()
	for name, opts := range map[string][]string{"bare": {"--read-only"}, "with-tmpfs": {"--read-only", "--tmpfs", "/tmp"}} {
		b.app(opts, []string{"--redis", server.URL(), "--name", name}, "lines", "1000", "50", "0").wantStatus(0)
		wantLines(b.T, server, "logs:app:"+name+":info", 1000)
	}
}

// fullDisk: a full spool costs lines, which are counted, but does not disturb the app.
func (b box) fullDisk() {
	server := b.server()
	server.Down()
	opts := []string{"--tmpfs", "/var/lib/wrapp:size=512k,uid=1000,gid=1000,mode=755"}
	c := b.app(opts, []string{"--redis", server.URL(), "--name", "full"}, "lines", "30000", "100", "0")
	c.wantStatus(0)
	if logs := c.logs(); !strings.Contains(logs, "no space left on device") {
		b.Errorf("wrapp does not say that the disk is full: %s", logs)
	}
}

// terminal attaches to a container with a terminal and detaches again.
func (b box) terminal() {
	server := b.server()
	c := b.app([]string{"-t", "-i"}, []string{"--redis", server.URL(), "--name", "tty"}, "quick")
	until(b.T, "ready", func() bool { return strings.Contains(c.logs(), "ready") })
	// Some clients then exit with 1; all print the reason.
	if said, status := b.atTerminal(b.docker[0]+" attach --detach-keys a,b "+c.id, "ab"); !strings.Contains(said, "read escape sequence") {
		b.Errorf("docker attach: status %d: %s", status, said)
	}
	if state := c.inspect("{{.State.Status}}"); state != "running" {
		b.Errorf("after the detach, the container is %s", state)
	}
	b.engine.run(b.T, "stop", c.id)
	c.wantStatus(0)
	if logs := c.logs(); !strings.Contains(logs, "bye") {
		b.Errorf("docker logs has %q", logs)
	}
}
