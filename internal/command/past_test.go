package command

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// past returns the last entry on :status about the run before, and its field run_before.
func past(s *redistest.Server, name string) (text, how string) {
	for _, e := range s.Stream("logs:app:" + name + ":status") {
		if e.Fields["run_before"] != "" {
			text, how = e.Message(), e.Fields["run_before"]
		}
	}
	return text, how
}

// lives waits until an app's run has its hash, and the entry "started" has landed. The report of
// the run before may come later.
func lives(s *redistest.Server, name string) {
	key := fleet.RunKey(name, fleet.InstanceID(fleet.HostName()))
	s.Wait("a run of "+name, func() bool {
		n, _ := redis.Int(s.Dial(2).Do("EXISTS", key))
		started := false
		for _, text := range s.Messages("logs:app:" + name + ":status") {
			started = strings.HasPrefix(text, "started ") || started && !strings.HasPrefix(text, "{{__NEW_RUN_")
		}
		return n == 1 && started
	})
}

// lists waits until the output of `wrapp ls` contains want: on a busy machine a lease may lapse for a
// moment.
func lists(t *testing.T, s *redistest.Server, want string, args ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("wrapp ls %q lists %q", args, want), func() bool {
		out, err := wrapp(t, append([]string{"ls", "--redis", s.URL()}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), want)
	})
}

// TestKilled kills wrapp, and checks what the tools say of the run: while its lease lasts, when
// it is gone, and once there is another run.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cmd := wrapp(t, "--redis", s.URL(), "--name", "lost", "--", "sleep", "1000")
	begin(t, cmd)
	lives(s, "lost")
	lists(t, s, "lost  running ", "lost")
	cmd.Process.Kill()
	cmd.Wait()
	s.Wait("the end of the lease", func() bool {
		keys, _ := redis.Strings(s.Dial(2).Do("KEYS", "wrapp-run:*"))
		return len(keys) == 0
	})
	lists(t, s, "lost  killed: lease gone ")
	lists(t, s, `wrapp_app_state{app="lost",state="killed"} 1`, "--output", "prometheus")

	again := wrapp(t, "--redis", s.URL(), "--name", "lost", "--", "sleep", "1000")
	begin(t, again)
	lives(s, "lost")
	s.Wait("the word", func() bool { _, how := past(s, "lost"); return how != "" })
	if text, how := past(s, "lost"); how != fleet.LostKilled || !strings.HasPrefix(text, "the run before, of ") || !strings.HasSuffix(text, " has no end: wrapp was killed by a signal; the kernel does not say by whom") {
		t.Errorf("%q, %q", text, how)
	}
	lists(t, s, "lost  running (before: killed) ", "lost")
	lists(t, s, `"run_before": "killed"`, "--output", "json")
	lists(t, s, `"state": "running"`, "--output", "json")
}

// TestPastOf begins with entries in Redis of earlier runs that ended in different ways.
func TestPastOf(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	host := fleet.HostName()
	begun := func(fields ...any) []any {
		return append([]any{"message", "{{__NEW_RUN_2026-11-29_10-00-00}}"}, fields...)
	}
	for name, row := range map[string]struct {
		entries [][]any
		want    string
	}{
		"never":     {nil, ""},
		"ended":     {[][]any{begun("host", host, "pid", 1, "boot", "a"), {"message", "{{__END_RUN_2026-11-29_10-00-01_exit_0}}"}}, ""},
		"powerless": {[][]any{begun("host", host, "pid", 1, "boot", "a"), {"message", "started x, pid 3"}}, fleet.LostPower},
		"restarted": {[][]any{begun("host", host, "pid", 1, "boot", "a"), {"message", "stopping: wrapp received SIGTERM"}}, fleet.LostRestart},
		"talked":    {append([][]any{begun("host", host, "pid", 1, "boot", fleet.BootID())}, slices.Repeat([][]any{{"message", "said"}}, 20)...), fleet.LostKilled},
		"old":       {[][]any{begun()}, fleet.LostUnknown},
		"moved":     {[][]any{begun("host", "another-host", "pid", 1, "boot", fleet.BootID())}, fleet.LostKilled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, e := range row.entries {
				if _, err := s.Dial(1).Do("XADD", append([]any{"logs:app:" + name + ":status", "*"}, e...)...); err != nil {
					t.Fatal(err)
				}
			}
			begin(t, wrapp(t, "--redis", s.URL(), "--name", name, "--", "sleep", "1000"))
			if row.want == "" {
				lives(s, name)
			} else {
				s.Wait("the word", func() bool { _, how := past(s, name); return how != "" })
			}
			if text, how := past(s, name); how != row.want {
				t.Errorf("%q, %q, want %q", text, how, row.want)
			}
		})
	}
}

