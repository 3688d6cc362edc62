package run

import (
	"log/slog"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/debug"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// start starts the app. If debug.enabled is set, the app is paused, and the Debugger serves
// its clients; else the Debugger is nil.
func start(cfg *config.Config, supervisor *process.Supervisor, cmd process.Command, pools *health.Keeper, out *outbox.Outbox, log *slog.Logger) (*process.Process, *debug.Debugger, error) {
	if !cfg.Debug.Enabled {
		app, err := supervisor.Start(cmd)
		return app, nil, err
	}
	debugger, err := debug.Listen(debug.Options{
		Host: cfg.Debug.Host, Port: cfg.Debug.Port,
		Supervisor: supervisor,
		Log:        log,
		Status:     func(text string) { out.Say(logstream.Status, text) },
		Hold:       pools.Pause,
		Free:       pools.Resume,
	})
	if err != nil {
		return nil, nil, err
	}
	app, err := debugger.Start(cmd)
	if err != nil {
		debugger.Close()
		return nil, nil, err
	}
	return app, debugger, nil
}
