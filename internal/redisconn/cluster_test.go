package redisconn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// clustered is a configuration that knows one node of a cluster.
func clustered(c *redistest.Cluster) *config.Redis {
	r := config.Default().Redis
	r.Host, r.Port, r.LogsDB, r.ValuesDB = "", 0, 0, 0
	r.ConnectTimeout = config.Duration(2 * time.Minute)
	r.Cluster = &config.Cluster{Addrs: []string{c.Masters[0].Addr()}}
	return &r
}

// TestCluster writes keys of every node, and reads them back.
func TestCluster(t *testing.T) {
	t.Parallel()
	c, err := Dial(t.Context(), clustered(redistest.StartCluster(t, 3, true)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 100
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("key", i))
		if i > 0 {
			if err := c.Do(t.Context(), c.B().Set().Key(keys[i]).Value(fmt.Sprint(i)).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	values, err := c.Values(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if i == 0 && v != nil || i > 0 && (v == nil || *v != fmt.Sprint(i)) {
			t.Errorf("%s: %v", keys[i], v)
		}
	}
	found := make(map[string]bool)
	if err := c.Scan(t.Context(), "key*", func(key string) { found[key] = true }); err != nil || len(found) != n-1 {
		t.Errorf("%d keys, %v", len(found), err)
	}
}

// TestClusterRefuses dials a server that is no cluster, and an incomplete cluster.
func TestClusterRefuses(t *testing.T) {
	t.Parallel()
	single := redistest.Start(t)
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.ConnectTimeout = config.Duration(2 * time.Minute)
	r.Cluster = &config.Cluster{Addrs: []string{single.Addr()}}
	var refused *RefusedError
	if err := try(t, &r); !errors.As(err, &refused) || !strings.Contains(err.Error(), "cluster support is disabled") {
		t.Error(err)
	}
	alone := redistest.StartNode(t)
	r.Cluster.Addrs[0] = alone.Addr()
	wrong(t, "a node alone", try(t, &r), "no redis node")
	r.Cluster.Addrs[0] = redistest.Prepare(t).Addr()
	wrong(t, "no node", try(t, &r), "connection refused")
}

// TestClusterAccess dials a cluster over TLS, as a user with few rights.
func TestClusterAccess(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	c := redistest.StartClusterTLS(t, a, 3, false, "--user", "default", "on", "nopass", "~*", "+@all",
		"--user", "limited", "on", ">pw", "~a*", "-@all", "+hello", "+select", "+set", "+cluster|slots")
	r := clustered(c)
	r.TLS = &config.TLS{CAFile: a.File}
	r.TLS.CertFile, r.TLS.KeyFile = a.Issue("client", tomorrow)
	r.Username, r.Password = "limited", "pw"
	conn, err := Dial(t.Context(), r, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for key, permitted := range map[string]bool{"a1": true, "a2": true, "a3": true, "b": false} {
		err := conn.Do(t.Context(), conn.B().Set().Key(key).Value("1").Build()).Error()
		if permitted && err != nil || !permitted && !Denied(Reply(err)) {
			t.Errorf("%s: %v", key, err)
		}
	}
	r.Password = "wrong"
	var refused *RefusedError
	if err := try(t, r); !errors.As(err, &refused) {
		t.Error(err)
	}
}

// TestScanWithoutReplica: a replica that is away has no keys that its master lacks.
func TestScanWithoutReplica(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, true)
	conn := new(Client)
	redistest.Eventually(t, "the client knows the replicas", func() (all bool) {
		var err error
		if conn, err = Dial(t.Context(), clustered(c), 0); err != nil {
			t.Fatal(err)
		}
		if all = len(conn.Nodes()) == 6; !all {
			conn.Close()
		}
		return all
	})
	defer conn.Close()
	const n = 100
	for i := range n {
		if err := conn.Do(t.Context(), conn.B().Set().Key(fmt.Sprint("key", i)).Value("1").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	c.Replicas[0].Down()
	for range 10 {
		found := make(map[string]bool)
		if err := conn.Scan(t.Context(), "key*", func(key string) { found[key] = true }); err != nil || len(found) != n {
			t.Errorf("%d keys, %v", len(found), err)
		}
	}
}
