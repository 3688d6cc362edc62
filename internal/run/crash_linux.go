package run

import (
	"slices"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// watchForCrashes returns what watches the app, which cmd will start, for crashes,
// and lets it dump core if it may.
func watchForCrashes(cfg *config.Config, cmd *process.Command, began string, supervisor *process.Supervisor, out *outbox.Outbox) *crash.Watch {
	cmd.Core = cfg.Crash.Core
	return crash.New(crash.Options{
		Name:         cfg.Name(),
		Run:          began,
		Core:         cfg.Crash.Core,
		Backtrace:    cfg.Crash.Backtrace,
		Timeout:      time.Duration(cfg.Crash.Timeout),
		KeepCore:     cfg.Crash.KeepCore,
		ContextLines: cfg.Crash.ContextLines,
		Secrets:      secrets(cfg, cmd.Env),
		Supervisor:   supervisor,
		Deliver:      func(r *crash.Report) { out.Say(entry.Crash, r.Message, r.Fields()...) },
	})
}

// secrets are what no report may show: the passwords we know, and what the app's
// environment says is secret.
func secrets(cfg *config.Config, env []string) []string {
	secrets := crash.Secrets(env)
	if _, password, err := cfg.Redis.Credentials(); err == nil {
		secrets = append(secrets, password)
	}
	if s := cfg.Redis.Sentinel; s != nil {
		secrets = append(secrets, s.Password.Reveal())
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}
