package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// recorded starts a Keeper with a record whose field n counts up. It reaches Redis at a URL, or at s if that
// is empty.
func recorded(t *testing.T, s *redistest.Server, url string, pools map[string]config.Pool, refused func(string)) *Keeper {
	t.Helper()
	cfg := s.Config()
	if url != "" {
		if err := cfg.Redis.SetURL(url); err != nil {
			t.Fatal(err)
		}
	}
	var n atomic.Int64
	k := New(Options{
		Service: "s", Interval: 20 * time.Millisecond, Pools: pools,
		Record: &Record{
			Key: "wrapp-run:s:here",
			Fields: func(running bool) []string {
				return []string{"n", fmt.Sprint(n.Add(1)), "running", strconv.FormatBool(running)}
			},
			Refused: refused,
		},
		Dial: func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &cfg.Redis, 2) },
		Log:  slog.New(slog.DiscardHandler),
	})
	k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) {}})
	return k
}

// TestRecord publishes a record with a pool and without one. It outlives the end by its
// lease.
func TestRecord(t *testing.T) {
	t.Parallel()
	for name, pools := range map[string]map[string]config.Pool{"with a pool": {"api": contract("marker")}, "alone": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			k := recorded(t, s, "", pools, func(reply string) { t.Error(reply) })
			c := s.Dial(2)
			get := func(field string) string {
				text, _ := redis.String(c.Do("HGET", "wrapp-run:s:here", field))
				return text
			}
			s.Wait("a record that is renewed", func() bool { return len(get("n")) > 0 && get("n") != "1" && get("running") == "true" })
			s.Wait("a lease", func() bool {
				ms, err := redis.Int(c.Do("PTTL", "wrapp-run:s:here"))
				if err != nil || ms == -1 || ms > 5000 {
					t.Fatalf("a lease of %d ms, %v", ms, err)
				}
				return ms > 0
			})
			if n, err := redis.Int(c.Do("EXISTS", key("s", "api", "health"))); err != nil || n != len(pools) {
				t.Errorf("%d, %v", n, err)
			}
			k.End(3)
			if err := k.Close(time.Minute); err != nil {
				t.Error(err)
			}
			if get("running") != "false" {
				t.Error("the end is not recorded")
			}
			if ms, err := redis.Int(c.Do("PTTL", "wrapp-run:s:here")); err != nil || ms <= 0 || ms > 5000 {
				t.Errorf("a lease of %d ms at the end, %v", ms, err)
			}
		})
	}
}

// TestRecordRefused has a user with the rights of an older wrapp: the pools are published,
// and Refused is called once.
func TestRecordRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	if _, err := s.Dial(0).Do("ACL", "SETUSER", "old", "on", ">s3same", "-@all", "+hello", "+select", "+set", "~*"); err != nil {
		t.Fatal(err)
	}
	var refusals atomic.Int64
	k := recorded(t, s, "redis://old:s3same@"+s.Addr(), map[string]config.Pool{"api": contract("marker")}, func(reply string) {
		if refusals.Add(1); !redisconn.Denied(reply) {
			t.Error(reply)
		}
	})
	c := s.Dial(2)
	get := func(property string) string {
		text, _ := redis.String(c.Do("GET", key("s", "api", property)))
		return text
	}
	s.Wait("the pool", func() bool { return get("running") == "1" })
	k.HeardMarker([]byte("api"), time.Now())
	s.Wait("another publication", func() bool { return get("beats") == "1" })
	k.End(0)
	if err := k.Close(time.Minute); err != nil {
		t.Error(err)
	}
	if refusals.Load() != 1 || get("running") != "0" {
		t.Errorf("%d refusals, running %s", refusals.Load(), get("running"))
	}
}

// TestRecordWithoutLease has a user that may write the hash and give it no lease: there is none, as it
// would outlive wrapp. With the right, the next connection brings it.
func TestRecordWithoutLease(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(2)
	acl := func(args ...any) {
		if _, err := admin.Do("ACL", append([]any{"SETUSER", "half"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	acl("on", ">s3same", "-@all", "+hello", "+select", "+set", "+hset", "~*")
	var refusals atomic.Int64
	k := recorded(t, s, "redis://half:s3same@"+s.Addr(), map[string]config.Pool{"api": contract("marker")}, func(reply string) {
		if refusals.Add(1); !redisconn.Denied(reply) {
			t.Error(reply)
		}
	})
	beats := func(n string) {
		k.HeardMarker([]byte("api"), time.Now())
		s.Wait("a publication", func() bool {
			text, _ := redis.String(admin.Do("GET", key("s", "api", "beats")))
			return text == n
		})
	}
	beats("1")
	beats("2")
	if left, err := redis.Int(admin.Do("PTTL", "wrapp-run:s:here")); left != -2 || err != nil {
		t.Fatalf("a lease of %d ms, %v", left, err)
	}
	if _, err := admin.Do("CLIENT", "KILL", "USER", "half"); err != nil {
		t.Fatal(err)
	}
	beats("3")
	acl("+pexpire")
	if _, err := admin.Do("CLIENT", "KILL", "USER", "half"); err != nil {
		t.Fatal(err)
	}
	s.Wait("the record", func() bool {
		left, _ := redis.Int(admin.Do("PTTL", "wrapp-run:s:here"))
		return left > 0
	})
	k.End(0)
	if err := k.Close(time.Minute); err != nil {
		t.Error(err)
	}
	if n := refusals.Load(); n != 1 {
		t.Errorf("%d refusals were told", n)
	}
}

// TestRecordCosts counts the dials of a Keeper without pools: none for an app that ends
// soon, later only as many as renew the lease, fewer than one an interval.
func TestRecordCosts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		runs time.Duration
		want int
	}{{200 * time.Millisecond, 0}, {10 * time.Second, 5}} {
		synctest.Test(t, func(t *testing.T) {
			dials, drains := 0, 0
			k := New(Options{
				Interval: time.Second,
				Record:   &Record{Key: "k", Fields: func(bool) []string { return []string{"a", "b"} }},
				Dial:     func(context.Context) (*redisconn.Client, error) { dials++; return nil, errors.New("away") },
			})
			k.Start(App{Drain: func(time.Duration) bool { drains++; return true }, Depleted: func(string) {}})
			time.Sleep(row.runs)
			k.End(0)
			began := time.Now()
			if err := k.Close(time.Second); err != nil || time.Since(began) > 0 {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			if dials != row.want || drains != 0 {
				t.Errorf("%d dials and %d drains in %v, want %d and none", dials, drains, row.runs, row.want)
			}
		})
	}
}

// TestRecordOutlivesApp: from the end of the app until Close the record is renewed in time, even of an app that
// ended before its first publication.
func TestRecordOutlivesApp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		most := time.Duration(0)
		k := New(Options{
			Interval: time.Second,
			Record:   &Record{Key: "k", Fields: func(bool) []string { return []string{"a", "b"} }},
			Dial: func(context.Context) (*redisconn.Client, error) {
				most, last = max(most, time.Since(last)), time.Now()
				return nil, errors.New("away")
			},
		})
		k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) {}})
		time.Sleep(200 * time.Millisecond)
		last = time.Now()
		k.End(139)
		time.Sleep(time.Minute)
		synctest.Wait()
		if most = max(most, time.Since(last)); most >= k.lease {
			t.Errorf("no renewal for %v", most)
		}
		k.Close(time.Second)
	})
}
