package run

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/hook"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/restart"
)

// A session is the state that all runs of the app share: the sinks, the owner of the
// processes, and wrapp's signals.
type session struct {
	cfg        *config.Config
	std        Streams
	log        *slog.Logger
	to         sinks         // without crashes, which each run has for itself
	connected  chan struct{} // closed when to is set
	supervisor *process.Supervisor
	signals    <-chan os.Signal
	restarts   *restart.Machine
	hooks      *hook.Hooks
	copies     copies
	latest     atomic.Pointer[process.Command] // the app's last start
	prepared   chan struct{}                   // closed when latest is set, or never will be
	terminal   bool                            // standard input was a terminal at the start
	stopped    atomic.Bool                     // wrapp was asked to end: no run follows

	noSupervisor error // why supervisor is nil
}

// An appRun is the state of one run of the app. Only one goroutine uses it, except for
// depleted.
type appRun struct {
	*session
	first   bool
	marker  string // the time in its run markers
	app     *process.Process
	crashes *crash.Watch
	reports depletions
	wanted  atomic.Bool // a pool wants a restart

	interrupted time.Time // when the app was last sent a signal that asks for the end
	exited      time.Time // when the app ended
	verdict     restart.Verdict
}

// newSession returns a session without sinks; connect adds them. close ends it.
func newSession(cfg *config.Config, std Streams, log *slog.Logger, signals <-chan os.Signal) *session {
	c := &cfg.Restart
	s := &session{
		cfg: cfg, std: std, log: log, signals: signals, connected: make(chan struct{}), prepared: make(chan struct{}),
		terminal: IsTerminal(std.Stdin),
		restarts: restart.New(restart.Options{
			Policy:     c.Policy,
			Delay:      time.Duration(c.Delay),
			MaxDelay:   time.Duration(c.MaxDelay),
			ResetAfter: time.Duration(c.ResetAfter),
			Limit:      c.Limit,
			Window:     time.Duration(c.Window),
			Random:     rand.Float64,
		}),
	}
	s.hooks = newHooks(s)
	s.copies = newCopies(cfg.Logs.Passthrough, std, log)
	s.supervisor, s.noSupervisor = process.New()
	return s
}

// connect sets the sinks.
func (s *session) connect(to sinks) {
	s.to = to
	close(s.connected)
}

// close ends the Supervisor. Close the hooks before.
func (s *session) close() {
	if s.supervisor != nil {
		s.supervisor.Close()
	}
}

// runs runs the app until no run follows, and returns the last one's exit status. An error
// says that the last one could not be started. It calls announce once, behind the first run's
// marker, with the time in that.
func (s *session) runs(announce func(marker string)) (exit int, err error) {
	defer s.copies.close()
	out := s.to.out
	for first := true; ; first = false {
		r := &appRun{session: s, first: first, marker: mark(out, entry.RunMarker{Begins: true}, s.to.record.markerFields()...), reports: make(depletions)}
		if first {
			announce(r.marker)
		} else {
			s.to.pools.Renew()
		}
		s.restarts.Started(time.Now())
		if s.supervisor == nil {
			exit, err = failed(s.noSupervisor)
		} else {
			exit, err = r.run()
		}
		if err != nil {
			out.Say(logstream.Error, err.Error())
			s.to.pools.End(exit)
			// If the first start fails, a person has to correct something: no restart.
			r.verdict = s.restarts.Ended(time.Now(), restart.End{Exit: exit, Stopped: first || s.stopped.Load()})
		}
		if r.verdict.Again && s.stopped.Load() {
			r.verdict = restart.Verdict{}
			s.restarts.Stop()
		}
		r.reportVerdict(err)
		mark(out, entry.RunMarker{Exit: exit})
		if !r.verdict.Again || !s.pause(r.verdict.Delay) {
			return exit, err
		}
	}
}

// reportVerdict reports what follows the run. failed, if not nil, says why the app could not
// be started.
func (r *appRun) reportVerdict(failed error) {
	text := r.verdict.String()
	if text == "" {
		return
	}
	r.to.out.Say(logstream.Status, text)
	switch {
	case r.verdict.GaveUp:
		r.to.out.Say(logstream.Error, text)
		r.log.Error(text)
		summary := r.restarts.Summary()
		r.hooks.Fire(hook.Event{
			Kind: hook.GaveUp, Run: r.marker, Text: text, Exit: &summary.LastExit, Restarts: summary.Restarts,
		})
	case failed != nil:
		r.log.Warn(text, "error", failed)
	default:
		r.log.Info(text)
	}
}

