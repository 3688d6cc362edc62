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
