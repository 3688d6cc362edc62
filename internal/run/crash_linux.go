package run

import (
	"slices"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/hook"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// watchForCrashes returns a Watch for the app that cmd will start, and sets cmd.Core.
func watchForCrashes(cfg *config.Config, cmd *process.Command, began string, supervisor *process.Supervisor, to sinks, hooks *hook.Hooks) *crash.Watch {
	cmd.Core = cfg.Crash.Core
	return crash.New(crash.Options{
		Crash: cfg.Crash,
		Name:  cfg.Name(),
		Run:   began,
		// Keep most of the stream for deaths.
		MostTracebacks: max(2, cfg.Logs.MaxEntries/4),
		Secrets:        secrets(cfg, cmd.Env),
		Supervisor:     supervisor,
		Deliver: func(r *crash.Report) {
			to.record.crashed()
			id := to.out.Say(logstream.Crash, r.Message, r.Fields()...)
			hooks.Fire(crashEvent(r, logstream.Keys(cfg.Name())[logstream.Crash], id))
		},
		Hold: to.pools.Pause,
		Free: to.pools.Resume,
	})
}

// crashEvent returns the hook's event for a report with that stream and ID.
func crashEvent(r *crash.Report, stream string, id entry.ID) hook.Event {
	title, _, _ := strings.Cut(r.Message, "\n")
	e := hook.Event{
		Kind: hook.Crash, Run: r.Run, Text: title, Stream: stream, ID: id.String(),
		CrashKind: string(r.Kind),
		Signature: r.Signature.ID,
		PID:       r.PID,
	}
	if r.Signal != 0 {
		e.Signal = process.SignalName(r.Signal)
	}
	if r.ExitCode >= 0 {
		e.Exit = &r.ExitCode
	}
	return e
}

// secrets returns a function that lists the texts that no report may show: secrets in the
// app's environment, and the passwords of Redis and its sentinels, both the present ones and
// those of the start, because their files may be renewed.
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
