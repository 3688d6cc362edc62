package outbox

import (
	"context"
	"fmt"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// openClustered is open for a cluster.
func openClustered(t *testing.T, c *redistest.Cluster) (*Outbox, func(context.Context) (*redisconn.Conn, error)) {
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Cluster = &config.Cluster{Addrs: redistest.Addrs(c.Masters)}
	dial := func(ctx context.Context) (*redisconn.Conn, error) { return redisconn.Dial(ctx, &r, 0) }
	return open(t, nil, func(opts *Options) { opts.Dial = dial }), dial
}

// checkClustered fails unless the info stream holds the lines 0 to n-1 once, in order.
func checkClustered(t *testing.T, dial func(context.Context) (*redisconn.Conn, error), n int) {
	t.Helper()
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	values, err := redis.Values(conn.Do("XRANGE", entry.Keys("t")[entry.Info], "-", "+"))
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != n {
		t.Errorf("%d entries, want %d", len(values), n)
	}
	for i, v := range values {
		pair, _ := redis.Values(v, nil)
		fields, _ := redis.StringMap(pair[1], nil)
		if got, want := fields["message"], fmt.Sprintf("line %d", i); got != want {
			t.Fatalf("entry %d is %q, want %q", i, got, want)
		}
	}
}

// TestResharding moves the slots of the streams from node to node while numbered
// lines flow.
func TestResharding(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, false)
	o, dial := openClustered(t, c)
	stop := steadily(o)
	acknowledged(t, o, 1000)
	slot := c.Slot(entry.Keys("t")[entry.Info])
	for i := range 9 {
		from := c.Owner(slot)
		to := c.Masters[i%3]
		if from == to {
			to = c.Masters[(i+1)%3]
		}
		c.Move(slot, from, to, nil)
		acknowledged(t, o, 200)
	}
	n := stop()
	closeAll(t, o)
	checkClustered(t, dial, n)
}

// TestNodeDies has the master of the info stream die, and its replica take over,
// while numbered lines flow.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, true)
	o, dial := openClustered(t, c)
	stop := steadily(o)
	acknowledged(t, o, 1000)
	slot := c.Slot(entry.Keys("t")[entry.Info])
	c.Owner(slot).Down()
	acknowledged(t, o, 1000)
	n := stop()
	closeAll(t, o)
	checkClustered(t, dial, n)
}
