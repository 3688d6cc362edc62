package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestSlowDial has a connection take longer than a publication may: it has connect_timeout, until Close.
func TestSlowDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Int64
		k := New(Options{
			Service: "s", Interval: time.Second, Pools: map[string]config.Pool{"api": contract("marker")},
			Dial: func(ctx context.Context) (*redisconn.Client, error) {
				select {
				case <-ctx.Done():
					cut.Add(1)
				case <-time.After(10 * time.Second):
				}
				return nil, errors.New("away")
			},
		})
		k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) {}})
		time.Sleep(time.Minute)
		k.End(0)
		if n := cut.Load(); n > 0 {
			t.Errorf("%d dials were cut short", n)
		}
		began := time.Now()
		if err := k.Close(3 * time.Second); err == nil || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestSlowLink has so many pools that a publication takes longer than Redis may take for an answer: all
// are published, and the record.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	const pools, rate = 200, 32 << 10 // bytes a second
	s := redistest.Start(t)
	addr := redistest.StartProxy(t, s.Addr(), func(client, server net.Conn) {
		client.(*net.TCPConn).SetReadBuffer(4 << 10)
		go io.Copy(client, server)
		defer server.Close()
		b := make([]byte, rate/50)
		for {
			n, err := client.Read(b)
			if err != nil {
				return
			}
			time.Sleep(time.Duration(n) * time.Second / rate)
			server.Write(b[:n])
		}
	})
	many := make(map[string]config.Pool)
	for i := range pools {
		many[fmt.Sprintf("sensor%03d", i)] = contract("marker")
	}
	k := recorded(t, s, "redis://"+addr, many, func(reply string) { t.Error(reply) })
	c := s.Dial(2)
	s.Wait("the record", func() bool {
		n, _ := redis.Int(c.Do("EXISTS", "wrapp-run:s:here"))
		return n == 1
	})
	s.Wait("the pools", func() bool {
		keys, _ := redis.Strings(c.Do("KEYS", "*_running"))
		return len(keys) == pools
	})
	k.End(0)
	k.Close(time.Second)
}

// TestFlapping has a pool that is depleted again and again: that costs few publications.
func TestFlapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials, depletions atomic.Int64
		k := New(Options{
			Service: "s", Interval: time.Second,
			Pools: map[string]config.Pool{"api": {Init: 1, Cap: 1000, DepletionRate: 1000, ReplenishRate: 5, Beat: []string{"marker"}}},
			Dial:  func(context.Context) (*redisconn.Client, error) { dials.Add(1); return nil, errors.New("away") },
		})
		k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) { depletions.Add(1) }})
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			k.HeardMarker([]byte("api"), time.Now())
		}
		synctest.Wait()
		if n, all := dials.Load(), depletions.Load(); n < 5 || n > 12 || all != 100 {
			t.Errorf("%d depletions and %d publications in 1 s", all, n)
		}
		k.End(0)
		k.Close(time.Second)
	})
}
