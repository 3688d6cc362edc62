package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"
	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// at returns a [restart] table with short delays.
func at(policy string) string {
	return fmt.Sprintf("\n[restart]\npolicy = %q\ndelay = '10ms'\n", policy)
}

// A ranApp has the entries of a stream between the markers of one run.
type ranApp struct {
	exit  string // exit status in the marker
	lines []string
}

var endOfRun = regexp.MustCompile(`^\{\{__END_RUN_.*_exit_(\d+)\}\}$`)

// runsOf splits a stream at its run markers. Lines outside runs are an error, except "not
// restarted: …".
func runsOf(t *testing.T, s *redistest.Server, key string) (runs []ranApp) {
	t.Helper()
	within := false
	for _, m := range s.Messages(key) {
		end := endOfRun.FindStringSubmatch(m)
		switch {
		case strings.HasPrefix(m, "{{__NEW_RUN_"):
			if within {
				t.Errorf("%s: a run begins within another", key)
			}
			within = true
			runs = append(runs, ranApp{})
		case end != nil:
			if !within {
				t.Errorf("%s: an end without a beginning", key)
			}
			within = false
			runs[len(runs)-1].exit = end[1]
		case within:
			last := &runs[len(runs)-1]
			last.lines = append(last.lines, m)
		case !strings.HasPrefix(m, "not restarted: "):
			t.Errorf("%s: %q is outside of runs", key, m)
		}
	}
	if within {
		t.Errorf("%s: a run has no end", key)
	}
	return runs
}

// matching counts the messages of a stream that match a pattern.
func matching(s *redistest.Server, key, pattern string) (n int) {
	re := regexp.MustCompile(pattern)
	for _, m := range s.Messages(key) {
		if re.MatchString(m) {
			n++
		}
	}
	return n
}

// TestRestarts has an app end in different ways: each start is a separate run.
func TestRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	count, left := filepath.Join(t.TempDir(), "count"), filepath.Join(t.TempDir(), "left")
	file := configure(t, s, shell("again", `
		echo x >>`+count+`; n=$(wc -l <`+count+`)
		echo "run $n"; echo "error $n" >&2; printf "no line end"
		case $n in 1) exit 3;; 2) kill -9 $$;; 3) (setsid sh -c "echo \$\$ >`+left+`; sleep 1000; echo late" &); until [ -s `+left+` ]; do sleep 0.01; done; exit 4;; esac`)+at("on-failure")+"[logs]\nformat = 'json'\n")
	if out, err := wrapp(t, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid, err := os.ReadFile(left)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(pid))); err != nil || !errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
		t.Errorf("the process %q that the third run left is there, %v", pid, err)
	}
	runs := runsOf(t, s, "logs:app:again:info")
	var exits []string
	for i, r := range runs {
		exits = append(exits, r.exit)
		text := strings.Join(r.lines, "\n")
		n := strconv.Itoa(i + 1)
		if len(r.lines) != 3 || !strings.Contains(text, `"msg":"run `+n+`"`) || !strings.Contains(text, `"msg":"error `+n+`"`) || !strings.Contains(text, "no line end") ||
			!strings.Contains(r.lines[0], `"seq":1`) || !strings.Contains(r.lines[2], `"seq":3`) {
			t.Errorf("run %d: %s", i+1, text)
		}
	}
	if want := []string{"3", "137", "4", "0"}; !slices.Equal(exits, want) {
		t.Errorf("exit statuses %q", exits)
	}
	status := runsOf(t, s, "logs:app:again:status")
	pids := make(map[string]bool)
	for i, r := range status {
		pids[r.lines[0]] = true
		want := []string{`^started /bin/sh, pid \d+$`, `^ended: `, `^restarting in \d+ms \(\d\w\w time in .*\)$`}
		if i == 0 {
			want[2] = `^restarting in \d+ms$`
		}
		if i == 3 {
			want = want[:2]
		}
		if len(r.lines) != len(want) {
			t.Fatalf("run %d: %q", i+1, r.lines)
		}
		for j := range want {
			if !regexp.MustCompile(want[j]).MatchString(r.lines[j]) {
				t.Errorf("run %d: %q", i+1, r.lines[j])
			}
		}
	}
	if len(pids) != 4 {
		t.Errorf("%d different pids", len(pids))
	}
	if n := matching(s, "logs:app:again:error", "^ended: "); n != 3 {
		t.Errorf("%d ends are told as errors", n)
	}
}

