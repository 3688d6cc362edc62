package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/health/beat"
)

// probeAll starts a goroutine for each source that has a probe.
func (k *Keeper) probeAll(ctx context.Context) {
	for category, p := range k.opts.Pools {
		app := beat.App{Exec: k.app.Exec, CAFile: p.CAFile, Insecure: p.Insecure}
		for _, source := range p.Beat {
			if probe := beat.ProbeOf(source); probe != nil {
				k.loops.Go(func() {
					k.probe(ctx, category, source, func(ctx context.Context) error { return probe(ctx, source, app) })
				})
			}
		}
	}
}

// giveUp is how long the end of a run waits for a probe: a command that hangs in the kernel cannot
// be ended.
const giveUp = 5 * time.Second

// probe asks a source every interval. Each question times out before the next is due.
func (k *Keeper) probe(ctx context.Context, category, source string, ask func(context.Context) error) {
	ticker := time.NewTicker(k.opts.Interval)
	defer ticker.Stop()
	var outcomes streak
	for {
		limited, cancel := context.WithTimeout(ctx, k.opts.Interval*9/10)
		answer := make(chan error, 1)
		go func() { answer <- ask(limited) }()
		var err error
		select {
		case err = <-answer:
		case <-ctx.Done():
			select {
			case <-answer:
			case <-time.After(giveUp):
			}
		}
		if errors.Is(limited.Err(), context.DeadlineExceeded) && err != nil {
			err = fmt.Errorf("no answer within %v", k.opts.Interval*9/10)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			k.addBeats(func(p *kept) bool { return p.category == category }, 1, time.Now())
		}
		outcomes.log(k.opts.Log, err, "a probe failed", "the probe succeeds again", "pool", category, "source", source)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
