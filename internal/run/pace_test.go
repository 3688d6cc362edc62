package run

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/values"
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
		{most / 4, shortest},
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

// TestPauseEnds makes an output trickle, and then fall silent or end: its pauses end, so that
// it wakes wrapp no more.
func TestPauseEnds(t *testing.T) {
	t.Parallel()
	for _, tty := range []string{"no", "both"} {
		for want, then := range map[int]string{-1: "silence", 0: "the end"} {
			t.Run(tty+", "+then, func(t *testing.T) {
				t.Parallel()
				in, stdout, stderr := unread(t, tty)
				defer stderr.Close()
				in.pause = func(time.Time) time.Duration { return time.Minute } // every read counts as quick
				p := in.pipes[0]
				for p.rest == 0 {
					if _, err := stdout.WriteString("trickle\n"); err != nil {
						t.Fatal(err)
					}
					if in.read(p, math.MaxInt) <= 0 {
						t.Fatal("nothing to read")
					}
				}
				if want == 0 {
					stdout.Close()
				} else {
					defer stdout.Close()
				}
				if n := in.read(p, math.MaxInt); n != want {
					t.Fatalf("%d, want %d", n, want)
				}
				if p.rest > 0 {
					t.Errorf("a pause of %v follows", p.rest)
				}
			})
		}
	}
}

// unread returns an intake that only the test reads, for a Redis that is away.
func unread(t *testing.T, tty string) (in *intake, stdout, stderr *os.File) {
	dial := func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") }
	out := outbox.New(outbox.Options{Keys: logstream.Keys("unread"), MaxEntries: 1000, Limit: memoryLimit, Dial: dial}, nil)
	t.Cleanup(func() { out.Close(time.Millisecond) })
	vals := values.New(values.Options{Name: "unread", Dial: dial})
	t.Cleanup(func() { vals.Close(time.Millisecond) })
	in, stdout, stderr, err := newIntake(intakeOptions{logs: &config.Default().Logs, tty: tty}, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{}), new(record)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.close)
	return in, stdout, stderr
}
