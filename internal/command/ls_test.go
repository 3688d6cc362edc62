package command

import (
	"bufio"
	"strings"
	"syscall"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestWatchApps shows an app that starts and ends, with Redis away in between, until Ctrl-C.
func TestWatchApps(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes")
	watch := wrapp(t, "ls", "--redis", s.URL(), "--watch=50ms")
	watch.Stderr = t.Output()
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, watch)
	lines := bufio.NewScanner(out)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("%q did not come", text)
	}
	await("APP")
	app := wrapp(t, "--redis", s.URL(), "--name", "seen", "--", "sleep", "1000")
	begin(t, app)
	await("seen  running ")
	s.Down()
	s.Up()
	await("seen  running ")
	if err := app.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await("seen  ended 143 ")
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := watch.Wait(); err != nil {
		t.Error(err)
	}
}

// TestWatchNoApp: an app that is not there yet is not a Redis that is away.
func TestWatchNoApp(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	watch := wrapp(t, "ls", "--redis", s.URL(), "--watch=50ms", "later")
	said, err := watch.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, watch)
	line, _ := bufio.NewReader(said).ReadString('\n')
	if want := "wrapp: warning: output goes on when it is there: there is no app \"later\" in this Redis\n"; line != want {
		t.Errorf("%q, want %q", line, want)
	}
	if err := wrapp(t, "--redis", s.URL(), "--name", "later", "--", "true").Run(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "later ") {
	}
	if !strings.HasPrefix(lines.Text(), "later ") {
		t.Error("the app did not come")
	}
}

// TestWatchIdle: Redis may close a connection that is idle between two outputs.
func TestWatchIdle(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(0)
	watch := wrapp(t, "ls", "--redis", s.URL(), "--watch=100ms")
	var said strings.Builder
	watch.Stderr = &said
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, watch)
	lines := bufio.NewScanner(out)
	for range 5 {
		if !lines.Scan() {
			t.Fatal("the output ended")
		}
		if _, err := admin.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); err != nil {
			t.Fatal(err)
		}
	}
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := watch.Wait(); err != nil || said.Len() > 0 {
		t.Errorf("%v: %s", err, said.String())
	}
}
