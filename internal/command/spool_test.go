package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// spoolIn sets the directory of a command's spool.
func spoolIn(dir string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(cmd.Env, "WRAPP_SPOOL_DIR="+dir)
	return cmd
}

// TestNoRedisAtAll runs an app to its end without a Redis; the next run delivers its lines
// before its own.
func TestNoRedisAtAll(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := t.TempDir()
	const n = 200_000 // far more than memory holds
	args := []string{"--redis", s.URL(), "--name", "away", "--max-entries", "10000000", "--"}
	text, err := spoolIn(dir, wrapp(t, append(args, "seq", "1", fmt.Sprint(n))...)).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "kept for the next run") {
		t.Fatalf("%v: %s", err, text)
	}
	s.Up()
	if text, err := spoolIn(dir, wrapp(t, append(args, "echo", "next")...)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	got := output(t, s, "away")
	if len(got) != n+3 { // the first run's end and the second's beginning are in between
		t.Fatalf("%d entries, want %d", len(got), n+3)
	}
	for i := range n {
		if got[i] != fmt.Sprint(i+1) {
			t.Fatalf("line %d is %q", i+1, got[i])
		}
	}
	if !strings.HasPrefix(got[n], "{{__END_RUN_") || !strings.HasPrefix(got[n+1], "{{__NEW_RUN_") || got[n+2] != "next" {
		t.Errorf("%q", got[n:])
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestTwoWithOneSpool starts a second wrapp of the same name while the first runs: it reports
// that it uses memory only for now, and both deliver.
func TestTwoWithOneSpool(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dir := t.TempDir()
	first := spoolIn(dir, wrapp(t, "--redis", s.URL(), "--name", "twice", "--", "sh", "-c", "echo first; read x; echo end"))
	stdin, err := first.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	key := "logs:app:twice:info"
	eventually(t, "the first has begun", func() bool { return len(s.Messages(key)) == 2 })
	text, err := spoolIn(dir, wrapp(t, "--redis", s.URL(), "--name", "twice", "--", "echo", "second")).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "another wrapp of this name uses the spool") {
		t.Errorf("%v: %s", err, text)
	}
	stdin.Close()
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	got := strings.Join(s.Messages(key), " ")
	for _, word := range []string{"first", "second", "end"} {
		if strings.Count(got, " "+word+" ") != 1 {
			t.Errorf("%s: %s", word, got)
		}
	}
	if status := strings.Join(s.Messages("logs:app:twice:status"), "\n"); !strings.Contains(status, "another wrapp of this name uses the spool") {
		t.Errorf("status: %s", status)
	}
}

// TestSpoolIsFreed starts a second wrapp of the same name, ends the first, and then stops
// Redis: the second one's lines get into the spool.
func TestSpoolIsFreed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dir := t.TempDir()
	var stdins []io.WriteCloser
	var both []*exec.Cmd
	for i := range 2 {
		cmd := spoolIn(dir, hurried(wrapp(t, "--redis", s.URL(), "--name", "freed", "--", "sh", "-c", fmt.Sprintf("echo %d; read x; echo end %d", i, i))))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stdins, both = append(stdins, stdin), append(both, cmd)
		eventually(t, "it has begun", func() bool { return slices.Contains(s.Messages("logs:app:freed:info"), fmt.Sprint(i)) })
	}
	stdins[0].Close()
	if err := both[0].Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second has the spool", func() bool {
		entries, _ := os.ReadDir(filepath.Join(dir, "freed"))
		return len(entries) > 0
	})
	s.Down()
	stdins[1].Close()
	if err := both[1].Wait(); err != nil {
		t.Fatal(err)
	}
	s.Up()
	if text, err := spoolIn(dir, wrapp(t, "--redis", s.URL(), "--name", "freed", "--", "true")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got := s.Messages("logs:app:freed:info"); !slices.Contains(got, "end 1") {
		t.Errorf("%q", got)
	}
}

// TestLittleMemory checks wrapp's memory while Redis is stopped and the app writes 300 MB.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	s := redistest.Start(t)
	done := filepath.Join(t.TempDir(), "done")
	config := filepath.Join(t.TempDir(), "wrapp.toml")
	text := fmt.Sprintf("[redis]\nport = %d\n[app]\nexecutable = 'sh'\nargs = ['-c', 'echo begin; read x; head -c 300000000 /dev/zero | tr \"\\0\" x | fold -w 99; touch %s; read y; true']\nstream_name = 'little'\n[spool]\nsize = '128MiB'\n", s.Port, done)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := spoolIn(t.TempDir(), wrapp(t, config))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the app has begun", func() bool { return len(s.Messages("logs:app:little:info")) == 2 })
	s.Pause()
	fmt.Fprintln(stdin)
	eventually(t, "the app has written", func() bool { _, err := os.Stat(done); return err == nil })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb int
	fmt.Sscan(rest, &kb)
	if kb > 40<<10 {
		t.Errorf("%d KiB", kb)
	}
	t.Logf("%d KiB", kb)
	s.Resume()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	if n := len(dropped(s, "little")); n == 0 {
		t.Error("300 MB in 128 MiB, and nothing is told as dropped")
	}
}
