package fleet

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/health"
)

// A sample is one value of a metric, with its labels other than `app`.
type sample struct {
	labels string // labels: `,name="value"` each
	value  float64
}

// metrics are the Prometheus metrics of an app. An unknown value has no sample.
var metrics = []struct {
	name, kind, help string
	of               func(a *App) []sample
}{
	{"state", "gauge", "1 for the state that the app is in, 0 for the others.", func(a *App) (all []sample) {
		for s, name := range stateNames {
			all = append(all, sample{`,state="` + name + `"`, flag(a.State == State(s))})
		}
		return all
	}},
	{"exit_status", "gauge", "Exit status of an app that has ended, 128+N for a signal.", func(a *App) []sample {
		return known(a.State == IsEnded, float64(a.Exit))
	}},
	{"start_time_seconds", "gauge", "When the app was started, in seconds since 1970.", func(a *App) []sample {
		return known(len(a.Instances) > 0 && !a.Since.IsZero(), float64(a.Since.UnixMilli())/1000)
	}},
	{"restarts", "gauge", "Restarts by the wrapps that run the app now.", func(a *App) []sample { return known(len(a.Instances) > 0, float64(a.Restarts)) }},
	{"worst_pool_health_ratio", "gauge", "Health of the pool that has the least, as a share of its cap.", func(a *App) []sample {
		if a.Pool == nil {
			return nil
		}
		return []sample{{`,pool="` + health.Label(a.Pool.Category) + `"`, share(a.Pool)}}
	}},
	{"recent_errors", "gauge", "Entries on :error in the last ten minutes, 1000 at most.", func(a *App) []sample { return known(true, float64(a.Errors)) }},
	{"last_crash_timestamp_seconds", "gauge", "When the last crash report came, in seconds since 1970.", func(a *App) []sample {
		if a.Crash == nil {
			return nil
		}
		return []sample{{value: float64(a.Crash.Time.UnixMilli()) / 1000}}
	}},
	{"spooled_entries", "gauge", "Entries that wait for Redis.", func(a *App) []sample { return known(len(a.Instances) > 0, float64(a.Waiting)) }},
	{"cursor_lag_entries", "gauge", "Entries that a cursor of wrapp logs has not reached.", func(a *App) (all []sample) {
		for _, lag := range a.Lags {
			if lag.Entries >= 0 {
				all = append(all, sample{`,cursor="` + health.Label(lag.Cursor) + `"`, float64(lag.Entries)})
			}
		}
		return all
	}},
	{"lines_total", "counter", "Lines that the app wrote.", perInstance(func(in *Instance) float64 { return float64(in.Lines) })},
	{"dropped_entries_total", "counter", "Entries that found no room while they waited for Redis.", perInstance(func(in *Instance) float64 { return float64(in.Dropped) })},
	{"dead_letters_total", "counter", "Entries that Redis refused for good.", perInstance(func(in *Instance) float64 { return float64(in.DeadLetters) })},
	{"crash_reports_total", "counter", "Crash reports of the wrapps that run the app now.", perInstance(func(in *Instance) float64 { return float64(in.Crashes) })},
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func known(is bool, value float64) []sample {
	if !is {
		return nil
	}
	return []sample{{value: value}}
}

// perInstance makes a sample of each instance.
func perInstance(of func(*Instance) float64) func(*App) []sample {
	return func(a *App) (all []sample) {
		for i := range a.Instances {
			all = append(all, sample{`,instance="` + health.Label(a.Instances[i].ID) + `"`, of(&a.Instances[i])})
		}
		return all
	}
}

// WritePrometheus writes the apps in Prometheus's text format (version 0.0.4).
func WritePrometheus(w io.Writer, apps []App) error {
	var b strings.Builder
	for _, m := range metrics {
		name := "wrapp_app_" + m.name
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, m.help, name, m.kind)
		for i := range apps {
			for _, s := range m.of(&apps[i]) {
				fmt.Fprintf(&b, "%s{app=\"%s\"%s} %s\n", name, health.Label(apps[i].Name), s.labels, strconv.FormatFloat(s.value, 'f', -1, 64))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