// TestEveryDeathIsReported has an app crash twice before it ends well.
func TestEveryDeathIsReported(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	count := filepath.Join(t.TempDir(), "count")
	c := crash(t, s, "deaths", at("on-failure")+"[crash]\nbacktrace = 'off'\n", nil, "sh", "-c",
		`echo x >>`+count+`; n=$(wc -l <`+count+`); echo "words of $n"; [ $n = 3 ] || kill -SEGV $$`)
	if c.exit != 0 || len(c.reports) != 2 {
		t.Fatalf("exit status %d, %d reports", c.exit, len(c.reports))
	}
	for i, r := range c.reports {
		contains(t, r, "words of "+strconv.Itoa(i+1))
		if strings.Contains(r.Message(), "words of "+strconv.Itoa(2-i)) || r.Fields["kind"] != "signal" {
			t.Errorf("%v", r)
		}
	}
	if c.reports[0].Fields["pid"] == c.reports[1].Fields["pid"] {
		t.Error("both reports are about one process")
	}
}

// TestStopIsFinal stops wrapp while the app lives, and in the delay.
func TestStopIsFinal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const hour = "\n[restart]\npolicy = 'always'\ndelay = '1h'\nmax_delay = '1h'\n"
	for name, test := range map[string]struct {
		script, settings, wait string // wait: pattern to wait for on :status
		signal                 syscall.Signal
		exit                   int
	}{
		"term":       {"trap 'exit 5' TERM; echo; while :; do sleep 0.01; done", at("always"), "^started", syscall.SIGTERM, 5},
		"interrupt":  {"trap 'exit 6' INT; echo; while :; do sleep 0.01; done", at("always"), "^started", syscall.SIGINT, 6},
		"delay-term": {"exit 7", hour, "^restarting in", syscall.SIGTERM, 7},
		"delay-int":  {"kill -9 $$", hour, "^restarting in", syscall.SIGINT, 137},
		"delay-quit": {"exit 0", hour, "^restarting in", syscall.SIGQUIT, 0},
		"delay-own":  {"exit 8", hour, "^restarting in", syscall.SIGUSR2, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := configure(t, s, shell(name, test.script)+"stop_signal = 'SIGUSR2'\n"+test.settings)
			if !strings.HasPrefix(name, "delay") {
				file = configure(t, s, shell(name, test.script)+test.settings)
			}
			cmd := wrapp(t, file)
			begin(t, cmd)
			eventually(t, test.wait, func() bool { return matching(s, "logs:app:"+name+":status", test.wait) > 0 })
			if !strings.HasPrefix(name, "delay") {
				eventually(t, "the trap is set", func() bool {
					state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", childOf(cmd.Process.Pid)))
					m := regexp.MustCompile(`SigCgt:\t([0-9a-f]+)`).FindSubmatch(state)
					if m == nil {
						return false
					}
					caught, _ := strconv.ParseUint(string(m[1]), 16, 64)
					return caught&(1<<(test.signal-1)) != 0
				})
			}
			for _, harmless := range []syscall.Signal{syscall.SIGWINCH, syscall.SIGURG, syscall.SIGCHLD} {
				cmd.Process.Signal(harmless)
			}
			cmd.Process.Signal(test.signal)
			if got := code(t, cmd.Wait()); got != test.exit {
				t.Errorf("exit status %d, want %d", got, test.exit)
			}
			if runs := runsOf(t, s, "logs:app:"+name+":info"); len(runs) != 1 || runs[0].exit != strconv.Itoa(test.exit) {
				t.Errorf("%v", runs)
			}
			told := matching(s, "logs:app:"+name+":status", "^not restarted: wrapp received SIG")
			if want := strings.Count(name, "delay"); told != want {
				t.Errorf("%q", s.Messages("logs:app:"+name+":status"))
			}
		})
	}
}

