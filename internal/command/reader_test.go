package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestWatch prints repeatedly.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := tool(t, "jettison_health", "--redis", s.URL(), "--watch=50ms", "a:b")
	cmd.Stdout = w
	begin(t, cmd)
	w.Close()
	d := json.NewDecoder(r)
	for range 3 {
		var document map[string]any
		if err := d.Decode(&document); err != nil || document["data"] == nil {
			t.Fatalf("%v, %v", document, err)
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	if got := code(t, cmd.Wait()); got != 1 {
		t.Errorf("exit status %d", got) // not the status of the last output
	}
}

// TestSinceLater follows all apps since a time: of an app that comes later, a spool may bring older
// lines.
func TestSinceLater(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn := s.Dial(1)
	add := func(app, id, message string) {
		t.Helper()
		if _, err := conn.Do("XADD", "logs:app:"+app+":info", id, "message", message); err != nil {
			t.Fatal(err)
		}
	}
	add("first", "*", "ready")
	logs := wrapp(t, "logs", "--redis", s.URL(), "--all", "-f", "--since", "1h", "--output", "raw")
	out, err := logs.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, logs)
	lines := bufio.NewReader(out)
	if line, _ := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q", line)
	}
	add("later", "1-1", "old")
	add("later", "*", "new")
	if line, _ := lines.ReadString('\n'); line != "new\n" {
		t.Errorf("%q", line)
	}
}

// TestInterrupt ends wrapp logs by Ctrl-C while it prints a long log to a reader that rests.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn := s.Dial(1)
	const lines = 20_000
	text := strings.Repeat("x", 100)
	for range lines {
		if err := conn.Send("XADD", "logs:app:long:info", "*", "message", text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Do(""); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]int{"--follow": 0, "--follow=false": 125} {
		logs := wrapp(t, "logs", "--redis", s.URL(), flag, "--output", "raw", "long")
		out, err := logs.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		begin(t, logs)
		if _, err := io.ReadFull(out, make([]byte, 4<<10)); err != nil {
			t.Fatal(err)
		}
		quiet := func() bool { return asleep(logs.Process.Pid) }
		redistest.Eventually(t, "the pipe is full", quiet)
		for range 2 { // the second one must not kill it
			logs.Process.Signal(syscall.SIGINT)
			redistest.Eventually(t, "the signal is handled", quiet)
		}
		n, err := io.Copy(io.Discard, out)
		if got := code(t, logs.Wait()); err != nil || got != want || n > 256<<10 {
			t.Errorf("%s: %d more bytes, exit status %d: %v", flag, n, got, err)
		}
	}
}

// asleep reports whether all threads of a process sleep. It looks several times, since one thread
// may wake another that was looked at before, and then sleep.
func asleep(pid int) bool {
	for range 5 {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if len(threads) == 0 {
			return false
		}
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread)
			if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "S") {
				return false
			}
		}
	}
	return true
}

// TestPatience has Redis answer late, but within --timeout.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Pause()
	later := time.AfterFunc(7*time.Second, s.Resume)
	defer later.Stop()
	out, err := tool(t, "jettison_health", "--redis", s.URL(), "--timeout", "2m", "--all").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestOlderReaderACL has the rights that the older jettison_health needed: it reads the keys
// one by one, and names the missing right.
func TestOlderReaderACL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(2)
	for _, property := range []string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"} {
		if _, err := admin.Do("SET", "a:__healthpool__b_"+property, 5); err != nil {
			t.Fatal(err)
		}
	}
	rules := redis.Args{}.Add("SETUSER", "older", "on", ">pw", "resetkeys", "-@all", "+select", "+get", "+ping", "+hello", "+client", "~*")
	if _, err := admin.Do("ACL", rules...); err != nil {
		t.Fatal(err)
	}
	const hint = "ACL SETUSER older +mget"
	for _, mended := range []bool{false, true} {
		var out, told strings.Builder
		cmd := tool(t, "jettison_health", "--redis", "redis://older:pw@"+s.Addr(), "a:b")
		cmd.Stdout, cmd.Stderr = &out, &told
		if err := cmd.Run(); err != nil || !strings.Contains(out.String(), `"cap": 5`) {
			t.Errorf("%v: %s", err, out.String())
		}
		if got := strings.Count(told.String(), hint); (got == 0) != mended {
			t.Errorf("mended %v: %q", mended, told.String())
		}
		if _, err := admin.Do("ACL", "SETUSER", "older", "+mget"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReaderACL checks the rights that docs/health.md gives a reader.
func TestReaderACL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(2)
	if _, err := admin.Do("SET", "a:__healthpool__b_cap", 5); err != nil {
		t.Fatal(err)
	}
	rules := redis.Args{}.Add("SETUSER", "reader", "on", ">pw", "resetkeys", "-@all", "+hello", "+select", "+mget", "+scan", "~*:__healthpool__*")
	if _, err := admin.Do("ACL", rules...); err != nil {
		t.Fatal(err)
	}
	out, err := tool(t, "jettison_health", "--redis", "redis://reader:pw@"+s.Addr(), "--all").Output()
	if code(t, err) != 1 || !strings.Contains(string(out), `"cap": 5`) {
		t.Errorf("%v: %s", err, out)
	}
}
