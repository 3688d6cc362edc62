// Package run is one run of the app, from its first marker to its last. It
// wires everything else together and is the only package that does.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

const (
	// memoryLimit is what may wait for Redis in memory, in bytes.
	memoryLimit = 4 << 20

	// patience is how long the end of wrapp waits for Redis to take another
	// entry before it gives up the rest.
	patience = 3 * time.Second
)

// Streams are wrapp's own standard streams. The app reads Stdin itself; its
// output is copied to Stdout and Stderr as logs.passthrough says.
type Streams struct{ Stdin, Stdout, Stderr *os.File }

// Run runs the app that cfg names and returns the exit status that wrapp is to
// end with. An error says that wrapp itself failed, or that the app could not be
// started: then it is a *process.StartError, whose ExitCode is exit.
func Run(cfg *config.Config, std Streams, log *slog.Logger) (exit int, err error) {
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
	store, left, noSpool := openSpool(cfg)
	out := outbox.New(outbox.Options{
		Keys:       entry.Keys(cfg.Name()),
		MaxEntries: cfg.Logs.MaxEntries,
		Limit:      memoryLimit,
		Block:      cfg.Spool.WhenFull == "block",
		Dial:       dial,
		Log:        log,
		Spool:      store,
		Left:       left,
		SpoolSize:  int64(cfg.Spool.Size),
	}, conn)

	mark(out, "{{__NEW_RUN_%s}}")
	if noSpool != nil {
		log.Info("no spool; entries wait in memory only", "error", noSpool)
		out.Say(entry.Status, "no spool; entries wait in memory only: "+noSpool.Error())
	}
	exit, err = runApp(cfg, std, log, out, signals)
	if err != nil {
		out.Say(entry.Error, err.Error())
	}
	mark(out, "{{__END_RUN_%s_exit_"+strconv.Itoa(exit)+"}}")
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
	return exit, err
}

// mark writes a run marker to the streams that have them.
func mark(out *outbox.Outbox, format string) {
	text := fmt.Sprintf(format, time.Now().Format(entry.RunMarkerLayout))
	out.Say(entry.Info, text)
	out.Say(entry.Status, text)
}

// runApp starts the app, sees it to its end and takes everything it wrote.
func runApp(cfg *config.Config, std Streams, log *slog.Logger, out *outbox.Outbox, signals <-chan os.Signal) (int, error) {
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

	in, stdout, stderr, err := newIntake(int(cfg.Logs.MaxLine), out)
	if err != nil {
		return failed(err)
	}
	defer in.close()
	cmd.Stdout, cmd.Stderr = stdout, stderr

	began := time.Now()
	app, err := supervisor.Start(*cmd)
	stdout.Close()
	stderr.Close()
	if err != nil {
		return failed(err)
	}
	out.Say(entry.Status, fmt.Sprintf("started %s, pid %d", cmd.Path, app.PID()))
	log.Debug("started", "path", cmd.Path, "pid", app.PID())

	in.copyTo(std.Stdout, std.Stderr, cfg.Logs.Passthrough, log)
	go in.run()
	forward(app, signals, out, log)
	out.Unblock() // there is no app any more that could wait for Redis
	in.finish()

	status := app.Status()
	ended := fmt.Sprintf("ended: %v after %v", status, time.Since(began).Round(time.Millisecond))
	out.Say(entry.Status, ended)
	log.Debug(ended)
	return status.ExitCode(), nil
}

func failed(err error) (int, error) {
	var start *process.StartError
	if errors.As(err, &start) {
		return start.ExitCode, err
	}
	return process.ExitFailed, err
}

// forward passes signals on until the app and its tree are gone.
func forward(app *process.Process, signals <-chan os.Signal, out *outbox.Outbox, log *slog.Logger) {
	for {
		select {
		case <-app.Gone():
			return
		case sig := <-signals:
			s := sig.(syscall.Signal)
			if s == syscall.SIGTERM && !app.Stopped() {
				out.Say(entry.Status, "stopping: wrapp received SIGTERM")
			}
			log.Debug("signal forwarded", "signal", process.SignalName(s))
			app.Forward(s)
		}
	}
}
