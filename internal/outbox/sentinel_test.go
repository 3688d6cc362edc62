package outbox

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// steadily adds numbered lines until stop is called, which returns their number.
func steadily(o *Outbox) (stop func() int) {
	return steadilyTo(o, func() int { return math.MaxInt })
}

// steadilyTo is steadily, but that it waits where there are as many lines as most says.
func steadilyTo(o *Outbox, most func() int) (stop func() int) {
	quit, count := make(chan bool), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-quit:
				count <- n
				return
			default:
			}
			if n+20 <= most() {
				number(o, n, n+20)
				n += 20
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return func() int {
		close(quit)
		return <-count
	}
}

// acknowledged waits until n more lines have landed.
func acknowledged(t *testing.T, o *Outbox, n int) {
	t.Helper()
	from := landed(o)
	eventually(t, "lines land", func() bool { return landed(o) >= from+n })
}

// landed returns the ordinal up to which everything has landed.
func landed(o *Outbox) int {
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	return int(o.q.headOrdinal())
}

// TestFailover kills one master after the other while numbered lines flow, and has the
// sentinels demote the last one.
func TestFailover(t *testing.T) {
	t.Parallel()
	servers := []*redistest.Server{redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")}
	servers = append(servers, redistest.StartReplica(t, servers[0], "--appendonly", "yes", "--appendfsync", "always"))
	sentinels := redistest.StartSentinels(t, servers[0], 3)
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Sentinel = &config.Sentinel{Master: "mymaster", Addrs: redistest.Addrs(sentinels)}
	o := open(t, servers[0], func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 1) }
	})
	stop := steadily(o)
	acknowledged(t, o, 5000)
	servers[0].Down()
	acknowledged(t, o, 5000)
	servers[1].Wait("the promotion", servers[1].IsMaster)

	// The first server comes back as a replica, and takes over without a death: the other one
	// stays, read-only.
	servers[0].Up()
	servers[0].Wait("the demotion", func() bool {
		return !servers[0].IsMaster() && strings.Contains(servers[0].Info("replication"), "master_link_status:up")
	})
	servers[0].Promote(sentinels[0].Dial(0))
	// Lines that the demoted server still takes are lost unless the outbox sends them again:
	// so it must not end before it has moved to the new master.
	length := func() int { // dials each time: a demotion ends all connections
		streams, err := redis.Dial("tcp", masterOf(servers).Addr(), redis.DialDatabase(1))
		if err != nil {
			return 0
		}
		defer streams.Close()
		n, _ := redis.Int(streams.Do("XLEN", logstream.Keys("t")[logstream.Info]))
		return n
	}
	there := length()
	servers[0].Wait("entries from elsewhere than the old master", func() bool { return length() > there+1000 })
	n := stop()
	closeAll(t, o)
	checkFailedOver(t, servers, n)
}

// masterOf returns which of two servers is the master: after a failover the first, unless the
// sentinels have had second thoughts.
func masterOf(servers []*redistest.Server) *redistest.Server {
	if servers[0].IsMaster() {
		return servers[0]
	}
	return servers[1]
}

// checkFailedOver fails unless the lines 0 to n-1 are on the master, once and in order, but
// for at most as many as :status reports lost. Fewer are missing if a server that had them
// became the master once more.
func checkFailedOver(t *testing.T, servers []*redistest.Server, n int) {
	t.Helper()
	master := masterOf(servers)
	before, missing := -1, 0
	for _, m := range append(master.Messages(logstream.Keys("t")[logstream.Info]), fmt.Sprintf("line %d", n)) {
		var i int
		fmt.Sscanf(m, "line %d", &i)
		if i <= before {
			t.Fatalf("line %d behind line %d", i, before)
		}
		missing += i - before - 1
		before = i
	}
	told := 0
	for _, m := range said(master, "entries of :info that it had taken") {
		var all, again, lost int
		if _, err := fmt.Sscanf(m, "Redis has lost %d entries of :info that it had taken: %d are sent again and %d are lost", &all, &again, &lost); err != nil {
			t.Errorf("%q: %v", m, err)
		}
		told += lost
	}
	if missing > told {
		t.Errorf("%d of %d lines are missing, %d are told", missing, n, told)
	}
}

// TestReadOnly demotes a master for a while, without the sentinels.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.StartReplica(t, master)
	o := open(t, master, nil)
	stop := steadily(o)
	acknowledged(t, o, 1000)
	for range 3 {
		c := master.Dial(0)
		if _, err := c.Do("REPLICAOF", "127.0.0.1", replica.Port); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // lines go on coming
		if _, err := c.Do("REPLICAOF", "NO", "ONE"); err != nil {
			t.Fatal(err)
		}
		acknowledged(t, o, 1000)
	}
	n := stop()
	closeAll(t, o)
	checkNumbered(t, master, n)
}

// TestLostByFailover kills a master that took entries which its replica never got: they are
// retained and come again, under the same IDs.
func TestLostByFailover(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.StartReplica(t, master)
	var address atomic.Pointer[redistest.Server] // a connection may be lost at any time
	address.Store(master)
	o := open(t, master, func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			return redisconn.Dial(ctx, &address.Load().Config().Redis, 1)
		}
	})
	number(o, 0, 1000)
	key := logstream.Keys("t")[logstream.Info]
	replica.Wait("replication", func() bool { return len(replica.Messages(key)) == 1000 })
	if _, err := replica.Dial(0).Do("REPLICAOF", "NO", "ONE"); err != nil {
		t.Fatal(err)
	}
	number(o, 1000, 3000)
	master.Wait("the entries", func() bool { return len(master.Messages(key)) == 3000 })
	address.Store(replica)
	master.Down()
	number(o, 3000, 4000)
	closeAll(t, o)
	checkNumbered(t, replica, 4000)
	if again, lost := toldLost(replica); again != 2000 || lost != 0 {
		t.Errorf("status: %q", replica.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestNoReplicas writes to a master that takes nothing while it has no replica.
func TestNoReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--min-replicas-to-write", "1")
	o := open(t, s, nil)
	number(o, 0, 3000)
	eventually(t, "it refuses", func() bool { return strings.Contains(s.Info("commandstats"), "cmdstat_eval") })
	redistest.StartReplica(t, s)
	number(o, 3000, 6000)
	closeAll(t, o)
	checkNumbered(t, s, 6000)
}
