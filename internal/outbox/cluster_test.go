package outbox

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// openClustered is open for a cluster.
func openClustered(t *testing.T, c *redistest.Cluster) (*Outbox, func(context.Context) (*redisconn.Client, error)) {
	dial := dialCluster(c)
	return open(t, nil, func(opts *Options) { opts.Dial = dial }), dial
}

func dialCluster(c *redistest.Cluster) func(context.Context) (*redisconn.Client, error) {
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Cluster = &config.Cluster{Addrs: redistest.Addrs(c.Masters)}
	return func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 0) }
}

// checkClustered fails unless the info stream holds the lines 0 to n-1 once, in order.
func checkClustered(t *testing.T, dial func(context.Context) (*redisconn.Client, error), n int) {
	t.Helper()
	entries := clustered(t, dial, logstream.Info)
	if len(entries) != n {
		t.Errorf("%d entries, want %d", len(entries), n)
	}
	for i, e := range entries {
		if got, want := e.FieldValues["message"], fmt.Sprintf("line %d", i); got != want {
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
	slot := c.Slot(logstream.Keys("t")[logstream.Info])
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
	checkNoLossTold(t, dial)
}

// clustered returns the entries of a stream in a cluster. While a cluster replaces a dead node, the
// client may close a connection that a read has begun to use.
func clustered(t *testing.T, dial func(context.Context) (*redisconn.Client, error), stream logstream.Stream) (entries []rueidis.XRangeEntry) {
	t.Helper()
	eventually(t, "the cluster answers", func() bool {
		conn, err := dial(t.Context())
		if err != nil {
			return false
		}
		defer conn.Close()
		entries, err = conn.Do(t.Context(), conn.B().Xrange().Key(logstream.Keys("t")[stream]).Start("-").End("+").Build()).AsXRange()
		return err == nil
	})
	return entries
}

// checkNoLossTold fails if :status says that a cluster has lost entries.
func checkNoLossTold(t *testing.T, dial func(context.Context) (*redisconn.Client, error)) {
	t.Helper()
	for _, e := range clustered(t, dial, logstream.Status) {
		if text := e.FieldValues["message"]; strings.Contains(text, "Redis has lost") {
			t.Error(text)
		}
	}
}

// TestNodeDies kills the master of the info stream, so that its replica takes over, while
// numbered lines flow.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, true)
	o, dial := openClustered(t, c)
	stop := steadily(o)
	acknowledged(t, o, 1000)
	slot := c.Slot(logstream.Keys("t")[logstream.Info])
	c.Owner(slot).Down()
	acknowledged(t, o, 1000)
	n := stop()
	closeAll(t, o)
	checkClustered(t, dial, n)
}

// deadNode stops the node of one stream for good, in a cluster without replicas, while that of the info
// stream goes on. It returns that node and the stream.
func deadNode(t *testing.T, c *redistest.Cluster, o *Outbox) (alive *redistest.Server, dead logstream.Stream) {
	t.Helper()
	number(o, 0, 100)
	eventually(t, "landed", o.q.empty)
	keys := logstream.Keys("t")
	alive, dead = c.Owner(c.Slot(keys[logstream.Info])), logstream.Crash
	if c.Owner(c.Slot(keys[dead])) == alive {
		dead = logstream.Status
	}
	c.Owner(c.Slot(keys[dead])).Down()
	return alive, dead
}

// arrived waits until the info stream of a living node has n entries.
func arrived(alive *redistest.Server, n int) {
	alive.Wait("the lines land", func() bool {
		there, err := redis.Int(alive.Dial(0).Do("XLEN", logstream.Keys("t")[logstream.Info]))
		return err == nil && there == n
	})
}

// TestDeadNode has one node dead: the other streams go on, and only what has not landed is lost in the
// end.
func TestDeadNode(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, false, "--cluster-require-full-coverage", "no")
	o, _ := openClustered(t, c)
	alive, dead := deadNode(t, c, o)
	o.Say(dead, "lost")
	o.Say(dead, "lost")
	eventually(t, "the dead node is known", func() (away bool) {
		o.q.withLock(func(q *queue) { away = q.away != "" })
		return away
	})
	number(o, 100, 20_000)
	arrived(alive, 20_000)
	o.Unblock()
	eventually(t, "they are known to have landed", func() bool { return o.q.len() == 2 })
	if lost, kept, why := o.Close(time.Second); lost != 2 || kept != 0 {
		t.Errorf("%d entries lost and %d kept: %v", lost, kept, why)
	}
}

// TestDeadNodeMemory has more lines than the memory holds land behind an entry for a dead node.
func TestDeadNodeMemory(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, false, "--cluster-require-full-coverage", "no")
	o := openSpooled(t, nil, filepath.Join(t.TempDir(), "spool"), 64<<20, func(opts *Options) { opts.Dial = dialCluster(c) })
	alive, dead := deadNode(t, c, o)
	o.Say(dead, "lost")
	const n = 10_000 // of 1 KB, where the memory holds 1 MiB
	line := bytes.Repeat([]byte("x"), 1000)
	most := 0
	for range n {
		o.Add(time.Now(), logstream.Info, 0, line)
		o.Send()
		o.q.withLock(func(q *queue) { most = max(most, q.held) })
	}
	arrived(alive, n+100)
	o.q.withLock(func(q *queue) { most = max(most, q.held) })
	// What has landed is freed above 2 MiB. Two batches, each of 1 MiB and a slab, may be on their way.
	if most > 5<<20 {
		t.Errorf("%d bytes were held", most)
	}
	o.Unblock()
	o.Close(short)
}
