//go:build images

package images

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGuard: tests that panic, or whose guard is killed, leave nothing behind in the end: no
// registration, no directory and no process.
func TestGuard(t *testing.T) {
	const ending = "JETTISON_IMAGES_ENDING"
	if how := os.Getenv(ending); how != "" {
		sleeper := exec.Command("sleep", "1000")
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		pids := strconv.Itoa(sleeper.Process.Pid) + " " + strconv.Itoa(os.Getpid())
		if err := os.WriteFile(os.Getenv(ending+"_PIDS"), []byte(pids), 0o600); err != nil {
			t.Fatal(err)
		}
		if how == "killed" {
			syscall.Kill(os.Getppid(), syscall.SIGKILL)
			time.Sleep(time.Minute) // the guard's death kills us meanwhile
		}
		panic("a test that panics")
	}

	before := registered()
	run := func(how string) (pids []string, left []os.DirEntry) {
		t.Helper()
		dir := t.TempDir()
		file := filepath.Join(t.TempDir(), "pids")
		guard := exec.Command(os.Args[0], "-test.run=^TestGuard$")
		guard.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, inside+"=") }),
			"TMPDIR="+dir, ending+"="+how, ending+"_PIDS="+file)
		var exit *exec.ExitError
		if text, err := guard.CombinedOutput(); !errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", how, err, text)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		left, _ = os.ReadDir(dir)
		return strings.Fields(string(text)), left
	}

	pids, _ := run("killed")
	wantGone(t, pids[1])
	if pid, err := strconv.Atoi(pids[0]); err == nil {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	pids, left := run("panicked")
	wantGone(t, pids...)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	// The second run has removed the first one's registration and its own.
	if after := registered(); !slices.Equal(after, before) {
		t.Errorf("registered: %v, before %v", after, before)
	}
}

// wantGone waits for processes to end.
func wantGone(t *testing.T, pids ...string) {
	t.Helper()
	for _, pid := range pids {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("process %s still runs", pid)
				break
			}
		}
	}
}
