package redistest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Slots is how many slots a cluster has.
const Slots = 16384

// nodeTimeout is the silence after which a node counts as dead. A busy machine keeps a
// process waiting for more than a second. A shorter time-out would depose a living master,
// and lose the writes that its replica does not have yet. Without replicas a cluster has no
// use for a dead node, so nodeTimeoutAlone is longer.
const (
	nodeTimeout      = 4 * time.Second
	nodeTimeoutAlone = time.Minute
)

// busDistance is the distance from a node's port to the port of its cluster bus.
const busDistance = 10000

// A Cluster is a Redis Cluster of servers of its own.
type Cluster struct {
	t        testing.TB
	Masters  []*Server
	Replicas []*Server // Replicas[i] follows Masters[i]; as many as Masters, or none
	ids      map[*Server]string
	timeout  time.Duration // nodeTimeout or nodeTimeoutAlone
}

// StartCluster starts a cluster of n masters with equal shares of the slots, and with
// replicas one for each.
func StartCluster(t testing.TB, n int, replicas bool, args ...string) *Cluster {
	t.Helper()
	return StartClusterTLS(t, nil, n, replicas, args...)
}

// StartClusterTLS is StartCluster with mutual TLS, if a is not nil.
func StartClusterTLS(t testing.TB, a *Authority, n int, replicas bool, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, ids: make(map[*Server]string), timeout: nodeTimeoutAlone}
	if replicas {
		c.timeout = nodeTimeout
	}
	for range n {
		c.Masters = append(c.Masters, c.start(a, args))
		if replicas {
			c.Replicas = append(c.Replicas, c.start(a, args))
		}
	}
	for i, m := range c.Masters {
		m.do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		slots := redis.Args{"ADDSLOTS"}
		for slot := i * Slots / n; slot < (i+1)*Slots/n; slot++ {
			slots = slots.Add(slot)
		}
		m.do("CLUSTER", slots...)
	}
	for _, s := range c.all()[1:] {
		s.do("CLUSTER", "MEET", "127.0.0.1", c.Masters[0].Port)
	}
	c.wait()
	for i, r := range c.Replicas {
		r.do("CLUSTER", "REPLICATE", c.ids[c.Masters[i]])
	}
	for _, r := range c.Replicas {
		r.Wait("the replica's link", func() bool { return strings.Contains(r.Info("replication"), "master_link_status:up") })
	}
	return c
}

// StartNode starts a node that knows no other and has no slots.
func StartNode(t testing.TB) *Server {
	t.Helper()
	c := &Cluster{t: t, ids: make(map[*Server]string), timeout: nodeTimeoutAlone}
	return c.start(nil, nil)
}

func (c *Cluster) all() []*Server { return append(append([]*Server(nil), c.Masters...), c.Replicas...) }

func (c *Cluster) start(a *Authority, args []string) *Server {
	s := Prepare(c.t)
	s.Port = freePort(c.t, busDistance)
	s.args = append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", fmt.Sprint(c.timeout.Milliseconds()), "--cluster-replica-validity-factor", "0"}, args...)
	if a != nil {
		s.tls = a.Client()
		s.args = append(s.args, a.Args(fmt.Sprint(s.Port), true, a.cert.NotAfter, "127.0.0.1")...)
	}
	s.Up()
	c.ids[s] = strings.TrimSpace(fmt.Sprint(s.do("CLUSTER", "MYID")))
	return s
}

// wait waits until every node knows every other and the cluster is whole.
func (c *Cluster) wait() {
	c.t.Helper()
	for _, s := range c.all() {
		s.Wait("the cluster", func() bool {
			info := s.do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(c.all())))
		})
	}
}

// do carries out a command whose answer is text. If that fails, the test does.
func (s *Server) do(command string, args ...any) string {
	s.t.Helper()
	c := s.Dial(0)
	defer c.Close()
	answer, err := redis.String(c.Do(command, args...))
	if err != nil {
		s.t.Fatalf("%s %v: %v", command, args[0], err)
	}
	return answer
}

// Slot returns the slot of a key.
func (c *Cluster) Slot(key string) int {
	c.t.Helper()
	conn := c.Masters[0].Dial(0)
	defer conn.Close()
	slot, err := redis.Int(conn.Do("CLUSTER", "KEYSLOT", key))
	if err != nil {
		c.t.Fatal(err)
	}
	return slot
}

// Owner returns the master that claims a slot. It waits until there is one.
func (c *Cluster) Owner(slot int) (owner *Server) {
	c.t.Helper()
	c.Masters[0].Wait(fmt.Sprint("an owner of slot ", slot), func() bool {
		owner = c.tryOwner(slot)
		return owner != nil
	})
	return owner
}

func (c *Cluster) tryOwner(slot int) *Server {
	for _, s := range c.all() {
		for line := range strings.Lines(s.tryText("CLUSTER", "NODES")) {
			fields := strings.Fields(line)
			if len(fields) < 9 || !strings.Contains(fields[2], "myself,master") {
				continue
			}
			for _, r := range fields[8:] {
				var from, upto int
				if n, _ := fmt.Sscanf(r, "%d-%d", &from, &upto); n == 1 {
					upto = from
				}
				if strings.HasPrefix(r, "[") || slot < from || slot > upto {
					continue
				}
				return s
			}
		}
	}
	return nil
}

// Move moves a slot with its keys from one master to another, as resharding does. It calls
// between, unless that is nil, when both know of the move and no key has moved.
func (c *Cluster) Move(slot int, from, to *Server, between func()) {
	c.t.Helper()
	to.do("CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from])
	from.do("CLUSTER", "SETSLOT", slot, "MIGRATING", c.ids[to])
	if between != nil {
		between()
	}
	conn := from.Dial(0)
	defer conn.Close()
	for {
		keys, err := redis.Strings(conn.Do("CLUSTER", "GETKEYSINSLOT", slot, 100))
		if err != nil {
			c.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			// A node counts another that answered late as down until it answers.
			from.Wait("MIGRATE "+key, func() bool {
				_, err := conn.Do("MIGRATE", "127.0.0.1", to.Port, key, 0, 20000)
				if err != nil && !strings.Contains(err.Error(), "CLUSTERDOWN") {
					c.t.Fatalf("MIGRATE %s: %v", key, err)
				}
				return err == nil
			})
		}
	}
	to.do("CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
	from.do("CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
}
