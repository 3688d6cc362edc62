package run

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// listen makes the notification socket and puts it into the app's environment. It returns
// nil, which is a valid Notifier, if no pool has the beat notify or the socket cannot be made.
func listen(cfg *config.Config, cmd *process.Command, out *outbox.Outbox, log *slog.Logger) *health.Notifier {
	wanted := false
	for _, p := range cfg.Health.Pools {
		wanted = wanted || slices.Contains(p.Beat, beat.Notify)
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
		out.Say(logstream.Error, "the app cannot notify us: "+err.Error())
		return nil
	}
	// With a WATCHDOG_PID of another process the app would not notify at all.
	cmd.Env = slices.DeleteFunc(cmd.Env, func(e string) bool {
		return strings.HasPrefix(e, "WATCHDOG_PID=") || strings.HasPrefix(e, "WATCHDOG_USEC=")
	})
	cmd.Env = overlay(cmd.Env, map[string]string{"NOTIFY_SOCKET": notifier.Socket()})
	period := health.Watchdog(cfg.Health.Pools)
	if every := watchedEvery(); every > 0 && (period == 0 || every < period) {
		period = every
	}
	if period > 0 {
		cmd.Env = append(cmd.Env, "WATCHDOG_USEC="+strconv.FormatInt(period.Microseconds(), 10))
	}
	return notifier
}

// watchedEvery returns the time within which systemd wants a WATCHDOG=1 from wrapp
// (WatchdogSec), or 0 if it wants none from this process.
func watchedEvery() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us > math.MaxInt64/int64(time.Microsecond) {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// depletions limits the reports of depleted pools, by category: a pool with too few
// heartbeats may be depleted many times a second.
type depletions map[string]depletion

type depletion struct {
	reported time.Time // of the last report
	more     int       // depletions since then
}

// depletionReportEvery is the least time between two reports of a pool's depletion.
const depletionReportEvery = 10 * time.Second

// text returns the report of a pool that is depleted now, or "" to leave it to a later one.
func (d depletions) text(category string, now time.Time) string {
	last, again := d[category]
	if again && now.Sub(last.reported) < depletionReportEvery {
		d[category] = depletion{last.reported, last.more + 1}
		return ""
	}
	d[category] = depletion{reported: now}
	text := fmt.Sprintf("health pool %s is depleted", category)
	if last.more > 0 {
		text += fmt.Sprintf("; so it was %d times more since %s", last.more, last.reported.Format(time.TimeOnly))
	}
	return text
}
