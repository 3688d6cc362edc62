package run

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPause checks that the pause grows with the rate of context switches.
func TestPause(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		rate float64
		want time.Duration
	}{
		{0, shortest},
		{most / 3, shortest},
		{most / 2, longest / 8},
		{most, longest},
		{2 * most, longest},
	} {
		s := switching{at: now, rate: c.rate}
		if got := s.pause(now); got != c.want {
			t.Errorf("%v changes a second: a pause of %v, want %v", c.rate, got, c.want)
		}
	}
}

// TestSwitches counts context switches: each sleep of a thread causes one.
func TestSwitches(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, cpus := switches()
	if int(cpus) < runtime.NumCPU() {
		t.Errorf("%v CPUs, want %d or more", cpus, runtime.NumCPU())
	}
	const times = 1000
	for range times {
		unix.Nanosleep(&unix.Timespec{Nsec: 1000}, nil)
	}
	after, _ := switches()
	if after-before < times {
		t.Errorf("%v changes in %d naps", after-before, times)
	}

	// Twice the rate that makes a pause longest, for a second: after some samples it is longest.
	s := switching{}
	now := time.Now()
	for i := 0; s.pause(now) < longest; i++ {
		if i == 20 {
			t.Fatalf("%v changes a second, want more than %d", s.rate, most)
		}
		s.count -= 2 * most * cpus
		now = now.Add(time.Second)
	}
}
