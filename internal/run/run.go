// Package run runs the app, once or again and again, each run from its first marker to
// its last. It is the only package that wires the others together.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/spool"
	"github.com/lpportorino/jettison-base-images/internal/values"
)

const (
	// memoryLimit bounds the entries that wait for Redis in memory, in bytes.
	memoryLimit = 4 << 20

	// heapLimit is the heap size above which garbage is collected early, in bytes. Ordinary
	// lines stay far below it, which must be several times memoryLimit; blocks of 10 MiB have
	// several copies on their way.
	heapLimit = 32 << 20

	// lastWord is how long a Redis that does not take what waits is given for the end of the pools.
	lastWord = time.Second
)

// Streams are wrapp's own standard streams. The app reads Stdin itself; its
// output is copied to Stdout and Stderr as logs.passthrough says.
type Streams struct{ Stdin, Stdout, Stderr *os.File }

// Run runs the app that cfg names and returns wrapp's exit status. An error says that wrapp
// itself failed or that the app could not be started; the latter is a *process.StartError with
// exit as its ExitCode. version is wrapp's. Signals that come after the last run are dropped.
func Run(cfg *config.Config, std Streams, log *slog.Logger, version string) (exit int, err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
	// One core can do more than Redis can take, and goroutines that wake each other across cores
	// cost more than they gain. docs/adr/0005 has the figures.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	signals, unsubscribe, err := process.Signals()
	if err != nil {
		return process.ExitFailed, err
	}
	defer unsubscribe()

	for _, warning := range append(cfg.Warnings(), zone()...) {
		log.Warn(warning)
	}
	dial := func(ctx context.Context) (*redisconn.Client, error) {
		return redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	}
	client, err := dial(context.Background())
	var refused *redisconn.RefusedError
	var wrong *config.Error
	if errors.As(err, &refused) || errors.As(err, &wrong) {
		return process.ExitFailed, err
	}
	name := cfg.Name()
	record := newRecord(name, version, log)
	var known *fleet.Past // what Redis said of the run before; nil if it is away
	if err == nil {
		var has bool
		if known, has = record.readPast(client, &cfg.Redis); !has {
			client.Close()
			return process.ExitFailed, fmt.Errorf("redis has no database %d (redis.values_db)", cfg.Redis.ValuesDB)
		}
	}
	if err != nil {
		log.Warn("redis is not there; the app starts all the same and entries wait", "error", err)
	}
	writer := outbox.NewWriter()
	store, left, passed, noSpool := openSpool(cfg, writer)
	open := func() (*spool.Spool, *spool.Left, error) {
		store, left, _, err := openSpool(cfg, writer)
		return store, left, err
	}
	inUse := errors.Is(noSpool, spool.ErrInUse)
	if !inUse {
		open = nil // nothing to wait for
	}
	s := newSession(cfg, std, log, signals)
	defer s.close()
	out := outbox.New(outbox.Options{
		Keys:       logstream.Keys(name),
		Writer:     writer,
		MaxEntries: cfg.Logs.MaxEntries,
		Limit:      memoryLimit,
		Block:      cfg.Spool.WhenFull == "block",
		Dial:       dial,
		Log:        log,
		Spool:      store,
		Left:       left,
		SpoolSize:  int64(cfg.Spool.Size),
		OpenSpool:  open,
		Dropped:    s.dropped,
	}, client)

	dialValues := func(ctx context.Context) (*redisconn.Client, error) {
		return redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.ValuesDB)
	}
	vals := values.New(values.Options{
		Name:    name,
		MaxKeys: cfg.Logs.MaxKeys,
		Dial:    dialValues,
		Log:     log,
		Refused: func(reason string) {
			log.Warn(reason)
			out.Say(logstream.Error, reason)
		},
	})
	record.out, record.restarts = out, s.restarts
	pools := health.New(health.Options{
		Record:   record.published(),
		Service:  name,
		Interval: time.Duration(cfg.Health.Interval),
		Pools:    cfg.Health.Pools,
		Dial:     dialValues,
		Log:      log,
	})

	s.connect(sinks{out: out, values: vals, pools: pools, record: record})
	var past *past
	exit, err = s.runs(func(first string) {
		past = record.reportPast(known, first, left != nil && len(left.Extents) > 0, &cfg.Redis)
		if passed != nil {
			const text = "a spool of this name is left alone and the next place is used"
			log.Warn(text, "error", passed)
			out.Say(logstream.Status, text+": "+passed.Error())
		}
		if inUse {
			const text = "another wrapp of this name uses the spool; entries wait in memory until it ends"
			log.Info(text)
			out.Say(logstream.Status, text)
		} else if noSpool != nil {
			log.Info("no spool; entries wait in memory only", "error", noSpool)
			out.Say(logstream.Status, "no spool; entries wait in memory only: "+noSpool.Error())
		}
	})
	if s.latest.Load() == nil {
		close(s.prepared)
	}
	past.close()
	ended := time.Now()
	patience := time.Duration(cfg.Spool.DrainTimeout)
	var ends sync.WaitGroup
	ends.Go(func() {
		if n, why := vals.Close(patience); n > 0 {
			log.Error("redis did not take every value; the last changes are lost", "keys", n, "error", why)
		}
	})
	lost, kept, why := out.Close(patience)
	if stats := out.Stats(); stats.Refused > 0 {
		log.Warn("redis refused entries for good", "entries", stats.Refused, "set aside", stats.Aside)
	}
	if kept > 0 {
		log.Warn("redis did not take everything; the rest is kept for the next run", "entries", kept, "spool", out.SpoolDir(), "error", why)
	}
	if lost > 0 {
		log.Error("redis did not take everything; entries are lost", "entries", lost, "error", why)
	}
	last := patience
	if kept+lost > 0 {
		last = min(lastWord, 2*patience-time.Since(ended)) // Redis was waited for; docs/operations.md bounds that
	}
	// The pools end last: wrapp has its lease until then.
	if err := pools.Close(last); err != nil {
		log.Error("the end of the health pools is not published; their health ends by itself", "error", err)
	}
	ends.Wait()
	s.hooks.Close(max(time.Second, time.Duration(cfg.Hooks.Timeout)-time.Since(ended)))
	return exit, err
}