// pause waits for the delay before another run. It returns false if a signal asked for the end
// meanwhile.
func (s *session) pause(delay time.Duration) bool {
	defer s.to.pools.Linger()()
	over := time.NewTimer(delay)
	defer over.Stop()
	for waiting := true; waiting || len(s.signals) > 0; {
		select {
		case sig := <-s.signals:
			if s.stop(sig) {
				return false
			}
		case <-over.C:
			waiting = false
		}
	}
	return true
}

// stop forbids another run if a signal between two runs asks for the end.
func (s *session) stop(sig os.Signal) bool {
	number, _ := process.Number(sig)
	if !s.ends(number) {
		return false
	}
	if !s.stopped.Swap(true) {
		text := "not restarted: wrapp received " + process.SignalName(number)
		s.to.out.Say(logstream.Status, text)
		s.log.Info(text)
	}
	s.restarts.Stop()
	return true
}

// ends reports whether a signal asks for the end: of wrapp between two runs, or of an app that
// ends soon after it. A hangup does so only if there was a terminal; daemons are sent one to
// reload their configuration.
func (s *session) ends(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.Signal(s.cfg.App.StopSignal):
		return true
	}
	return sig == syscall.SIGHUP && s.terminal
}

// last reports whether no other run can follow: wrapp was asked to stop, or the policy has no restart
// and no pool has asked for one.
func (r *appRun) last() bool {
	return r.stopped.Load() || r.cfg.Restart.Policy == restart.Never && !r.wanted.Load()
}

// ended sets the verdict. The app and its tree are gone.
func (r *appRun) ended() {
	r.verdict = r.restarts.Ended(time.Now(), restart.End{
		Exit:    r.app.Status().ExitCode(),
		Stopped: r.stopped.Load() || r.asked(),
		Wanted:  r.wanted.Load(),
	})
	if !r.verdict.Again {
		r.to.out.Unblock() // no app is left that could wait for Redis
	}
}

// leastPatience is the least time after a signal within which an app's end counts as caused by
// the signal.
const leastPatience = time.Second

// asked reports whether the app ended because it was asked to, other than by SIGTERM to
// wrapp: by a signal that was forwarded just before, or by Ctrl-C at the terminal, which
// reaches only the app. An app that wrapp stops may end in the same way.
func (r *appRun) asked() bool {
	patience := max(leastPatience, time.Duration(r.cfg.App.StopTimeout))
	if !r.interrupted.IsZero() && r.exited.Sub(r.interrupted) <= patience {
		return true
	}
	switch r.app.Status().ExitCode() {
	case 128 + int(syscall.SIGHUP), 128 + int(syscall.SIGINT), 128 + int(syscall.SIGQUIT):
		return r.terminal && !r.app.Stopped()
	}
	return false
}

// await calls f, which finishes the run, and handles signals meanwhile: one that asks for the
// end forbids another run and makes f hurry.
func (r *appRun) await(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-done:
			return
		case sig := <-r.signals:
			r.crashes.Hurry(sig)
			if r.verdict.Again && r.stop(sig) {
				r.to.out.Unblock()
			}
		}
	}
}

// depleted reports that a pool has no health left, and acts as its on_depleted says.
func (r *appRun) depleted(category string) {
	text := fmt.Sprintf("health pool %s is depleted", category)
	if report := r.reports.text(category, time.Now()); report != "" {
		r.to.out.Say(logstream.Status, report)
		r.log.Warn(report)
		r.hooks.Fire(hook.Event{Kind: hook.Depleted, Run: r.marker, Text: report, PID: r.app.PID(), Pool: category})
	}
	end := func(doing string, flag *atomic.Bool) func() {
		return func() {
			if !r.app.Stopped() {
				flag.Store(true)
				r.to.out.Say(logstream.Status, doing+": "+text)
				r.app.Stop()
			}
		}
	}
	stop, again := end("stopping", &r.stopped), end("restarting", &r.wanted)
	if r.app.Stopped() {
		return
	}
	switch r.cfg.Health.Pools[category].OnDepleted {
	case "stop":
		stop()
	case "restart":
		again()
	case "dump":
		r.crashes.Hang(text, func() {})
	case "dump,stop":
		r.crashes.Hang(text, stop)
	case "dump,restart":
		r.wanted.Store(true) // before the dump, in which the app may end
		r.crashes.Hang(text, again)
	}
}
