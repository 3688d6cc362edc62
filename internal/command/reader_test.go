package command

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestWatch prints again and again.
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
		t.Errorf("exit status %d", got) // and not the one of what was last printed
	}
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

// TestReaderACL proves the rights that docs/health.md gives a reader.
func TestReaderACL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(2)
	if _, err := admin.Do("SET", "a:__healthpool__b_cap", 5); err != nil {
		t.Fatal(err)
	}
	rules := redis.Args{}.Add("SETUSER", "reader", "on", ">pw", "resetkeys", "-@all", "+select", "+mget", "+scan", "~*:__healthpool__*")
	if _, err := admin.Do("ACL", rules...); err != nil {
		t.Fatal(err)
	}
	out, err := tool(t, "jettison_health", "--redis", "redis://reader:pw@"+s.Addr(), "--all").Output()
	if code(t, err) != 1 || !strings.Contains(string(out), `"cap": 5`) {
		t.Errorf("%v: %s", err, out)
	}
}
