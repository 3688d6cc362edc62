package crash

import (
	"context"
	"os"
	"syscall"
	"time"
)

// ending reports the app's death, if it is a crash.
func (w *Watch) ending() {
	limit := time.Duration(w.opts.Timeout)
	if w.app.Stopped() {
		limit = min(limit, stopLimit)
	}
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	w.last = w.death()
	if p, err := readPattern(sysKernel); err == nil && w.opts.Core {
		// The pattern may have changed since the app's start.
		w.looking.Lock()
		w.pattern, w.finder.pattern = p, p
		w.looking.Unlock()
	}
	broken := w.findCores(ctx, w.last.status.CoreDumped())
	if kind, crash := w.last.kind(); !crash || kind != Signal {
		// A traceback in the last output may make it a crash.
		w.awaitOutput(ctx)
		w.decide(ctx, nil)
		return
	}
	w.awaitHandler(ctx)
	w.decide(ctx, broken)
}

// decide reports the death if it is a crash, and only once.
func (w *Watch) decide(ctx context.Context, broken []string) {
	d := w.last
	d.block = w.lastBlock(false)
	kind, crash := d.kind()
	if !crash {
		return
	}
	w.mu.Lock()
	own, again := w.own, w.reported
	w.reported = true
	w.mu.Unlock()
	if again {
		return
	}
	e := evidence{at: d.at, core: own, broken: broken}
	if own == nil {
		e.without = w.withoutCore(d.status)
	} else {
		w.backtrace(ctx, own, &e)
		w.looking.Lock()
		w.finder.discard(own)
		w.looking.Unlock()
	}
	w.awaitOutput(ctx)
	d.block = w.lastBlock(true)
	w.opts.Deliver(w.deathReport(kind, d, &e))
}

// death collects what is known just after the app's end.
func (w *Watch) death() *death {
	d := &death{at: time.Now(), status: w.app.Status(), stopped: w.app.Stopped(), stopSignal: w.cmd.StopSignal}
	if limits := d.status.Limits(); limits != "" {
		w.life.mu.Lock()
		w.life.limits = limits
		w.life.mu.Unlock()
	}
	w.life.mu.Lock()
	w.life.noCore = !d.status.CoreDumped()
	w.life.mu.Unlock()
	if d.status.Signal() == syscall.SIGKILL {
		w.life.mu.Lock()
		group, before := w.life.group, w.life.before
		w.life.mu.Unlock()
		d.oom = countOOM(group).since(before)
	}
	return d
}

// end delivers the remaining reports when the app's tree is gone.
func (w *Watch) end() {
	ctx, cancel := context.WithTimeout(w.ctx, time.Duration(w.opts.Timeout))
	defer cancel()
	w.decide(ctx, nil)
	w.survived(time.Now())
	w.deliverSums(true)
	w.findCores(ctx, true)
	w.children.Wait()
	if w.skipped > 0 {
		w.opts.Deliver(w.skippedReport())
	}
	w.looking.Lock()
	if w.own != nil && !w.own.removed {
		w.finder.discard(w.own) // of a death that is no crash, such as a stop with SIGQUIT
	}
	w.looking.Unlock()
}

// awaitOutput waits until the output is complete, for outputGrace at most.
func (w *Watch) awaitOutput(ctx context.Context) {
	select {
	case <-w.complete:
	case <-ctx.Done():
	case <-time.After(outputGrace):
	}
}

// awaitHandler waits up to handlerGrace for a core that a handler may be about to store.
func (w *Watch) awaitHandler(ctx context.Context) {
	if w.pattern == nil || w.pattern.handler == "" || !stored() {
		return
	}
	until := time.Now().Add(handlerGrace)
	for {
		w.findCores(ctx, false)
		w.mu.Lock()
		there := w.own != nil
		w.mu.Unlock()
		packed := w.finder.packed(w.app.PID())
		if !there && packed != "" && w.opts.Backtrace != "off" {
			w.unpack(ctx, packed)
		}
		if there || packed != "" || time.Now().After(until) || ctx.Err() != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stored says whether the store of a known handler exists here.
func stored() bool {
	for _, dir := range stores {
		if _, err := os.Stat(dir); err == nil {
			return true
		}
	}
	return false
}
