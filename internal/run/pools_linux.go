package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// listen makes the socket that an app of a pool with notifications is told of in
// its environment. It returns nil, which hears nothing, if no pool wants them or
// there can be none.
func listen(cfg *config.Config, cmd *process.Command, out *outbox.Outbox, log *eventlog.Logger) *health.Notifier {
	wanted := false
	for _, p := range cfg.Health.Pools {
		wanted = wanted || slices.Contains(p.Beat, "notify")
	}
	if !wanted {
		return nil
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if cmd.User != nil {
		uid, gid = int(cmd.User.UID), int(cmd.User.GID)
	}
	notifier, err := health.NewNotifier(uid, gid)
	if err != nil {
		log.Warn("the app cannot notify us", "error", err)
		out.Say(entry.Error, "the app cannot notify us: "+err.Error())
		return nil
	}
	// A WATCHDOG_PID of another process would have the app not notify at all.
	cmd.Env = slices.DeleteFunc(cmd.Env, func(e string) bool {
		return strings.HasPrefix(e, "WATCHDOG_PID=") || strings.HasPrefix(e, "WATCHDOG_USEC=")
	})
	cmd.Env = overlay(cmd.Env, map[string]string{"NOTIFY_SOCKET": notifier.Socket()})
	if period := health.Watchdog(cfg.Health.Pools); period > 0 {
		cmd.Env = append(cmd.Env, "WATCHDOG_USEC="+strconv.FormatInt(period.Microseconds(), 10))
	}
	return notifier
}

// depletions are what was told of pools without health, by category: a pool whose
// heartbeats are too few comes and goes many times a second.
type depletions map[string]depletion

type depletion struct {
	told time.Time
	more int // since then
}

// tellDepletion is how often a pool's depletion is told at most.
const tellDepletion = 10 * time.Second

// text is what to say of a pool that is depleted now, "" if it is counted and told with
// a later one.
func (d depletions) text(category string, now time.Time) string {
	last, again := d[category]
	if again && now.Sub(last.told) < tellDepletion {
		d[category] = depletion{last.told, last.more + 1}
		return ""
	}
	d[category] = depletion{told: now}
	text := fmt.Sprintf("health pool %s is depleted", category)
	if last.more > 0 {
		text += fmt.Sprintf("; so it was %d times more since %s", last.more, last.told.Format(time.TimeOnly))
	}
	return text
}

// depleted does what a pool wants done when it has no health left.
func depleted(cfg *config.Config, category string, told depletions, app *process.Process, crashes *crash.Watch, out *outbox.Outbox, log *eventlog.Logger) {
	if text := told.text(category, time.Now()); text != "" {
		out.Say(entry.Status, text)
		log.Warn(text)
	}
	stop := func() {
		if !app.Stopped() {
			out.Say(entry.Status, fmt.Sprintf("stopping: health pool %s is depleted", category))
			app.Stop()
		}
	}
	if app.Stopped() {
		return
	}
	switch cfg.Health.Pools[category].OnDepleted {
	case "stop":
		stop()
	case "dump":
		crashes.Hang(fmt.Sprintf("health pool %s is depleted", category), func() {})
	case "dump,stop":
		crashes.Hang(fmt.Sprintf("health pool %s is depleted", category), stop)
	}
}

// prober returns a function that runs a command as the app is run: as its user,
// in its directory and environment. What the command writes is nobody's.
func prober(supervisor *process.Supervisor, app *process.Command) func(context.Context, []string) error {
	return func(ctx context.Context, words []string) error {
		path, err := process.Resolve(words[0], app.Dir, lookup(app.Env, "PATH"))
		if err != nil {
			return err
		}
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer null.Close()
		p, err := supervisor.Start(process.Command{
			Path: path, Argv0: words[0], Args: words[1:],
			Dir: app.Dir, Env: app.Env, User: app.User,
			Stdin: null, Stdout: null, Stderr: null,
			Tool: true,
		})
		if err != nil {
			return err
		}
		select {
		case <-p.Gone():
		case <-ctx.Done():
			p.Kill()
			<-p.Gone()
			return ctx.Err()
		}
		if status := p.Status(); status.ExitCode() != 0 {
			return errors.New(status.String())
		}
		return nil
	}
}
