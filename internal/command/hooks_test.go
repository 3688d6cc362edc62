package command

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A hooked is the JSON that a hook got.
type hooked struct {
	Version  int
	Event    string
	App      string
	Host     string
	Run      string
	Text     string
	Stream   string
	ID       string
	Kind     string
	Signal   string
	Exit     *int `json:"exit_code"`
	Pool     string
	Restarts int
	Dropped  int
	Skipped  int
	PID      int
}

// hookEvents reads the JSON that hooks got, an object a line.
func hookEvents(t *testing.T, file string) (events []hooked) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e hooked
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// TestHooks has an app crash, hang and use up its restarts; each calls a command.
func TestHooks(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	heard := filepath.Join(t.TempDir(), "heard")
	count := filepath.Join(t.TempDir(), "count")
	hear := fmt.Sprintf(`"exec:sh -c 'cat >>%s'"`, heard)
	file := configure(t, s, shell("hooked", `
		echo x >>`+count+`; n=$(wc -l <`+count+`)
		[ $n = 1 ] && kill -SEGV $$
		trap "exit 3" TERM; echo "{{__healthpool__api_beats}}"; while :; do sleep 0.01; done`)+`
[health]
interval = '100ms'
[health.pools.api]
init = 0
cap = 1000
depletion_rate = 1000
replenish_rate = 1
on_depleted = 'restart'
[restart]
policy = 'on-failure'
delay = '10ms'
limit = 2
[crash]
backtrace = 'off'
[hooks]
timeout = '1m'
crash = `+hear+"\ndepleted = "+hear+"\ngave_up = "+hear+"\n")
	out, err := wrapp(t, file).CombinedOutput()
	if got := code(t, err); got != 3 {
		t.Fatalf("exit status %d: %s", got, out)
	}
	events := hookEvents(t, heard)
	of := func(event string) (all []hooked) {
		for _, e := range events {
			if e.Event == event {
				all = append(all, e)
			}
		}
		return all
	}
	host, _ := os.Hostname()
	for _, e := range events {
		if e.Version != 1 || e.App != "hooked" || e.Host != host || !regexp.MustCompile(`^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$`).MatchString(e.Run) || e.Text == "" {
			t.Errorf("%+v", e)
		}
	}
	reports := s.Stream("logs:app:hooked:crash")
	crashes, depleted, gaveUp := of("crash"), of("depleted"), of("gave_up")
	if len(crashes) != 1 || len(reports) != 1 || len(depleted) != 2 || len(gaveUp) != 1 {
		t.Fatalf("%d reports, %+v", len(reports), events)
	}
	if e, r := crashes[0], reports[0]; e.Stream != "logs:app:hooked:crash" || e.ID != r.ID || e.Run != r.Fields["run"] ||
		strconv.Itoa(e.PID) != r.Fields["pid"] || e.Kind != "signal" || e.Signal != "SIGSEGV" || e.Exit == nil || *e.Exit != 139 ||
		!strings.HasPrefix(r.Message(), e.Text) {
		t.Errorf("%+v is about %+v", e, r)
	}
	if e := depleted[1]; e.Pool != "api" || e.PID == 0 || e.PID == depleted[0].PID || e.Text != "health pool api is depleted" {
		t.Errorf("%+v", e)
	}
	if e := gaveUp[0]; e.Restarts != 2 || e.Exit == nil || *e.Exit != 3 || !strings.Contains(e.Text, "the limit is reached") {
		t.Errorf("%+v", e)
	}
}

// TestHangingHook has a server that answers no request: neither the app, nor its restarts,
// nor its lines, nor the end of wrapp wait for it.
func TestHangingHook(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(asked)
				return
			}
			asked <- conn // held open
		}
	}()
	count := filepath.Join(t.TempDir(), "count")
	file := configure(t, s, shell("hanging", `
		echo x >>`+count+`; n=$(wc -l <`+count+`); seq -f "$n %g" 5000; [ $n = 30 ] || kill -SEGV $$`)+`
[logs]
max_entries = 1000000
[restart]
policy = 'on-failure'
delay = '10ms'
max_delay = '1s'
reset_after = '1ns'
[crash]
backtrace = 'off'
core = false
[hooks]
timeout = '200ms'
crash = "http://`+l.Addr().String()+`/s3cret"
`)
	out, err := wrapp(t, file).CombinedOutput()
	if got := code(t, err); got != 0 {
		t.Errorf("exit status %d: %s", got, out)
	}
	runs := runsOf(t, s, "logs:app:hanging:info")
	if len(runs) != 30 {
		t.Fatalf("%d runs", len(runs))
	}
	for i, r := range runs {
		if len(r.lines) != 5000 || r.lines[4999] != fmt.Sprintf("%d 5000", i+1) {
			t.Errorf("run %d has %d lines", i+1, len(r.lines))
		}
	}
	if n := len(s.Stream("logs:app:hanging:crash")); n != 29 {
		t.Errorf("%d reports", n)
	}
	if n := matching(s, "logs:app:hanging:error", `^the hook hooks\.crash failed: it did not end within 200ms$`); n != 1 {
		t.Errorf("%q", s.Messages("logs:app:hanging:error"))
	}
	if len(asked) == 0 {
		t.Error("the hook was not called")
	}
	for _, stream := range []string{"info", "status", "error", "crash"} {
		if n := matching(s, "logs:app:hanging:"+stream, "s3cret"); n > 0 {
			t.Errorf(":%s shows the path", stream)
		}
	}
	if strings.Contains(string(out), "s3cret") {
		t.Errorf("stderr: %s", out)
	}
	l.Close()
	for conn := range asked {
		conn.Close()
	}
}