// mark writes a run marker with the present time to :info and :status; fields go to :status only.
// It returns that time.
func mark(out *outbox.Outbox, m entry.RunMarker, fields ...string) string {
	m.Stamp = time.Now().Format(entry.RunMarkerLayout)
	out.Say(logstream.Info, m.String())
	out.Say(logstream.Status, m.String(), fields...)
	return m.Stamp
}

// run starts the app, waits for its end and delivers its output. An error says that the app
// could not be started.
func (r *appRun) run() (exit int, err error) {
	cfg, log, supervisor, to := r.cfg, r.log, r.supervisor, r.to
	out, pools := to.out, to.pools
	cmd, warning, err := prepare(cfg)
	if err != nil {
		return failed(err)
	}
	if warning != "" && r.first {
		log.Warn(warning)
		out.Say(logstream.Status, warning)
	}
	cmd.Stdin = r.std.Stdin

	crashes := watchForCrashes(cfg, cmd, r.marker, supervisor, to, r.hooks)
	r.crashes, to.crashes = crashes, crashes
	in, stdout, stderr, err := newIntake(intakeOptions{logs: &cfg.Logs, tty: cfg.App.TTY, user: cmd.User, copies: r.copies}, to)
	if err != nil {
		return failed(err)
	}
	defer in.close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	notifier := listen(cfg, cmd, out, log)
	defer notifier.Close()

	if r.latest.Swap(cmd) == nil { // cmd does not change any more
		close(r.prepared)
	}
	began := time.Now()
	app, debugger, err := start(cfg, supervisor, *cmd, pools, out, log)
	stdout.Close()
	stderr.Close()
	if err != nil {
		return failed(err)
	}
	r.app = app
	defer debugger.Close()
	to.record.began(r.marker, app.PID(), began)
	out.Say(logstream.Status, fmt.Sprintf("started %s, pid %d", cmd.Path, app.PID()))
	log.Debug("started", "path", cmd.Path, "pid", app.PID())

	if cfg.Logs.Format == "json" {
		in.json = entry.NewJSON(entry.Context{Service: cfg.Name(), Run: r.marker, PID: app.PID()})
	}
	crashes.Start(app, *cmd, began)
	go in.run()
	notifier.Listen(pools, health.NotifyOptions{
		Member: app.Has,
		Status: func(text string) { out.Say(logstream.Status, text) },
		Log:    log,
		Relay:  os.Getenv("NOTIFY_SOCKET"), Watched: watchedEvery() > 0,
		Last: r.last,
	})
	pools.Start(health.App{
		Drain: func(limit time.Duration) bool {
			going := in.catchUp(limit, app.Exited())
			notifier.Drain()
			return going
		},
		Depleted: r.depleted,
		Exec: func(ctx context.Context, words []string) error {
			return runBeside(ctx, supervisor, cmd, words, nil)
		},
	})
	r.forward()
	r.ended()
	r.await(in.finish)
	notifier.Close() // the app's last messages come before its end

	status := app.Status()
	ended := fmt.Sprintf("ended: %v after %v", status, time.Since(began).Round(time.Millisecond))
	out.Say(logstream.Status, ended)
	if status.ExitCode() != 0 {
		if app.Stopped() {
			ended += ", when it was asked to stop"
		}
		out.Say(logstream.Error, ended)
	}
	log.Debug(ended)
	r.await(crashes.Finish)
	return status.ExitCode(), nil
}

func failed(err error) (int, error) {
	var start *process.StartError
	if errors.As(err, &start) {
		return start.ExitCode, err
	}
	return process.ExitFailed, err
}

// forward passes the signals from process.Signals on until the app and its tree are gone.
func (r *appRun) forward() {
	app, pools := r.app, r.to.pools
	exited := app.Exited()
	for {
		select {
		case <-exited:
			r.exited = time.Now()
			pools.End(app.Status().ExitCode())
			exited = nil
		case <-app.Gone():
			if exited != nil { // both channels were closed at once
				r.exited = time.Now()
				pools.End(app.Status().ExitCode())
			}
			return
		case sig := <-r.signals:
			s, _ := process.Number(sig)
			if s == syscall.SIGTERM && !r.stopped.Swap(true) {
				r.to.out.Say(logstream.Status, "stopping: wrapp received SIGTERM")
			}
			if r.ends(s) {
				r.interrupted = time.Now()
			}
			select {
			case <-app.Exited():
				r.crashes.Hurry(s) // the report of the app's death may be under way
			default:
			}
			r.log.Debug("signal forwarded", "signal", process.SignalName(s))
			app.Pass(sig)
		}
	}
}
