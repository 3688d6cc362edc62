// Package restart decides whether an app that has ended is started again, and when. The
// caller, package run, starts it and waits.
package restart

import (
	"fmt"
	"sync"
	"time"
)

// The policies: after which ends the app is started again.
const (
	Never     = "no"
	OnFailure = "on-failure" // an exit status other than 0, a signal, or a start that failed
	Always    = "always"
)

// Options say when a Machine starts the app again.
type Options struct {
	Policy     string
	Delay      time.Duration // before the first restart; doubles with each further one
	MaxDelay   time.Duration
	ResetAfter time.Duration // a run at least this long goes back to Delay
	Limit      int           // restarts within Window; 0: no limit
	Window     time.Duration
	// Random returns a number in [0, 1), for the jitter.
	Random func() float64
}

// A State is where an app is between its first start and its last end.
type State int

// The states. A Machine goes from Running to Restarting or Ended, and from Restarting to
// Running or Ended. Ended is final.
const (
	Running State = iota
	Restarting
	Ended
)

// An End is how a run ended.
type End struct {
	Exit int // the run's exit status; 125 to 127 if the app could not be started
	// Stopped says that no run follows: the end was requested, or the first start failed.
	Stopped bool
	// Wanted overrides the policy: a run is to follow, as with on_depleted = "restart".
	Wanted bool
}

// A Verdict is the decision after the end of a run.
type Verdict struct {
	Again bool          // start the app again
	Delay time.Duration // with Again: how long to wait before the next start
	Times int           // with Again: restarts within Span, including this one
	Span  time.Duration // since the first of these restarts
	// GaveUp says that only the limit forbids another run. Times and Span then count the
	// restarts that reached it.
	GaveUp bool
}

// String returns the verdict for :status, "" for an end without a restart.
func (v Verdict) String() string {
	switch {
	case v.GaveUp:
		return fmt.Sprintf("not restarted: the limit is reached, %d %s in %v (restart.limit, restart.window)", v.Times, plural(v.Times, "restart"), roughly(v.Span))
	case v.Again && v.Times > 1:
		return fmt.Sprintf("restarting in %v (%s time in %v)", roughly(v.Delay), ordinal(v.Times), roughly(v.Span))
	case v.Again:
		return fmt.Sprintf("restarting in %v", roughly(v.Delay))
	}
	return ""
}

// A Summary is the public state of a Machine.
type Summary struct {
	State    State
	Restarts int // starts after the first
	LastExit int // exit status of the last run that has ended; 0 also while the first runs
}

// MostLimit bounds the restarts that a Machine remembers, and so Limit and Verdict.Times.
const MostLimit = 1000

// A Machine follows one app through its runs. One goroutine calls Started, Ended and Stop;
// any may call Summary.
type Machine struct {
	opts Options

	began  time.Time     // began: start of the run
	delay  time.Duration // delay: before the next restart, without jitter
	recent []time.Time   // recent: restarts within the window, oldest first

	mu      sync.Mutex
	summary Summary
	started bool // started: at least one run has begun
}

// New returns a Machine whose app is about to be started.
func New(opts Options) *Machine { return &Machine{opts: opts, delay: opts.Delay} }

// Started records that a run begins at the instant now. Call it before each attempt to start the
// app: one that fails is a run, too.
func (m *Machine) Started(now time.Time) {
	m.began = now
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		m.summary.Restarts++
	}
	m.started = true
	m.summary.State = Running
}

// Ended decides what follows a run that ended at the instant now.
func (m *Machine) Ended(now time.Time, end End) (v Verdict) {
	v = m.decide(now, end)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.summary.LastExit = end.Exit
	if m.summary.State = Ended; v.Again {
		m.summary.State = Restarting
	}
	return v
}

func (m *Machine) decide(now time.Time, end End) (v Verdict) {
	wanted := end.Wanted || m.opts.Policy == Always || m.opts.Policy == OnFailure && end.Exit != 0
	if end.Stopped || !wanted {
		return v
	}
	for len(m.recent) > 0 && now.Sub(m.recent[0]) >= m.opts.Window {
		m.recent = m.recent[1:]
	}
	if m.opts.Limit > 0 && len(m.recent) >= m.opts.Limit {
		return Verdict{GaveUp: true, Times: len(m.recent), Span: now.Sub(m.recent[0])}
	}
	if len(m.recent) == MostLimit {
		m.recent = m.recent[1:]
	}
	m.recent = append(m.recent, now)
	if now.Sub(m.began) >= m.opts.ResetAfter {
		m.delay = m.opts.Delay
	}
	v = Verdict{Again: true, Delay: m.jittered(m.delay), Times: len(m.recent), Span: now.Sub(m.recent[0])}
	m.delay = min(2*m.delay, m.opts.MaxDelay)
	return v
}

// jittered shortens a delay by up to a quarter, so that apps that fail together do not
// restart together each time.
func (m *Machine) jittered(d time.Duration) time.Duration {
	return d - time.Duration(m.opts.Random()*float64(d)/4)
}

// Stop records that the end was requested: no run follows.
func (m *Machine) Stop() {
	m.mu.Lock()
	m.summary.State = Ended
	m.mu.Unlock()
}

// Summary returns the state now.
func (m *Machine) Summary() Summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.summary
}

// roughly returns d rounded to few digits.
func roughly(d time.Duration) string {
	unit := time.Millisecond
	switch {
	case d >= time.Hour:
		unit = time.Minute
	case d >= 10*time.Second:
		unit = time.Second
	case d >= time.Second:
		unit = 100 * time.Millisecond
	}
	text := d.Round(unit).String()
	// 2m0s is 2m, and 1h0m is 1h.
	for _, zero := range [...]string{"m0s", "h0m"} {
		if n := len(text) - len(zero) + 1; n > 0 && text[n-1:] == zero {
			text = text[:n]
		}
	}
	return text
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// ordinal returns n as in 1st, 2nd, 3rd, 4th, 11th.
func ordinal(n int) string {
	end := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return fmt.Sprint(n, end)
}