// TestDroppedHook has more lines than the memory holds while Redis is away.
func TestDroppedHook(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	heard := filepath.Join(t.TempDir(), "heard")
	written, end := filepath.Join(t.TempDir(), "written"), filepath.Join(t.TempDir(), "end")
	begun, proceed := fifo(t)
	file := configure(t, s, shell("drops", `
		echo begin; read x <`+begun+`
		seq -f "%g a line that takes up some room in memory and in the pipe" 300000
		touch `+written+`; while [ ! -e `+end+` ]; do sleep 0.01; done`)+fmt.Sprintf("[hooks]\ndropped = \"exec:sh -c 'cat >>%s'\"\ntimeout = '1m'\n", heard))
	cmd := wrapp(t, file)
	cmd.Env = append(cmd.Env, "WRAPP_SPOOL_DIR=/proc/none") // memory only
	begin(t, cmd)
	eventually(t, "the app is there", func() bool { return slices.Contains(s.Messages("logs:app:drops:info"), "begin") })
	s.Down()
	proceed()
	eventually(t, "all is written", func() bool { return exists(written) })
	s.Up()
	eventually(t, "the hook has heard", func() bool { text, _ := os.ReadFile(heard); return strings.HasSuffix(string(text), "\n") })
	touch(t, end)
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit status %d", got)
	}
	sum := 0
	for _, e := range hookEvents(t, heard) {
		sum += e.Dropped
		if e.Event != "dropped" || !strings.Contains(e.Text, "lines dropped: ") {
			t.Errorf("%+v", e)
		}
	}
	want := 0
	for _, n := range dropped(s, "drops") {
		want += n
	}
	if sum == 0 || sum != want {
		t.Errorf("the hook heard of %d, :status of %d", sum, want)
	}
}

// TestDroppedHookAtTheEnd ends wrapp before Redis is back. stderr tells of the dropped lines; the
// hook hears of them at once if there is no spool, else from the next run.
func TestDroppedHookAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", t.TempDir()} {
		t.Run(fmt.Sprintf("spool %v", dir != ""), func(t *testing.T) {
			t.Parallel()
			s := redistest.Prepare(t)
			heard := filepath.Join(t.TempDir(), "heard")
			file := configure(t, s, shell("late", `seq -f "%g a line that takes up some room in memory and in the pipe" "${LINES:-1}"`)+
				fmt.Sprintf("[spool]\nsize = '1MiB'\n[hooks]\ndropped = \"exec:sh -c 'cat >>%s'\"\ntimeout = '1m'\n", heard))
			run := func(lines int) (n int) {
				cmd := spoolIn(cmp.Or(dir, "/proc/none"), wrapp(t, file))
				cmd.Env = append(cmd.Env, fmt.Sprint("LINES=", lines))
				out, err := cmd.CombinedOutput()
				if got := code(t, err); got != 0 {
					t.Errorf("exit status %d: %s", got, out)
				}
				if m := regexp.MustCompile(`error: (\d+) lines dropped: Redis was away and |tells :status dropped=(\d+)`).FindSubmatch(out); m != nil {
					n, _ = strconv.Atoi(string(m[1]) + string(m[2]))
				}
				return n
			}
			n := run(200_000)
			events := hookEvents(t, heard)
			if dir != "" {
				if len(events) > 0 {
					t.Errorf("%+v", events)
				}
				s.Up()
				run(1)
				if told := dropped(s, "late"); len(told) != 1 || told[0] != n {
					t.Errorf("%d dropped, and :status tells of %v", n, told)
				}
				events = hookEvents(t, heard)
			}
			if n == 0 || len(events) != 1 || events[0].Dropped != n {
				t.Errorf("%d dropped, and the hook heard %+v", n, events)
			}
		})
	}
}

// TestHookIsChecked has `wrapp check` warn of a command that needs a shell, and hide the path
// of a URL.
func TestHookIsChecked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.toml")
	if err := os.WriteFile(file, []byte("app.executable = 'x'\n[hooks]\ncrash = 'exec:cat | mail root'\ngave_up = 'https://h/s3cret'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := wrapp(t, "check", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hooks.crash: no shell reads the |") || !strings.Contains(string(out), "https://h/********") || strings.Contains(string(out), "s3cret") {
		t.Errorf("%v: %s", err, out)
	}
}
