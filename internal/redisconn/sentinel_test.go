package redisconn

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// sentinelRules are the rights at the sentinels that docs/operations.md names.
const sentinelRules = "-@all +sentinel|get-master-addr-by-name +sentinel|sentinels +sentinel|master +subscribe +ping"

// viaSentinel is a configuration of the master that sentinels know.
func viaSentinel(sentinels []*redistest.Server) *config.Redis {
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.ConnectTimeout = config.Duration(2 * time.Minute)
	r.Sentinel = &config.Sentinel{Master: "mymaster", Addrs: redistest.Addrs(sentinels)}
	return &r
}

// TestSentinel has the master demoted while it stays reachable.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	if strings.Contains(master.Info("server"), "redis_version:6.0.") {
		t.Skip("a sentinel of Redis 6.0 knows no users")
	}
	replica := redistest.StartReplica(t, master)
	sentinels := redistest.StartSentinels(t, master, 3, "user watcher on >s3same "+sentinelRules, redistest.NoFailover)
	r := viaSentinel(sentinels)
	r.Sentinel.Username, r.Sentinel.Password = "watcher", "wr0ng-one"
	var refused *RefusedError
	if err := try(t, r); !errors.As(err, &refused) || !strings.Contains(err.Error(), "sentinel") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
	r.Sentinel.Password = "s3same"
	unknown := *r
	unknown.Sentinel = &config.Sentinel{Master: "other", Addrs: r.Sentinel.Addrs}
	wrong(t, "an unknown master", try(t, &unknown), `know no master "other" (redis.sentinel.master)`)
	if err := try(t, r); err != nil {
		t.Fatal(err)
	}
	sentinels[0].Down()
	nowhere := *r
	nowhere.Sentinel = &config.Sentinel{Master: "mymaster", Addrs: r.Sentinel.Addrs[:1]}
	wrong(t, "no sentinel", try(t, &nowhere), "dial redis (sentinels "+sentinels[0].Addr(), "connection refused")

	client, err := Dial(t.Context(), r, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	replica.Promote(sentinels[1].Dial(0))
	// The client, or a new one, is connected to the new master.
	replica.Wait("a connection to the new master", func() bool {
		if client.Do(t.Context(), client.B().Set().Key("a").Value("b").Build()).Error() != nil {
			client.Close()
			if client, err = Dial(t.Context(), r, 1); err != nil {
				return false
			}
		}
		d := replica.Dial(1)
		defer d.Close()
		text, _ := redis.String(d.Do("GET", "a"))
		return text == "b"
	})
}

// TestNewestSentinel dials by sentinels of which one does not answer and one names an old master.
func TestNewestSentinel(t *testing.T) {
	t.Parallel()
	old, fresh := redistest.Start(t), redistest.Start(t)
	if strings.Contains(old.Info("server"), "redis_version:6.0.") {
		t.Skip("a sentinel of Redis 6.0 knows no users")
	}
	redistest.StartReplica(t, old)
	redistest.StartReplica(t, fresh)
	const users = "user full on >s3same " + sentinelRules + "\nuser least on >s3same " + sentinelRules + " -sentinel|master"
	stale := redistest.StartSentinels(t, old, 1, users, redistest.NoFailover)[0].Addr()
	newest := redistest.StartSentinels(t, fresh, 1, users, redistest.NoFailover, "sentinel config-epoch mymaster 7")[0].Addr()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	silent := l.Addr().String()
	for _, tt := range []struct {
		name, user string
		addrs      []string
		want       *redistest.Server
	}{
		{"newest first", "full", []string{newest, stale}, fresh},
		{"stale first", "full", []string{stale, newest}, fresh},
		{"silent first", "full", []string{silent, stale, newest}, fresh},
		{"silent first, no right to the epoch", "least", []string{silent, stale, newest}, old},
		{"newest first, no right to the epoch", "least", []string{newest, silent, stale}, fresh},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := viaSentinel(nil)
			r.ConnectTimeout = config.Duration(20 * time.Second)
			r.Sentinel.Username, r.Sentinel.Password, r.Sentinel.Addrs = tt.user, "s3same", tt.addrs
			client, err := Dial(t.Context(), r, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if client.Nodes()[tt.want.Addr()] == nil {
				t.Errorf("connected to %v, want %s", client.Nodes(), tt.want.Addr())
			}
		})
	}
}

// TestCloseEnds closes a Client while it waits for a sentinel that has stopped answering.
func TestCloseEnds(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	redistest.StartReplica(t, master)
	sentinels := redistest.StartSentinels(t, master, 1, redistest.NoFailover)
	stuck, asked := make(chan struct{}), make(chan struct{}, 100)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	proxy := redistest.StartFilter(t, sentinels[0].Addr(), func([]byte) bool {
		select {
		case <-stuck:
			asked <- struct{}{}
			<-never
		default:
		}
		return true
	})
	r := viaSentinel(sentinels)
	r.Sentinel.Addrs = []string{proxy}
	client, err := Dial(t.Context(), r, 1)
	if err != nil {
		t.Fatal(err)
	}
	close(stuck)
	<-asked
	closed := make(chan struct{})
	go func() {
		client.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close has not returned after 30 s")
		client.Abort()
		<-closed
	}
}