// TestStopOvertakesRestart stops wrapp when a restart is already due: while wrapp stops the
// app for a pool, and while it stops the rest of an ended app's tree. The app ends only after
// that.
func TestStopOvertakesRestart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, test := range map[string]struct {
		script, wait, exit string
	}{
		"hung": {`trap '' TERM; echo "{{__healthpool__api_beats}}"; while :; do sleep 0.01; done`, "^restarting: health pool api is depleted", "137"},
		"tree": {`(trap '' TERM; exec setsid sh -c 'echo $$ >pid; while :; do sleep 0.01; done') & while [ ! -s pid ]; do sleep 0.01; done; exit 3`, "^started", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			os.Chmod(dir, 0o777)
			os.Chmod(filepath.Dir(dir), 0o755)
			file := configure(t, s, shell("over-"+name, test.script)+fmt.Sprintf("dir = %q\nstop_timeout = '10m'\n", dir)+at("always")+`
[health]
interval = '100ms'
[health.pools.api]
init = 0
cap = 1000
depletion_rate = 1000
replenish_rate = 1
on_depleted = 'restart'
`)
			cmd := wrapp(t, file)
			begin(t, cmd)
			eventually(t, test.wait, func() bool { return matching(s, "logs:app:over-"+name+":status", test.wait) > 0 })
			if name == "tree" {
				eventually(t, "only the child is left", func() bool {
					text, _ := os.ReadFile(filepath.Join(dir, "pid"))
					return len(text) > 0 && strconv.Itoa(childOf(cmd.Process.Pid)) == strings.TrimSpace(string(text))
				})
			}
			cmd.Process.Signal(syscall.SIGTERM)
			eventually(t, "the stop is told", func() bool {
				return matching(s, "logs:app:over-"+name+":status", "^stopping: wrapp received SIGTERM$") > 0
			})
			if err := syscall.Kill(childOf(cmd.Process.Pid), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			if got := code(t, cmd.Wait()); strconv.Itoa(got) != test.exit {
				t.Errorf("exit status %d, want %s", got, test.exit)
			}
			if runs := runsOf(t, s, "logs:app:over-"+name+":info"); len(runs) != 1 {
				t.Errorf("%v", runs)
			}
			if n := matching(s, "logs:app:over-"+name+":status", "^stopping: wrapp received SIGTERM$"); n != 1 {
				t.Errorf("%q", s.Messages("logs:app:over-"+name+":status"))
			}
		})
	}
}

// childOf returns the pid of a child of a process, or 0.
func childOf(pid int) (child int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if n, _ := fmt.Sscan(string(text), &child); n == 1 {
			return child
		}
	}
	return 0
}

// TestKilledInTheDelay kills wrapp in the delay: the next one works as usual.
func TestKilledInTheDelay(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("cut", "echo here; exit 1")+"[restart]\npolicy = 'on-failure'\ndelay = '1h'\nmax_delay = '1h'\n[health.pools.api]\ncap = 5\n")
	for n := 1; n <= 2; n++ {
		cmd := wrapp(t, file)
		begin(t, cmd)
		eventually(t, "it waits", func() bool { return matching(s, "logs:app:cut:info", "^{{__END_RUN_") == n })
		eventually(t, "its pool has ended", func() bool {
			p, _ := pool(t, file, "cut:api")
			return p.Exists && p.Running == 0 && p.Exit == 1 && p.Health == 0
		})
		cmd.Process.Kill()
		cmd.Wait()
	}
	if runs := runsOf(t, s, "logs:app:cut:info"); len(runs) != 2 || !slices.Equal(runs[1].lines, []string{"here"}) {
		t.Errorf("%v", runs)
	}
}

// TestRestartLimit has an app fail again and again, until its restarts are used up.
func TestRestartLimit(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("limit", "exit 9")+at("always")+"limit = 3\n")
	out, err := wrapp(t, file).CombinedOutput()
	if got := code(t, err); got != 9 {
		t.Errorf("exit status %d: %s", got, out)
	}
	if runs := runsOf(t, s, "logs:app:limit:info"); len(runs) != 4 {
		t.Errorf("%d runs", len(runs))
	}
	const text = `^not restarted: the limit is reached, 3 restarts in .* \(restart\.limit, restart\.window\)$`
	for _, stream := range []string{"status", "error"} {
		if n := matching(s, "logs:app:limit:"+stream, text); n != 1 {
			t.Errorf(":%s says so %d times", stream, n)
		}
	}
	if !strings.Contains(string(out), "the limit is reached") {
		t.Errorf("stderr: %s", out)
	}
}

// TestCannotStart has an app that cannot be started, at once or later.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	out, err := wrapp(t, "--redis", s.URL(), "--name", "none", "--restart=always", "--", "/no/such/program").CombinedOutput()
	if got := code(t, err); got != 127 || len(runsOf(t, s, "logs:app:none:info")) != 1 {
		t.Errorf("exit status %d: %s", got, out)
	}

	// The executable is being replaced when the restart is due.
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	write := func(script string) {
		t.Helper()
		if err := redistest.WriteProgram(app+".new", []byte(script)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(app+".new", app); err != nil {
			t.Fatal(err)
		}
	}
	write("#!/bin/sh\nrm " + app + "\nexit 3\n")
	cmd := wrapp(t, configure(t, s, fmt.Sprintf("[app]\nexecutable = %q\nstream_name = 'gone'\n[health.pools.api]\ncap = 5\n", app)+at("on-failure")))
	begin(t, cmd)
	eventually(t, "it is tried without the file", func() bool { return matching(s, "logs:app:gone:info", "_exit_127}}$") > 0 })
	write("#!/bin/sh\nexit 0\n")
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
	runs := runsOf(t, s, "logs:app:gone:info")
	if len(runs) < 3 || runs[0].exit != "3" || runs[1].exit != "127" || runs[len(runs)-1].exit != "0" {
		t.Errorf("%v", runs)
	}
	if matching(s, "logs:app:gone:error", "app does not exist$") == 0 {
		t.Errorf("%q", s.Messages("logs:app:gone:error"))
	}
}

