package panel

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A gatherer makes metrics of the panel's state at each scrape.
type gatherer struct {
	s *Server
}

// The metrics, with their labels.
var (
	boardUp   = desc("jettison_board_up", "1 if the board's Redis answers.", "board")
	boardApps = desc("jettison_board_apps", "Apps that the board's Redis knows.", "board")
	appState  = desc("jettison_app_state", "1 for the state that the app is in.", "board", "app", "state")
	appLines  = desc("jettison_app_lines_per_second", "Lines of the app's output in the last second.", "board", "app")
	appErrors = desc("jettison_app_errors_per_second", "Lines of level ERROR in the last second.", "board", "app")
	appDeaths = desc("jettison_app_crash_reports", "Crash reports that the panel has read, 100 at most.", "board", "app")
	appStarts = desc("jettison_app_restarts", "Restarts in the runs that hold a lease.", "board", "app")
	appSpool  = desc("jettison_app_spooled_entries", "Entries that wait for Redis.", "board", "app")
	poolUnits = desc("jettison_app_pool_health", "Health that is left; 0 means dead.", "board", "app", "pool")
	poolCap   = desc("jettison_app_pool_cap", "The most health that heartbeats can give.", "board", "app", "pool")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func (g *gatherer) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{boardUp, boardApps, appState, appLines, appErrors, appDeaths, appStarts, appSpool, poolUnits, poolCap} {
		to <- d
	}
}

func (g *gatherer) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
		}
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	some := func(d *prometheus.Desc, value *int64, labels ...string) {
		if value != nil {
			gauge(d, float64(*value), labels...)
		}
	}
	up := make(map[string]bool)
	for _, b := range g.s.boardViews() {
		up[b.Name] = b.Up
		value := 0.
		if b.Up {
			value = 1
		}
		gauge(boardUp, value, b.Name)
		gauge(boardApps, float64(b.Apps), b.Name)
	}
	for _, a := range g.s.appViews(1) {
		gauge(appState, 1, a.Board, a.Name, a.State.String())
		gauge(appDeaths, float64(a.Crashes), a.Board, a.Name)
		if !up[a.Board] {
			continue // the last values are outdated
		}
		gauge(appLines, float64(a.Lines), a.Board, a.Name)
		gauge(appErrors, float64(a.Errors), a.Board, a.Name)
		some(appStarts, a.Restarts, a.Board, a.Name)
		some(appSpool, a.Spooled, a.Board, a.Name)
		for i := range a.Pools {
			some(poolUnits, a.Pools[i].Health, a.Board, a.Name, a.Pools[i].Category)
			some(poolCap, a.Pools[i].Cap, a.Board, a.Name, a.Pools[i].Category)
		}
	}
}

// metrics returns the handler of /metrics.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&gatherer{s})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
