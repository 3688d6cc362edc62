package redisconn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// viaSentinel is a configuration of the master that sentinels know.
func viaSentinel(sentinels []*redistest.Server) *config.Redis {
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.ConnectTimeout = config.Duration(20 * time.Second)
	r.Sentinel = &config.Sentinel{Master: "mymaster", Addrs: redistest.Addrs(sentinels)}
	return &r
}

// TestSentinel has the master demoted while it stays reachable.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.StartReplica(t, master)
	sentinels := redistest.StartSentinels(t, master, 3, "user watcher on >s3same -@all +sentinel|master")
	r := viaSentinel(sentinels)
	r.Sentinel.Username, r.Sentinel.Password = "watcher", "wr0ng-one"
	var refused *RefusedError
	if err := try(t, r); !errors.As(err, &refused) || !strings.Contains(err.Error(), "sentinel") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
	r.Sentinel.Password = "s3same"
	unknown := *r
	unknown.Sentinel = &config.Sentinel{Master: "other", Addrs: r.Sentinel.Addrs}
	wrong(t, "an unknown master", try(t, &unknown), `knows no master "other" (redis.sentinel.master)`)
	if err := try(t, r); err != nil {
		t.Fatal(err)
	}
	sentinels[0].Down()
	nowhere := *r
	nowhere.Sentinel = &config.Sentinel{Master: "mymaster", Addrs: r.Sentinel.Addrs[:1]}
	wrong(t, "no sentinel", try(t, &nowhere), "sentinel: dial redis: ", "connection refused")

	// The sentinels may be behind: what they name is a replica.
	_, err := dialMaster(t.Context(), r, replica.Addr(), 1)
	wrong(t, "a replica", err, "says that it is a slave")

	conn, err := Dial(t.Context(), r, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Net.SetDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Net.Read(make([]byte, 1))
		ended <- err
	}()
	c := sentinels[1].Dial(0)
	replica.Wait("the failover", func() bool {
		_, err := c.Do("SENTINEL", "FAILOVER", "mymaster")
		return err == nil
	})
	err = <-ended
	wrong(t, "a demoted master", err, "the sentinels say that the master is "+replica.Addr()+" now")
	replica.Wait("the promotion", replica.IsMaster)
	conn2, err := Dial(t.Context(), r, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn2.Close()
	if got := conn2.Net.RemoteAddr().String(); got != replica.Addr() {
		t.Errorf("connected to %s, want %s", got, replica.Addr())
	}
}