// TestHungAppIsRestarted has an app hang twice: its pool has it restarted, under every policy.
func TestHungAppIsRestarted(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"restart", "dump,restart"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			count := filepath.Join(t.TempDir(), "count")
			file := configure(t, s, shell("hung", `
				echo x >>`+count+`; n=$(wc -l <`+count+`)
				[ $n = 3 ] && exit 0
				trap '' TERM; echo "{{__healthpool__api_beats}}run $n"
				while :; do sleep 1; done`)+`stop_timeout = '100ms'
[health]
interval = '100ms'
[health.pools.api]
init = 0
cap = 1000
depletion_rate = 1000
replenish_rate = 1
on_depleted = '`+action+`'
[restart]
delay = '10ms'
[crash]
backtrace = 'off'
`)
			out, err := wrapp(t, file).CombinedOutput()
			if got := code(t, err); got != 0 {
				t.Errorf("exit status %d: %s", got, out)
			}
			runs := runsOf(t, s, "logs:app:hung:info")
			if len(runs) != 3 || runs[0].exit != "137" || runs[1].exit != "137" || runs[2].exit != "0" ||
				!slices.Equal(runs[1].lines, []string{"run 2"}) {
				t.Errorf("%v", runs)
			}
			status := runsOf(t, s, "logs:app:hung:status")
			for _, want := range []string{"health pool api is depleted", "restarting: health pool api is depleted"} {
				if !slices.Contains(status[0].lines, want) || !slices.Contains(status[1].lines, want) {
					t.Errorf("%q is not told: %q", want, status)
				}
			}
			reports := s.Stream("logs:app:hung:crash")
			if want := 2 * strings.Count(action, "dump"); len(reports) != want {
				t.Errorf("%d reports, want %d", len(reports), want)
			}
			if p, _ := pool(t, file, "hung:api"); p.Running != 0 || p.Exit != 0 || p.Beats != 0 || !p.Exists {
				t.Errorf("at the end: %+v", p)
			}
		})
	}
}

// TestHungAppEndsInTheDump has an app end while gdb takes its backtrace: its pool has it restarted
// all the same.
func TestHungAppEndsInTheDump(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	bin := t.TempDir()
	os.Chmod(bin, 0o755)
	os.Chmod(filepath.Dir(bin), 0o755)
	const fake = "#!/bin/sh\nfor pid; do :; done\nkill -9 $pid\nsleep 1\n"
	if err := redistest.WriteProgram(filepath.Join(bin, "gdb"), []byte(fake)); err != nil {
		t.Fatal(err)
	}
	count := filepath.Join(t.TempDir(), "count")
	cmd := wrapp(t, configure(t, s, shell("dumped", "[ -e "+count+" ] && exit 0; : >"+count+"; echo '{{__healthpool__api_beats}}'; while :; do sleep 1; done")+`
[health.pools.api]
init = 0
cap = 1000
depletion_rate = 1000
replenish_rate = 1
on_depleted = 'dump,restart'
[restart]
delay = '10ms'
`))
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if got := code(t, err); got != 0 {
		t.Errorf("exit status %d: %s", got, out)
	}
	if runs := runsOf(t, s, "logs:app:dumped:info"); len(runs) != 2 || runs[0].exit != "137" || runs[1].exit != "0" {
		t.Errorf("%v; %q", runs, s.Messages("logs:app:dumped:status"))
	}
}

