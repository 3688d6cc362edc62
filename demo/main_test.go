package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// beDemo, set in the environment, makes the test binary the demo.
const beDemo = "DEMO_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beApp) != "" || os.Getenv(beDemo) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// demo returns a command that runs the demo, with its temporary files in tmp.
func demo(t *testing.T, env ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp = t.TempDir()
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), beDemo+"=1", "REDIS_URL=", embedded+"=", "TMPDIR="+tmp)
	cmd.Env = append(cmd.Env, env...)
	return cmd, tmp
}

// TestDemo runs the whole demo with each kind of Redis.
func TestDemo(t *testing.T) {
	t.Parallel()
	const password = "not-for-all-to-see"
	server := redistest.Start(t, "--requirepass", password)
	for name, tt := range map[string]struct{ env, says string }{
		"redis-server": {"X=", `(?m)^Redis: /.*/redis-server, started for the demo on port \d+\.$`},
		"embedded":     {embedded + "=1", `(?m)^Redis: embedded in this program`},
		"no server":    {"PATH=" + onlyGo(t), `(?m)^Redis: embedded in this program .*no redis-server on PATH`},
		"REDIS_URL":    {"REDIS_URL=redis://:" + password + "@" + server.Addr() + "/0", `(?m)^Redis: the one of REDIS_URL\.$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, tmp := demo(t, tt.env)
			text, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, want := range []string{
				tt.says,
				`(?m)^\$ \./wrapp .*\n\n\$ echo \$\?\n3\n\n\$ \./wrapp logs .*\n`,
				`(?m)^\S+ \S+ out    INFO  hello from the app$`,
				`(?m)^\S+ \S+ err    WARNING the sensor is warm$`,
				`(?m)^\S+ \S+ out    one long line: .* bytes more\]$`,
				`(?m)^\S+ \S+ err    ERROR giving up, without an end of line$`,
				`(?m)^\S+ \S+ status {{__END_RUN_.*_exit_3}}$`,
				`(?m)^\$ \./jettison_health .*\n{\n`,
				`(?m)^      "beats": 3,$`,
				`(?m)^Seen: `,
			} {
				if !regexp.MustCompile(want).Match(text) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
			if bytes.Contains(text, []byte(password)) {
				t.Errorf("the password is shown:\n%s", text)
			}
			nothingLeft(t, tmp)
		})
	}
	t.Cleanup(func() {
		for _, db := range []int{1, 2} {
			keys, err := redis.Strings(server.Dial(db, redis.DialPassword(password)).Do("KEYS", "*"))
			if err != nil || len(keys) > 0 {
				t.Errorf("left in Redis: %q, %v", keys, err)
			}
		}
	})
}

// TestInterrupted stops the demo while wrapp runs.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	interrupted(t, func(cmd *exec.Cmd, _ io.Closer) { cmd.Process.Signal(syscall.SIGTERM) })
}

// TestReaderGone pipes the demo to head.
func TestReaderGone(t *testing.T) {
	t.Parallel()
	interrupted(t, func(_ *exec.Cmd, out io.Closer) { out.Close() })
}

func interrupted(t *testing.T, interrupt func(*exec.Cmd, io.Closer)) {
	t.Helper()
	cmd, tmp := demo(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text []byte
	for buf := make([]byte, 4096); !bytes.Contains(text, []byte("$ ./wrapp ")); {
		n, err := out.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	interrupt(cmd, out)
	if err := cmd.Wait(); err == nil {
		t.Error("the demo was interrupted and says that all went well")
	}
	nothingLeft(t, tmp)
}

// TestPanelInterrupted interrupts the panel, which is no error.
func TestPanelInterrupted(t *testing.T) {
	t.Parallel()
	cmd, tmp := demo(t)
	cmd.Args = append(cmd.Args, "panel")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // the demo builds the tools
		t.Fatal(err)
	}
	cmd.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil || said.Len() > 0 {
		t.Errorf("%v: %s", err, &said)
	}
	nothingLeft(t, tmp)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	cmd, tmp := demo(t, "REDIS_URL=redis://:secret@127.0.0.1:1")
	text, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(text, []byte("demo: error: the Redis of REDIS_URL: dial redis: ")) || bytes.Contains(text, []byte("secret")) {
		t.Errorf("%v\n%s", err, text)
	}
	nothingLeft(t, tmp)
}

// onlyGo returns a PATH with go in it and nothing else.
func onlyGo(t *testing.T) string {
	t.Helper()
	file, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(file, filepath.Join(dir, "go")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// nothingLeft fails if tmp holds a file, or a process has it as its TMPDIR or works below
// it.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if files, _ := os.ReadDir(tmp); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(procs) == 0 {
		t.Fatalf("no processes in /proc: %v", err)
	}
	for _, proc := range procs {
		env, _ := os.ReadFile(filepath.Join(proc, "environ"))
		cwd, _ := os.Readlink(filepath.Join(proc, "cwd"))
		if bytes.Contains(env, []byte("TMPDIR="+tmp)) || strings.HasPrefix(cwd, tmp) {
			stat, _ := os.ReadFile(filepath.Join(proc, "stat"))
			if i := bytes.LastIndexByte(stat, ')'); i >= 0 && bytes.HasPrefix(stat[i:], []byte(") Z")) {
				continue // a zombie of another parent
			}
			t.Errorf("left: process %s", stat)
		}
	}
}
