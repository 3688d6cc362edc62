package main

import (
	"os"
	"strconv"
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

// TestTorture runs for TORTURE_FOR, or 20 seconds, with TORTURE_SEED, or a new seed, which it
// logs.
func TestTorture(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 20 seconds")
	}
	duration, seed := 20*time.Second, uint64(time.Now().UnixNano())
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
	if err := run(t.Context(), task{seed: seed, duration: duration}); err != nil {
		t.Error(err)
	}
}