// TestPoolsAcrossRestarts checks the pools of an app in a run, in the delay and in the next
// run.
func TestPoolsAcrossRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	first, proceed := fifo(t)
	second, finish := fifo(t)
	late := filepath.Join(t.TempDir(), "late")
	file := configure(t, s, shell("pools", `
		echo "{{__healthpool__api_beats}}{{__healthpool__own_cap:7}}{{__healthpool__own_beats}}"
		[ -e `+late+` ] && { read x <`+second+`; exit 0; }
		touch `+late+`; read x <`+first+`; exit 5`)+`
[health]
interval = '200ms'
[health.pools.api]
cap = 100
init = 50
[restart]
policy = 'always'
delay = '20s'
max_delay = '1h'
limit = 1
`)
	cmd := wrapp(t, file)
	begin(t, cmd)
	// jettison_health, a process for each pool, could miss the delay on a busy machine.
	values := s.Dial(2)
	var keys redis.Args
	for _, name := range []string{"api", "own"} {
		for _, property := range []string{"running", "exit", "health", "beats"} {
			keys = keys.Add("pools:__healthpool__" + name + "_" + property)
		}
	}
	both := func(running, exit string) func() bool {
		return func() bool {
			all, err := redis.Strings(values.Do("MGET", keys...))
			if err != nil {
				t.Fatal(err)
			}
			for p := range slices.Chunk(all, len(keys)/2) {
				if p[0] != running || p[1] != exit || (p[2] > "0") != (running == "1") || running == "1" && p[3] != "1" {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "both run", both("1", "0"))
	proceed()
	eventually(t, "both have ended", both("0", "5"))
	eventually(t, "both run again", both("1", "0"))
	finish()
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
	api, _ := pool(t, file, "pools:api")
	own, _ := pool(t, file, "pools:own")
	if api.Running+own.Running+api.Exit+own.Exit != 0 || api.Beats != 1 || own.Beats != 1 {
		t.Errorf("at the end: %+v, %+v", api, own)
	}
}

// TestNoLineIsLostBetweenRuns has each run end right after many lines, while Redis goes away
// and comes back.
func TestNoLineIsLostBetweenRuns(t *testing.T) {
	t.Parallel()
	for _, full := range []string{"drop_oldest", "block"} {
		t.Run(full, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			count := filepath.Join(t.TempDir(), "count")
			const each, last = 20_000, 6
			file := configure(t, s, shell("many", fmt.Sprintf(`
				echo x >>%[1]s; n=$(wc -l <%[1]s)
				seq -f "$n %%g a line that takes up some room in memory and in the pipe" %[2]d
				[ $n = %[3]d ] || exit $n`, count, each, last))+at("on-failure")+fmt.Sprintf("[logs]\nmax_entries = 1000000\n[spool]\nwhen_full = %q\n[crash]\ncore = false\n", full))
			cmd := wrapp(t, file)
			begin(t, cmd)
			lines := func() int {
				text, _ := os.ReadFile(count)
				return bytes.Count(text, []byte("\n"))
			}
			eventually(t, "the second run", func() bool { return lines() >= 2 })
			s.Down()
			eventually(t, "the fourth run, without Redis", func() bool { return lines() >= 4 })
			s.Up()
			if got := code(t, cmd.Wait()); got != 0 {
				t.Errorf("exit status %d", got)
			}
			runs := runsOf(t, s, "logs:app:many:info")
			if len(runs) != last {
				t.Fatalf("%d runs", len(runs))
			}
			for i, r := range runs {
				if len(r.lines) != each {
					t.Errorf("run %d has %d lines", i+1, len(r.lines))
				}
				for j, line := range r.lines {
					if !strings.HasPrefix(line, fmt.Sprintf("%d %d a", i+1, j+1)) {
						t.Fatalf("run %d, line %d is %q", i+1, j+1, line)
					}
				}
			}
		})
	}
}

// TestCopiesAcrossRestarts has the reader of the copied output pause for some runs: then it
// gets all lines in order, run by run.
func TestCopiesAcrossRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const each, last = 3000, 12 // less than wrapp holds for a slow reader
	count := filepath.Join(t.TempDir(), "count")
	hold, proceed := fifo(t)
	cmd := wrapp(t, configure(t, s, shell("copies", fmt.Sprintf(`
		echo x >>%[1]s; n=$(wc -l <%[1]s)
		seq -f "$n %%g of some length" %[2]d
		[ $n = %[3]d ] || exit 1
		read x <%[4]s; exit 0`, count, each, last, hold))+at("on-failure")+"max_delay = '1s'\nreset_after = '1ns'\n[logs]\npassthrough = 'always'\nmax_entries = 100000\n[crash]\ncore = false\n"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, cmd)
	eventually(t, "some runs", func() bool { return matching(s, "logs:app:copies:info", "^{{__END_RUN_") >= last/2 })
	lines := bufio.NewReader(out)
	for run := 1; run <= last; run++ {
		for line := 1; line <= each; line++ {
			text, err := lines.ReadString('\n')
			if want := fmt.Sprintf("%d %d of some length\n", run, line); text != want {
				t.Fatalf("%q (%v), want %q", text, err, want)
			}
		}
	}
	proceed() // only now: at its end wrapp does not wait long for a reader
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
}

// TestStopsAtAFullSpool has wrapp wait for room for the last lines of a run before a restart,
// while Redis is away: a stop ends the wait.
func TestStopsAtAFullSpool(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	begun, proceed := fifo(t)
	file := configure(t, s, shell("full", `
		echo begin; read x <`+begun+`
		exec seq -f "%g `+strings.Repeat("long ", 200)+`" 1000000`)+at("on-failure")+"[spool]\nwhen_full = 'block'\n[crash]\ncore = false\n")
	cmd := hurried(wrapp(t, file))
	cmd.Env = append(cmd.Env, "WRAPP_SPOOL_DIR=/proc/none") // memory only
	begin(t, cmd)
	eventually(t, "the app is there", func() bool { return slices.Contains(s.Messages("logs:app:full:info"), "begin") })
	s.Down()
	app := childOf(cmd.Process.Pid)
	proceed()
	// Memory holds 4 MiB of entries, and the pipe 1 MiB more.
	eventually(t, "more is written than the memory holds", func() bool {
		io, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", app))
		m := regexp.MustCompile(`wchar: (\d+)`).FindSubmatch(io)
		if m == nil {
			return false
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n > 4700<<10
	})
	syscall.Kill(app, syscall.SIGKILL)
	eventually(t, "it has ended", func() bool { return childOf(cmd.Process.Pid) == 0 })
	cmd.Process.Signal(syscall.SIGTERM)
	if got := code(t, cmd.Wait()); got != 137 {
		t.Errorf("exit status %d", got)
	}
}

// TestRestartStorm restarts an app that ends at once 1,000 times: no line is lost, no process
// or file stays behind, and wrapp does not grow.
func TestRestartStorm(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	count := filepath.Join(t.TempDir(), "count")
	if err := os.WriteFile(count, []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const starts, warm = 1000, 100
	hold, proceed := fifo(t)
	held, finish := fifo(t)
	file := configure(t, s, shell("storm", fmt.Sprintf(`
		read n <%[1]s; n=$((n + 1)); echo $n >%[1]s; echo "run $n"
		[ $n = %[2]d ] && read x <%[3]s
		[ $n = %[4]d ] && { read x <%[5]s; exit 0; }
		exit 1`, count, warm, hold, starts, held))+"[restart]\npolicy = 'on-failure'\ndelay = '10ms'\nmax_delay = '1s'\nreset_after = '1ns'\n"+`
[logs]
max_entries = 100000
[health.pools.api]
cap = 5
beat = ["marker", "notify", "output"]
[crash]
core = false
`)
	cmd := wrapp(t, file)
	begin(t, cmd)
	measure := func(n int) (files, threads, rss int) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " starts"), func() bool {
			return slices.Contains(s.Messages("logs:app:storm:info"), "run "+strconv.Itoa(n))
		})
		proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
		fds, err := os.ReadDir(proc + "fd")
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(proc + "status")
		if err != nil {
			t.Fatal(err)
		}
		number := func(name string) int {
			n, _ := strconv.Atoi(string(regexp.MustCompile(name + `:\s*(\d+)`).FindSubmatch(status)[1]))
			return n
		}
		return len(fds), number("Threads"), number("VmRSS")
	}
	files, threads, rss := measure(warm)
	proceed()
	for n := 2 * warm; n < starts; n += warm {
		measure(n) // waits for each part, so that each has its own time-out
	}
	var files2, threads2, rss2 int
	eventually(t, "files are closed", func() bool {
		files2, threads2, rss2 = measure(starts)
		return files2 <= files+2
	})
	// The number of threads that are busy at the same time varies.
	if threads2 > threads+20 || rss2 > rss+16<<10 {
		t.Errorf("files %d, later %d; threads %d, later %d; memory %d KiB, later %d", files, files2, threads, threads2, rss, rss2)
	}
	t.Logf("files %d, later %d; threads %d, later %d; memory %d KiB, later %d", files, files2, threads, threads2, rss, rss2)
	finish()
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
	runs := runsOf(t, s, "logs:app:storm:info")
	if len(runs) != starts {
		t.Errorf("%d runs", len(runs))
	}
	for i, r := range runs {
		if !slices.Equal(r.lines, []string{"run " + strconv.Itoa(i+1)}) {
			t.Errorf("run %d: %q", i+1, r.lines)
		}
	}
}