// TestPastUnanswered kills wrapp. The next one loses its connection when it asks for the run before, and asks again.
func TestPastUnanswered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	killed := wrapp(t, "--redis", s.URL(), "--name", "vague", "--", "sleep", "1000")
	begin(t, killed)
	lives(s, "vague")
	killed.Process.Kill()
	killed.Wait()
	var asked atomic.Bool
	addr := redistest.StartFilter(t, s.Addr(), func(commands []byte) bool {
		return !bytes.Contains(commands, []byte("XREVRANGE")) || asked.Swap(true)
	})
	begin(t, wrapp(t, "--redis", "redis://"+addr, "--name", "vague", "--", "sleep", "1000"))
	s.Wait("the word", func() bool { _, how := past(s, "vague"); return how == fleet.LostKilled })
	if !asked.Load() {
		t.Error("the first question was not cut off")
	}
}

// TestLeaseOutlivesApp has an app that ends at once, while Redis holds up its entries: wrapp is ending, and keeps
// its lease.
func TestLeaseOutlivesApp(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	release := make(chan struct{})
	addr := redistest.StartFilter(t, s.Addr(), func(commands []byte) bool {
		if bytes.Contains(commands, []byte("logs:app:slow:info")) && !bytes.Contains(commands, []byte("XREVRANGE")) {
			<-release
		}
		return true
	})
	file := configure(t, s, shell("slow", "exit 3")+"[spool]\ndrain_timeout = '1h'\n")
	cmd := wrapp(t, "--redis", "redis://"+addr, file)
	begin(t, cmd)
	c, key := s.Dial(2), fleet.RunKey("slow", fleet.InstanceID(fleet.HostName()))
	s.Wait("ending", func() bool {
		state, _ := redis.String(c.Do("HGET", key, "state"))
		return state == "ending"
	})
	low := math.MaxInt
	s.Wait("a lease that is renewed", func() bool {
		left, err := redis.Int(c.Do("PTTL", key))
		if err != nil || left < 0 {
			t.Fatalf("it has a lease of %d ms: %v", left, err)
		}
		low = min(low, left)
		return left > low
	})
	close(release)
	if got := code(t, cmd.Wait()); got != 3 {
		t.Errorf("exit status %d", got)
	}
}

// TestPastElsewhere starts a second wrapp of a name while one on another host lives: it
// reports no lost run.
func TestPastElsewhere(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("another host name wants root")
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip(err)
	}
	s := redistest.Start(t)
	there := wrapp(t, "--redis", s.URL(), "--name", "both", "--", "sleep", "1000")
	there.Args = append([]string{"unshare", "--uts", "sh", "-c", `hostname elsewhere && exec "$0" "$@"`, there.Path}, there.Args[1:]...)
	there.Path, _ = exec.LookPath("unshare")
	begin(t, there)
	s.Wait("the other one", func() bool {
		n, _ := redis.Int(s.Dial(2).Do("EXISTS", "wrapp-run:both:elsewhere"))
		return n == 1
	})
	begin(t, wrapp(t, "--redis", s.URL(), "--name", "both", "--", "sleep", "1000"))
	lives(s, "both")
	lists(t, s, "running (2 instances)", "both")
	// After three renewals the second wrapp has read the lease a few times.
	key := "wrapp-run:both:elsewhere"
	last, renewed := int64(0), 0
	s.Wait("renewals", func() bool {
		left, _ := redis.Int64(s.Dial(2).Do("PTTL", key))
		if left > last {
			renewed++
		}
		last = left
		return renewed >= 3
	})
	if text, how := past(s, "both"); how != "" {
		t.Errorf("%q, %q", text, how)
	}
}

// TestPastBeside starts two more wrapps of a name, each before the one before may have its
// lease: none is taken for killed, by another or by a run that follows.
func TestPastBeside(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	key := "logs:app:three:status"
	started := func() (n int) {
		for _, m := range s.Messages(key) {
			if strings.HasPrefix(m, "started ") {
				n++
			}
		}
		return n
	}
	for i := range 3 {
		begin(t, wrapp(t, "--redis", s.URL(), "--name", "three", "--", "sleep", "1000"))
		s.Wait("the start", func() bool { return started() == i+1 })
	}
	if text, how := past(s, "three"); how != "" {
		t.Errorf("%q, %q", text, how)
	}
}

