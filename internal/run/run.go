// Package run is one run of the app, from its first marker to its last. It
// wires everything else together and is the only package that does.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/values"
)

const (
	// memoryLimit is what may wait for Redis in memory, in bytes.
	memoryLimit = 4 << 20

	// patience is how long the end of wrapp waits for Redis to take another
	// entry before it gives up the rest.
	patience = 3 * time.Second

	// heapLimit is when garbage is collected early, in bytes of memory. Ordinary
	// lines stay far below it; of blocks of 10 MiB several copies are on their way.
	heapLimit = 32 << 20
)

// Streams are wrapp's own standard streams. The app reads Stdin itself; its
// output is copied to Stdout and Stderr as logs.passthrough says.
type Streams struct{ Stdin, Stdout, Stderr *os.File }

// Run runs the app that cfg names and returns the exit status that wrapp is to
// end with. An error says that wrapp itself failed, or that the app could not be
// started: then it is a *process.StartError, whose ExitCode is exit.
func Run(cfg *config.Config, std Streams, log *eventlog.Logger) (exit int, err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
	signals, stopSignals := process.Signals()
	defer stopSignals()

	dial := func(ctx context.Context) (*redisconn.Conn, error) {
		return redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	}
	conn, err := dial(context.Background())
	var refused *redisconn.RefusedError
	var wrong *config.Error
	if errors.As(err, &refused) || errors.As(err, &wrong) {
		return process.ExitFailed, err
	}
	if err != nil {
		log.Warn("redis is not there; the app starts all the same and entries wait", "error", err)
	}
	name := cfg.Name()
	store, left, noSpool := openSpool(cfg)
	out := outbox.New(outbox.Options{
		Keys:       entry.Keys(name),
		MaxEntries: cfg.Logs.MaxEntries,
		Limit:      memoryLimit,
		Block:      cfg.Spool.WhenFull == "block",
		Dial:       dial,
		Log:        log,
		Spool:      store,
		Left:       left,
		SpoolSize:  int64(cfg.Spool.Size),
	}, conn)

	dialValues := func(ctx context.Context) (*redisconn.Conn, error) {
		return redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.ValuesDB)
	}
	vals := values.New(values.Options{
		Name: name,
		Dial: dialValues,
		Log:  log,
		Refused: func(reason string) {
			log.Warn(reason)
			out.Say(entry.Error, reason)
		},
	})
	pools := health.New(health.Options{
		Service:  name,
		Interval: time.Duration(cfg.Health.Interval),
		Pools:    cfg.Health.Pools,
		Dial:     dialValues,
		Log:      log,
	})

	began := mark(out, "{{__NEW_RUN_%s}}")
	if noSpool != nil {
		log.Info("no spool; entries wait in memory only", "error", noSpool)
		out.Say(entry.Status, "no spool; entries wait in memory only: "+noSpool.Error())
	}
	exit, err = runApp(cfg, began, std, log, sinks{out: out, values: vals, pools: pools}, signals)
	if err != nil {
		out.Say(entry.Error, err.Error())
		pools.End(exit)
	}
	mark(out, "{{__END_RUN_%s_exit_"+strconv.Itoa(exit)+"}}")
	var ends sync.WaitGroup
	ends.Go(func() {
		if err := pools.Close(patience); err != nil {
			log.Error("the end of the health pools is not published; their health ends by itself", "error", err)
		}
	})
	ends.Go(func() {
		if n, why := vals.Close(patience); n > 0 {
			log.Error("redis did not take every value; the last changes are lost", "keys", n, "error", why)
		}
	})
	lost, kept, why := out.Close(patience)
	if refused, aside := out.Refused(); refused > 0 {
		log.Warn("redis refused entries for good", "entries", refused, "set aside", aside)
	}
	if kept > 0 {
		log.Warn("redis did not take everything; the rest is kept for the next run", "entries", kept, "spool", store.Dir(), "error", why)
	}
	if lost > 0 {
		log.Error("redis did not take everything; entries are lost", "entries", lost, "error", why)
	}
	ends.Wait()
	return exit, err
}

// mark writes a run marker to the streams that have them, and returns the time in
// it.
func mark(out *outbox.Outbox, format string) string {
	now := time.Now().Format(entry.RunMarkerLayout)
	text := fmt.Sprintf(format, now)
	out.Say(entry.Info, text)
	out.Say(entry.Status, text)
	return now
}

