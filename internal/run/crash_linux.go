package run

import (
	"slices"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// watchForCrashes returns what watches the app, which cmd will start, for crashes,
// and lets it dump core if it may.
func watchForCrashes(cfg *config.Config, cmd *process.Command, began string, supervisor *process.Supervisor, to sinks) *crash.Watch {
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
		Builtin:      crash.ReadCore,
		Deliver:      func(r *crash.Report) { to.out.Say(entry.Crash, r.Message, r.Fields()...) },
		Hold:         to.pools.Pause,
		Free:         to.pools.Resume,
	})
}

// secrets returns what says which texts no report may show: what the environment
// of the app says is secret, and the passwords of Redis and its sentinels as they
// are now and as they were at the start, because their files may be renewed.
func secrets(cfg *config.Config, env []string) func() []string {
	first := append(crash.Secrets(env), crash.Secrets([]string{"=" + cfg.Redis.URL.Reveal()})...)
	first = append(first, passwords(cfg)...)
	return func() []string { return append(slices.Clip(first), passwords(cfg)...) }
}

func passwords(cfg *config.Config) (all []string) {
	if _, password, err := cfg.Redis.Credentials(); err == nil {
		all = append(all, password)
	}
	if s := cfg.Redis.Sentinel; s != nil {
		if _, password, err := s.Credentials(); err == nil {
			all = append(all, password)
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