// TestNotifyAcrossRestarts has an app notify READY=1 in each run. STOPPING=1 is relayed only
// at the end.
func TestNotifyAcrossRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	above, heard := listenAbove(t)
	count := filepath.Join(t.TempDir(), "count")
	file := configure(t, s, shell("ready", `
		echo x >>`+count+`; n=$(wc -l <`+count+`)
		systemd-notify --ready --status="run $n"
		trap 'systemd-notify STOPPING=1; exit 0' TERM
		[ $n = 2 ] && { echo waits; while :; do sleep 0.01; done; }
		systemd-notify STOPPING=1; exit 3`)+"stop_timeout = '2m'\n"+at("on-failure")+"[health.pools.api]\ncap = 5\nbeat = ['notify']\n")
	cmd := wrapp(t, file)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+above)
	begin(t, cmd)
	eventually(t, "the second run waits", func() bool { return slices.Contains(s.Messages("logs:app:ready:info"), "waits") })
	cmd.Process.Signal(syscall.SIGTERM)
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
	if n := matching(s, "logs:app:ready:status", "^the app is ready$"); n != 2 {
		t.Errorf("ready %d times", n)
	}
	if n := matching(s, "logs:app:ready:status", "^the app is stopping$"); n != 2 {
		t.Errorf("stopping %d times", n)
	}
	got := strings.Join(heard(), " ")
	if strings.Count(got, "READY=1") != 2 || strings.Count(got, "STOPPING=1") != 1 || !strings.HasSuffix(strings.TrimSpace(got), "STOPPING=1") {
		t.Errorf("above heard %q", got)
	}
}

