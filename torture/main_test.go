package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(appEnv); dir != "" {
		app(dir)
		return
	}
	os.Exit(m.Run())
}

// TestTorture runs for TORTURE_FOR, or half a minute, with TORTURE_SEED, or one
// of this moment, which the output tells.
func TestTorture(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("half a minute is not short")
	}
	duration, seed := 30*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("TORTURE_FOR"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		duration = d
	}
	if text := os.Getenv("TORTURE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("again: go run ./torture -seed %d -for %v", seed, duration)
	if err := run(t.Context(), seed, duration, false); err != nil {
		t.Error(err)
	}
}

// TestKilledSpooling kills wrapp 20 times while it spools, without a Redis: what
// each of them had spooled comes once, in order.
func TestKilledSpooling(t *testing.T) {
	t.Parallel()
	r := testRig(t)
	r.server.kill()
	for range 20 {
		if err := r.startWrapp(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(500+r.random.IntN(1000)) * time.Millisecond)
		r.endWrapp(syscall.SIGKILL)
	}
	if err := r.server.up(); err != nil {
		t.Fatal(err)
	}
	if err := r.settle(); err != nil {
		t.Fatal(err)
	}
	if err := r.report(); err != nil {
		t.Error(err)
	}
	for run := 1; run <= 20; run++ {
		if r.account.came[run] == 0 {
			t.Errorf("nothing of run %d came", run)
		}
	}
}

// testRig is a rig with a wrapp of its own.
func testRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	wrapp := filepath.Join(dir, "wrapp")
	if text, err := exec.Command("go", "build", "-buildvcs=false", "-o", wrapp, "github.com/lpportorino/jettison-base-images/cmd/wrapp").CombinedOutput(); err != nil {
		t.Fatalf("build wrapp: %v: %s", err, text)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRig(dir, wrapp, self, uint64(time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}
