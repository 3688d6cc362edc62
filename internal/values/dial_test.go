package values

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// TestSlowDial has a connection take longer than an attempt may: it has connect_timeout.
func TestSlowDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials, cut atomic.Int64
		v := New(Options{
			Name: "a",
			Dial: func(ctx context.Context) (*redisconn.Client, error) {
				dials.Add(1)
				select {
				case <-ctx.Done():
					cut.Add(1)
				case <-time.After(10 * time.Second):
				}
				return nil, errors.New("away")
			},
		})
		v.Count([]byte("n"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if dials.Load() == 0 || cut.Load() > 0 {
			t.Errorf("%d of %d dials were cut short", cut.Load(), dials.Load())
		}
		if n, err := v.Close(time.Second); n != 1 || err == nil {
			t.Errorf("%d keys are not written, %v", n, err)
		}
	})
}