// TestDebuggerAcrossRestarts: each run starts paused, and a debugger can connect.
func TestDebuggerAcrossRestarts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gdbserver"); err != nil {
		t.Skip(err)
	}
	s := redistest.Start(t)
	port := redistest.FreePort(t)
	file := configure(t, s, shell("paused", "echo ran; exit 0")+at("on-failure")+fmt.Sprintf("[debug]\nenabled = true\nport = %d\n", port))
	cmd := wrapp(t, file)
	begin(t, cmd)
	for n := 1; n <= 2; n++ {
		eventually(t, "it is paused and listened for", func() bool {
			return matching(s, "logs:app:paused:status", "^started") == n && matching(s, "logs:app:paused:status", strconv.Itoa(port)) >= n
		})
		pid := 0
		for _, m := range s.Messages("logs:app:paused:status") {
			fmt.Sscanf(m, "started /bin/sh, pid %d", &pid)
		}
		if n == 1 {
			syscall.Kill(pid, syscall.SIGKILL)
			continue
		}
		out, err := exec.Command("gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off", "-iex", gdbPatience,
			"-ex", fmt.Sprintf("target remote 127.0.0.1:%d", port), "-ex", "continue").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "exited normally") {
			t.Errorf("%v: %s", err, out)
		}
	}
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
	runs := runsOf(t, s, "logs:app:paused:info")
	if len(runs) != 2 || runs[0].exit != "137" || len(runs[0].lines) != 0 || !slices.Equal(runs[1].lines, []string{"ran"}) {
		t.Errorf("%v", runs)
	}
}

// TestStderrIsNotRead fills wrapp's stderr, which is not read: the app is restarted, and wrapp ends.
func TestStderrIsNotRead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	for some := make([]byte, 4096); len(some) > 0; {
		if _, err := unix.Write(ends[1], some); err != nil {
			some = some[:len(some)/2]
		}
	}
	unix.SetNonblock(ends[1], false)
	stderr := os.NewFile(uintptr(ends[1]), "stderr")
	defer stderr.Close()
	cmd := wrapp(t, configure(t, s, shell("unread", "[ -e again ] || { touch again; exit 1; }; exit 126")+at("always")+"limit = 1\n"))
	cmd.Stderr = stderr
	if got := code(t, cmd.Run()); got != 126 {
		t.Errorf("exit status %d", got)
	}
	if runs := runsOf(t, s, "logs:app:unread:info"); len(runs) != 2 {
		t.Errorf("%v", runs)
	}
}

// TestCtrlC interrupts the app at a terminal, where the signal reaches the app and not wrapp:
// that is no failure. It does so in the second run, which must have the terminal, too.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cmd := wrapp(t, configure(t, s, shell("ctrlc", "[ -e again ] || { touch again; exit 1; }; echo here; exec sleep 1000")+at("always")))
	terminal := onTerminal(t, cmd)
	eventually(t, "the app is there", func() bool { return slices.Contains(s.Messages("logs:app:ctrlc:info"), "here") })
	if _, err := terminal.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if got := code(t, cmd.Wait()); got != 130 {
		t.Errorf("exit status %d", got)
	}
	if runs := runsOf(t, s, "logs:app:ctrlc:info"); len(runs) != 2 {
		t.Errorf("%v", runs)
	}
}

