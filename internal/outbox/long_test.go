package outbox

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// longLines is how many lines the long tests send; they take some minutes.
const longLines = 1_000_000

// long skips a test unless LONG=SEED is set, and returns the random numbers of the seed.
func long(t *testing.T) *rand.Rand {
	seed, err := strconv.ParseUint(os.Getenv("LONG"), 10, 64)
	if err != nil {
		t.Skip("the long form, LONG=1 go test -timeout 1h -run Long ./internal/outbox")
	}
	return rand.New(rand.NewPCG(seed, 0))
}

// paced adds longLines lines, some 4000 a second, and closes done.
func paced(o *Outbox, done chan<- struct{}) {
	for n := 0; n < longLines; n += 10 {
		number(o, n, n+10)
		time.Sleep(2 * time.Millisecond)
	}
	close(done)
}

// TestLongFailover makes one failover after the other, by a death or by command, with three
// sentinels and one replica.
func TestLongFailover(t *testing.T) {
	random := long(t)
	durable := []string{"--appendonly", "yes", "--appendfsync", "always"}
	master := redistest.Start(t, durable...)
	replica := redistest.StartReplica(t, master, durable...)
	sentinels := redistest.StartSentinels(t, master, 3)
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Sentinel = &config.Sentinel{Master: "mymaster", Addrs: redistest.Addrs(sentinels)}
	o := open(t, master, func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 1) }
	})
	done := make(chan struct{})
	go paced(o, done)
	deaths, commands := 0, 0
	for !closed(done) {
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		if random.IntN(2) == 0 {
			deaths++
			master.Down()
		} else {
			commands++
			replica.Promote(sentinels[random.IntN(3)].Dial(0))
		}
		replica.Wait("the promotion", replica.IsMaster)
		master.Up()
		replica.Wait("one master and its replica", func() bool {
			if master.IsMaster() { // the sentinels may have had second thoughts
				master, replica = replica, master
			}
			return replica.HasReplica() && replica.IsMaster() && !master.IsMaster()
		})
		master, replica = replica, master
	}
	closeAll(t, o)
	checkFailedOver(t, []*redistest.Server{master, replica}, longLines)
	t.Logf("%d lines, %d deaths, %d failovers by command", longLines, deaths, commands)
}

// TestLongResharding moves the slot of the stream from node to node all the time.
func TestLongResharding(t *testing.T) {
	random := long(t)
	c := redistest.StartCluster(t, 3, false)
	o, dial := openClustered(t, c)
	done := make(chan struct{})
	go paced(o, done)
	slot := c.Slot("logs:app:t:info")
	from := c.Owner(slot)
	moves := 0
	for !closed(done) {
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		to := c.Masters[random.IntN(3)]
		if to == from {
			continue
		}
		pause := time.Duration(random.IntN(50)) * time.Millisecond
		c.Move(slot, from, to, func() { time.Sleep(pause) })
		from = to
		moves++
	}
	closeAll(t, o)
	checkClustered(t, dial, longLines)
	checkNoLossTold(t, dial)
	t.Logf("%d lines, %d moves", longLines, moves)
}