// TestPastInSpool: an end that Redis did not take, because it was away, is no lost run, as the
// spool brings it; wrapp killed meanwhile is one.
func TestPastInSpool(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, "--appendonly", "yes")
			dir := t.TempDir()
			app := "head -c1 >/dev/null; echo last"
			if killed {
				app = "head -c1 >/dev/null; seq 100000; exec sleep 1000"
			}
			cmd := spoolIn(dir, hurried(wrapp(t, "--redis", s.URL(), "--name", "away", "--", "sh", "-c", app)))
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			begin(t, cmd)
			lives(s, "away")
			s.Down()
			stdin.Write([]byte("x"))
			if killed {
				s.Wait("lines in the spool", func() bool { return spooled(t, dir) > 500_000 })
				cmd.Process.Kill()
			}
			cmd.Wait()
			s.Up()
			begin(t, spoolIn(dir, wrapp(t, "--redis", s.URL(), "--name", "away", "--", "sleep", "1000")))
			s.Wait("the second run", func() bool {
				begun := 0
				for _, text := range s.Messages("logs:app:away:status") {
					if strings.HasPrefix(text, "{{__NEW_RUN_") {
						begun++
					}
				}
				return begun == 2
			})
			if killed {
				s.Wait("the word", func() bool { _, how := past(s, "away"); return how == fleet.LostKilled })
				return
			}
			// The report of a lost run would come before the second run has its hash.
			lives(s, "away")
			if text, how := past(s, "away"); how != "" {
				t.Errorf("%q, %q", text, how)
			}
		})
	}
}

// spooled returns the bytes in a directory.
func spooled(t *testing.T, dir string) (n int64) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			n += info.Size()
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	return n
}

// TestReaderOfApps checks the rights that docs/operations.md gives a reader.
func TestReaderOfApps(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`(?m)^    ACL SETUSER reader (.*)$`).FindAllStringSubmatch(string(docs), -1)
	if len(rules) != 2 {
		t.Fatalf("%q", rules)
	}
	for _, r := range rules {
		args := redis.Args{}.Add("SETUSER", "reader").AddFlat(strings.Fields(strings.ReplaceAll(r[1], "PASSWORD", "pw")))
		if _, err := s.Dial(0).Do("ACL", args...); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := wrapp(t, "--redis", s.URL(), "--name", "seen", "--", "sh", "-c", "echo '{{__healthpool__api_cap:9}}'; ulimit -c 0; kill -SEGV $$").CombinedOutput(); err == nil {
		t.Fatalf("it did not crash: %s", out)
	}
	url := "redis://reader:pw@" + s.Addr()
	for args, want := range map[string]string{
		"ls":             "seen  ended 139 ",
		"crashes seen":   "SIGSEGV",
		"crashes --all":  "SIGSEGV",
		"logs seen":      "ended: ",
		"logs -n1 --all": "__END_RUN_",
	} {
		words := strings.Fields(args)
		out, err := wrapp(t, append([]string{words[0], "--redis", url}, words[1:]...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
}

// TestPastOOM has the kernel kill wrapp itself for lack of memory.
func TestPastOOM(t *testing.T) {
	t.Parallel()
	if log, err := os.Open("/dev/kmsg"); err != nil {
		t.Skip(err)
	} else {
		log.Close()
	}
	debug := program(t, "-g")
	group := limitedGroup(t, "wrapp-test-past-oom")
	s := redistest.Start(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := wrapp(t)
	cmd.Path, cmd.Args = "/bin/sh", []string{
		"sh", "-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group, self, "--redis", s.URL(), "--name", "victim", "--",
		"sh", "-c", `head -c1 >/dev/null; echo 1000 >/proc/$PPID/oom_score_adj; exec "$0" fill:1000 exit:0`, debug,
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, cmd)
	lives(s, "victim")
	stdin.Write([]byte("x"))
	err = cmd.Wait()
	if err == nil || err.Error() != "signal: killed" {
		t.Fatalf("%v, want wrapp killed", err)
	}
	begin(t, wrapp(t, "--redis", s.URL(), "--name", "victim", "--", "sleep", "1000"))
	lives(s, "victim")
	s.Wait("the word", func() bool { _, how := past(s, "victim"); return how != "" })
	if text, how := past(s, "victim"); how != fleet.LostOOM {
		t.Errorf("%q, %q", text, how)
	}
}
