package values

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestCluster counts in a cluster while slots move and connections are lost.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, false)
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Cluster = &config.Cluster{Addrs: redistest.Addrs(cluster.Masters)}
	dial := func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 0) }
	v := New(Options{
		Name: "a", Dial: dial, Log: eventlog.New(t.Output(), "wrapp", false),
		Refused: func(reason string) { t.Error(reason) },
	})
	const n = 4000
	for i := range n {
		say(v, "n", fmt.Sprint("key", i%40), fmt.Sprint("last:", i), "decimal")
		if i == 0 {
			say(v, "decimal:0.5")
		}
		if i%400 == 100 {
			slot := cluster.Slot("wrapp:a:n")
			from, to := cluster.Owner(slot), cluster.Masters[i/400%3]
			if from != to {
				cluster.Move(slot, from, to, func() { time.Sleep(2 * gather) })
			}
		}
	}
	closed(t, v)
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for key, want := range map[string]string{
		"n": fmt.Sprint(n), "last": fmt.Sprint(n - 1), "key0": fmt.Sprint(n / 40), "key39": fmt.Sprint(n / 40), "decimal": fmt.Sprint(n-1) + ".5",
	} {
		if got, err := conn.Do(t.Context(), conn.B().Get().Key("wrapp:a:"+key).Build()).ToString(); got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
}

// A signalled handler closes its channel at the first log line about a moving slot.
type signalled chan struct{}

func (s signalled) Write(text []byte) (int, error) {
	if strings.Contains(string(text), "TRYAGAIN ") {
		close(s) // values tell it once
	}
	return len(text), nil
}

// TestEndAmidMove closes the Values while the only key's slot moves, before anything could be
// written: Close waits, because Redis was reached.
func TestEndAmidMove(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, false)
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Cluster = &config.Cluster{Addrs: redistest.Addrs(cluster.Masters)}
	dial := func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 0) }
	asked := make(signalled)
	v := New(Options{Name: "a", Dial: dial, Log: eventlog.New(asked, "wrapp", false), Refused: func(reason string) { t.Error(reason) }})
	slot := cluster.Slot("wrapp:a:n")
	from := cluster.Owner(slot)
	to := cluster.Masters[0]
	if to == from {
		to = cluster.Masters[1]
	}
	var ending sync.WaitGroup
	cluster.Move(slot, from, to, func() {
		say(v, "n")
		ending.Go(func() { closed(t, v) })
		from.Wait("an attempt", func() bool {
			select {
			case <-asked:
				return true
			default:
				return false
			}
		})
	})
	ending.Wait()
	if n, err := redis.Int(cluster.Owner(slot).Dial(0).Do("GET", "wrapp:a:n")); n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}