// TestCtrlCBetweenFailures types Ctrl-C after starts that failed: wrapp has the terminal back.
func TestCtrlCBetweenFailures(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	app := filepath.Join(t.TempDir(), "app")
	if err := redistest.WriteProgram(app, []byte("#!/bin/sh\nsed -i 1d $0\nexit 3\n")); err != nil {
		t.Fatal(err)
	}
	cmd := wrapp(t, configure(t, s, fmt.Sprintf("[app]\nexecutable = %q\nstream_name = 'again'\n", app)+at("always")))
	terminal := onTerminal(t, cmd)
	eventually(t, "it waits for long", func() bool { return matching(s, "logs:app:again:info", "_exit_126}}$") >= 5 })
	if _, err := terminal.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if got := code(t, cmd.Wait()); got != 126 {
		t.Errorf("exit status %d", got)
	}
	if n := matching(s, "logs:app:again:status", "^not restarted: wrapp received SIGINT$"); n != 1 {
		t.Errorf("%q", s.Messages("logs:app:again:status"))
	}
}

// TestHungAppOnTerminal has wrapp stop a hung app by a signal, or with an end, that Ctrl-C could have
// caused: it is restarted all the same.
func TestHungAppOnTerminal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, test := range map[string]struct{ signal, trap, exit string }{
		"hup":  {"SIGHUP", "", "129"},
		"int":  {"SIGINT", "", "130"},
		"quit": {"SIGQUIT", "ulimit -c 0", "131"},
		"term": {"SIGTERM", "trap 'exit 130' TERM", "130"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := filepath.Join(t.TempDir(), "count")
			cmd := wrapp(t, configure(t, s, shell("tty-"+name, test.trap+`
				[ -e `+count+` ] && exit 0; : >`+count+`
				echo '{{__healthpool__api_beats}}'; while :; do sleep 0.01; done`)+`stop_signal = '`+test.signal+`'
[health.pools.api]
init = 0
cap = 1000
depletion_rate = 1000
replenish_rate = 1
on_depleted = 'restart'
[restart]
delay = '10ms'
`))
			onTerminal(t, cmd)
			if got := code(t, cmd.Wait()); got != 0 {
				t.Errorf("exit status %d", got)
			}
			if runs := runsOf(t, s, "logs:app:tty-"+name+":info"); len(runs) != 2 || runs[0].exit != test.exit || runs[1].exit != "0" {
				t.Errorf("%v", runs)
			}
		})
	}
}

// onTerminal starts a command in a session of its own, and returns the session's terminal.
func onTerminal(t *testing.T, cmd *exec.Cmd) (master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	begin(t, cmd)
	go io.Copy(io.Discard, master)
	return master
}

// listenAbove returns a socket for $NOTIFY_SOCKET, and a function for its messages.
func listenAbove(t *testing.T) (socket string, heard func() []string) {
	t.Helper()
	socket = filepath.Join(redistest.SocketDir(t), "above")
	above, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 8<<10)
		for {
			n, err := above.Read(b)
			if err != nil || string(b[:n]) == "end" {
				return
			}
			all = append(all, string(b[:n]))
		}
	}()
	t.Cleanup(func() { above.Close(); <-done })
	return socket, func() []string {
		c, err := net.Dial("unixgram", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("end"))
		<-done
		return all
	}
}

// TestRestartingIsSeen has an app end at once: in the delay the hash has the state restarting,
// and keeps its lease.
func TestRestartingIsSeen(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cmd := wrapp(t, configure(t, s, shell("seen", "exit 3")+"[restart]\npolicy = 'on-failure'\ndelay = '1h'\nmax_delay = '1h'\n"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	c := s.Dial(2)
	var key string
	s.Wait("the hash", func() bool {
		keys, _ := redis.Strings(c.Do("KEYS", "wrapp-run:seen:*"))
		if len(keys) == 1 {
			key = keys[0]
		}
		return key != ""
	})
	s.Wait("restarting", func() bool {
		fields, _ := redis.StringMap(c.Do("HGETALL", key))
		return fields["state"] == "restarting" && fields["exit"] == "3" && fields["restarts"] == "0" && fields["app_pid"] == "0"
	})
	low := math.MaxInt
	s.Wait("a lease that is renewed", func() bool {
		left, err := redis.Int(c.Do("PTTL", key))
		if err != nil || left == -1 {
			t.Fatalf("it has a lease of %d ms: %v", left, err)
		}
		low = min(low, left)
		return left > low
	})
	lists(t, s, "restarting")
	cmd.Process.Signal(syscall.SIGTERM)
	if got := code(t, cmd.Wait()); got != 3 {
		t.Errorf("exit status %d", got)
	}
}