// runApp starts the app, sees it to its end and takes everything it wrote. run is
// the time in the run marker.
func runApp(cfg *config.Config, run string, std Streams, log *eventlog.Logger, to sinks, signals <-chan os.Signal) (int, error) {
	out, pools := to.out, to.pools
	cmd, err := prepare(cfg)
	if err != nil {
		return failed(err)
	}
	cmd.Stdin = std.Stdin

	supervisor, err := process.New()
	if err != nil {
		return failed(err)
	}
	defer supervisor.Close()

	crashes := watchForCrashes(cfg, cmd, run, supervisor, to)
	to.crashes = crashes
	in, stdout, stderr, err := newIntake(int(cfg.Logs.MaxLine), to)
	if err != nil {
		return failed(err)
	}
	defer in.close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	notifier := listen(cfg, cmd, out, log)
	defer notifier.Close()

	began := time.Now()
	app, debugger, err := start(cfg, supervisor, *cmd, pools, out, log)
	stdout.Close()
	stderr.Close()
	if err != nil {
		return failed(err)
	}
	defer debugger.Close()
	out.Say(entry.Status, fmt.Sprintf("started %s, pid %d", cmd.Path, app.PID()))
	log.Debug("started", "path", cmd.Path, "pid", app.PID())

	if cfg.Logs.Format == "json" {
		in.json = entry.NewJSON(entry.Context{Service: cfg.Name(), Run: run, PID: app.PID()})
	}
	crashes.Start(app, *cmd, began)
	in.copyTo(std.Stdout, std.Stderr, cfg.Logs.Passthrough, log)
	go in.run()
	notifier.Listen(pools, health.NotifyOptions{
		Member: app.Has,
		Status: func(text string) { out.Say(entry.Status, text) },
		Log:    log,
		Relay:  os.Getenv("NOTIFY_SOCKET"),
	})
	told := make(depletions)
	pools.Start(health.App{
		Drain: func(limit time.Duration) bool {
			going := in.catchUp(limit)
			notifier.Drain()
			return going
		},
		Depleted: func(category string) { depleted(cfg, category, told, app, crashes, out, log) },
		Exec:     prober(supervisor, cmd),
	})
	cores := useOneCore()
	forward(app, pools, crashes, signals, out, log)
	runtime.GOMAXPROCS(cores)
	out.Unblock() // there is no app any more that could wait for Redis
	in.finish()
	notifier.Close() // what the app said last comes before its end

	status := app.Status()
	ended := fmt.Sprintf("ended: %v after %v", status, time.Since(began).Round(time.Millisecond))
	out.Say(entry.Status, ended)
	log.Debug(ended)
	crashes.Finish(signals)
	return status.ExitCode(), nil
}

// useOneCore has one goroutine run at a time, unless the environment says
// otherwise, and returns how many could before: one core does more than Redis can
// take, and goroutines that wake each other across cores cost more than they gain.
// The start and the end are chains of short system calls, which are faster with
// two. docs/adr/0005 has the figures.
func useOneCore() (before int) {
	if os.Getenv("GOMAXPROCS") != "" {
		return 0 // which changes nothing
	}
	return runtime.GOMAXPROCS(1)
}

func failed(err error) (int, error) {
	var start *process.StartError
	if errors.As(err, &start) {
		return start.ExitCode, err
	}
	return process.ExitFailed, err
}

// forward passes signals on until the app and its tree are gone.
func forward(app *process.Process, pools *health.Keeper, crashes *crash.Watch, signals <-chan os.Signal, out *outbox.Outbox, log *eventlog.Logger) {
	exited := app.Exited()
	for {
		select {
		case <-exited:
			pools.End(app.Status().ExitCode())
			exited = nil
		case <-app.Gone():
			if exited != nil { // both came at once
				pools.End(app.Status().ExitCode())
			}
			return
		case sig := <-signals:
			s := sig.(syscall.Signal)
			if s == syscall.SIGTERM && !app.Stopped() {
				out.Say(entry.Status, "stopping: wrapp received SIGTERM")
			}
			select {
			case <-app.Exited():
				crashes.Hurry(s) // the report of its death may be under way
			default:
			}
			log.Debug("signal forwarded", "signal", process.SignalName(s))
			app.Forward(s)
		}
	}
}
