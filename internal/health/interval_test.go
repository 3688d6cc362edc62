package health

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// TestLongInterval: a long publishing interval makes nothing else slower or coarser.
func TestLongInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		var stuck atomic.Int64 // nanoseconds
		var depleted atomic.Bool
		k := New(Options{
			Service: "s", Interval: time.Minute,
			Pools: map[string]config.Pool{"api": {Init: 6300, Cap: 6300, DepletionRate: 100, Beat: []string{"marker"}}},
			Dial:  func(context.Context) (*redisconn.Client, error) { dials.Add(1); return nil, errors.New("away") },
		})
		k.Start(App{
			Drain:    func(time.Duration) bool { time.Sleep(time.Duration(stuck.Load())); return true },
			Depleted: func(string) { depleted.Store(true) },
		})
		t.Cleanup(func() {
			k.End(0)
			k.Close(time.Second)
		})
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if n := dials.Load(); n != 11 {
			t.Errorf("Redis was looked for %d times in 10 s", n)
		}
		stuck.Store(int64(5 * time.Second)) // the check after a minute is late
		time.Sleep(55 * time.Second)
		synctest.Wait()
		wantHealth(t, k, "api", 300)
		if depleted.Load() {
			t.Error("wrapp's lateness has depleted a pool")
		}
	})
}
