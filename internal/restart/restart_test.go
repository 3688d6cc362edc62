package restart

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// options returns the defaults with a policy, without jitter.
func options(policy string) Options {
	return Options{
		Policy: policy, Delay: time.Second, MaxDelay: time.Minute, ResetAfter: time.Minute, Window: 10 * time.Minute,
		Random: func() float64 { return 0 },
	}
}

// lives begins a run, lets it last for d and ends it.
func lives(m *Machine, d time.Duration, end End) Verdict {
	m.Started(time.Now())
	time.Sleep(d)
	return m.Ended(time.Now(), end)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy string
		end    End
		again  bool
	}{
		{Never, End{}, false},
		{Never, End{Exit: 1}, false},
		{Never, End{Exit: 143, Wanted: true}, true},
		{Never, End{Wanted: true}, true},
		{Never, End{Wanted: true, Stopped: true}, false},
		{OnFailure, End{}, false},
		{OnFailure, End{Exit: 1}, true},
		{OnFailure, End{Exit: 127}, true},
		{OnFailure, End{Exit: 139}, true},
		{OnFailure, End{Exit: 139, Stopped: true}, false},
		{OnFailure, End{Wanted: true}, true},
		{Always, End{}, true},
		{Always, End{Exit: 1}, true},
		{Always, End{Stopped: true}, false},
		{Always, End{Exit: 143, Stopped: true}, false},
	} {
		m := New(options(test.policy))
		m.Started(time.Now())
		v := m.Ended(time.Now(), test.end)
		state := Ended
		if test.again {
			state = Restarting
		}
		if got := m.Summary(); v.Again != test.again || v.GaveUp || got != (Summary{state, 0, test.end.Exit}) {
			t.Errorf("%s, %+v: %+v, %+v", test.policy, test.end, v, got)
		}
	}
}

// TestBackOff has an app end at once, again and again: the delay doubles up to MaxDelay, and
// goes back to Delay after a run that was long enough.
func TestBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := New(options(OnFailure))
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			v := lives(m, 0, End{Exit: 1})
			if !v.Again || v.Delay != want*time.Second || v.Times != i+1 {
				t.Errorf("end %d: %+v, want a delay of %v s", i+1, v, want)
			}
			time.Sleep(v.Delay)
		}
		if v := lives(m, time.Minute-1, End{Exit: 1}); v.Delay != time.Minute {
			t.Errorf("after a run that was not long enough: %v", v.Delay)
		}
		for _, want := range []time.Duration{1, 2} {
			run := time.Minute
			if want == 2 {
				run = time.Second
			}
			if v := lives(m, run, End{Exit: 1}); v.Delay != want*time.Second {
				t.Errorf("after a run of %v: %v, want %v s", run, v.Delay, want)
			}
		}
	})
}

func TestJitter(t *testing.T) {
	t.Parallel()
	opts := options(Always)
	opts.MaxDelay = opts.Delay
	opts.Random = rand.New(rand.NewPCG(1, 2)).Float64
	m := New(opts)
	seen := make(map[time.Duration]bool)
	for range 1000 {
		m.Started(time.Now())
		d := m.Ended(time.Now(), End{}).Delay
		if d <= 750*time.Millisecond-1 || d > time.Second {
			t.Fatalf("a delay of %v", d)
		}
		seen[d.Round(25*time.Millisecond)] = true
	}
	if len(seen) < 10 {
		t.Errorf("only %d different delays", len(seen))
	}
}

// TestLimit: the limit counts only the restarts of the window.
func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := options(OnFailure)
		opts.Limit, opts.MaxDelay = 3, time.Second
		m := New(opts)
		for range 3 {
			if v := lives(m, 2*time.Minute, End{Exit: 3}); !v.Again {
				t.Fatalf("%+v", v)
			}
		}
		// The first restart was 4 minutes ago; after 6 more it no longer counts.
		if v := lives(m, 6*time.Minute, End{Exit: 3}); !v.Again || v.Times != 3 || v.Span != 8*time.Minute {
			t.Fatalf("%+v", v)
		}
		v := lives(m, time.Second, End{Exit: 3})
		if v.Again || !v.GaveUp || v.Times != 3 || v.Span != 8*time.Minute+time.Second {
			t.Errorf("%+v", v)
		}
		if got := v.String(); got != "not restarted: the limit is reached, 3 restarts in 8m1s (restart.limit, restart.window)" {
			t.Error(got)
		}
		if got := m.Summary(); got != (Summary{Ended, 4, 3}) {
			t.Errorf("%+v", got)
		}
	})
}

// TestWantedIsBounded: a restart that a pool wants also obeys the limit and the delay.
func TestWantedIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := options(Never)
		opts.Limit = 2
		m := New(opts)
		for _, want := range []time.Duration{time.Second, 2 * time.Second} {
			if v := lives(m, time.Second, End{Exit: 143, Wanted: true}); v.Delay != want {
				t.Errorf("%+v", v)
			}
		}
		if v := lives(m, time.Second, End{Exit: 143, Wanted: true}); !v.GaveUp {
			t.Errorf("%+v", v)
		}
	})
}

// TestStorm restarts 5,000 times: memory stays bounded, and the numbers stay true.
func TestStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := options(Always)
		opts.Delay, opts.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
		m := New(opts)
		var v Verdict
		for range 5000 {
			v = lives(m, 0, End{})
			time.Sleep(v.Delay)
		}
		if v.Times != MostLimit || v.Span != (MostLimit-1)*10*time.Millisecond {
			t.Errorf("%+v", v)
		}
		if got := m.Summary().Restarts; got != 4999 {
			t.Errorf("%d restarts", got)
		}
		if c := cap(m.recent); c > 4*MostLimit {
			t.Errorf("room for %d restarts", c)
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	m := New(options(Always))
	m.Started(time.Now())
	m.Ended(time.Now(), End{Exit: 5})
	m.Stop()
	if got := m.Summary(); got != (Summary{Ended, 0, 5}) {
		t.Errorf("%+v", got)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]Verdict{
		"":                                         {},
		"restarting in 988ms":                      {Again: true, Delay: 987654 * time.Microsecond, Times: 1},
		"restarting in 4s (3rd time in 2m)":        {Again: true, Delay: 4 * time.Second, Times: 3, Span: 2 * time.Minute},
		"restarting in 3.8s (2nd time in 45s)":     {Again: true, Delay: 3789 * time.Millisecond, Times: 2, Span: 45300 * time.Millisecond},
		"restarting in 59s (11th time in 1h2m)":    {Again: true, Delay: 58900 * time.Millisecond, Times: 11, Span: 62*time.Minute + 7*time.Second},
		"restarting in 1m (101st time in 10h)":     {Again: true, Delay: time.Minute, Times: 101, Span: 10 * time.Hour},
		"restarting in 1m20s (111th time in 1m5s)": {Again: true, Delay: 80 * time.Second, Times: 111, Span: 65 * time.Second},
	} {
		if got := v.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	one := Verdict{GaveUp: true, Times: 1, Span: 10 * time.Second}.String()
	if !strings.Contains(one, "1 restart in 10s") {
		t.Error(one)
	}
}
