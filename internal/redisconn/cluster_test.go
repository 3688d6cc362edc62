package redisconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

func TestSlotOf(t *testing.T) {
	t.Parallel()
	// The first is the check value of the specification.
	for key, want := range map[string]int{
		"123456789": 0x31C3, "": 0, "foo": 12182, "{foo}bar": 12182, "x{foo}": 12182,
		"{}foo": slotOf("{}foo"), "a{b}{c}": slotOf("b"),
	} {
		if got := slotOf(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
	if slotOf("{}foo") == slotOf("foo") || slotOf("{}foo") == slotOf("") {
		t.Error("an empty hash tag is none")
	}
}

func TestParseMoved(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]string{
		"MOVED 3999 127.0.0.1:6381":   "{false 3999 127.0.0.1:6381}",
		"ASK 3999 127.0.0.1:6381\r\n": "{true 3999 127.0.0.1:6381}",
		"MOVED 0 ::1:6381":            "{false 0 [::1]:6381}",
		"MOVED 0 :6381":               "{false 0 :6381}",
		"MOVED 0 ?:6381":              "{false 0 :6381}",
		"MOVED 0 node.test:1":         "{false 0 node.test:1}",
		"MOVED 16384 h:1":             "",
		"MOVED -1 h:1":                "",
		"MOVED h:1":                   "",
		"MOVED 1 h":                   "",
		"ERR MOVED 1 h:1":             "",
		"":                            "",
	} {
		m, ok := ParseMoved(reply)
		if got := fmt.Sprint(m); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, %v", reply, got, ok)
		}
	}
	if got := (Moved{Addr: ":7"}).at("[::1]:6"); got != "[::1]:7" {
		t.Error(got)
	}
}

// clustered is a configuration that knows one node of a cluster.
func clustered(c *redistest.Cluster) *config.Redis {
	r := config.Default().Redis
	r.Host, r.Port, r.LogsDB, r.ValuesDB = "", 0, 0, 0
	r.ConnectTimeout = config.Duration(20 * time.Second)
	r.Cluster = &config.Cluster{Addrs: []string{c.Masters[0].Addr()}}
	return &r
}

// pipeline sends commands at once and returns the answers, errors among them.
func pipeline(t *testing.T, conn redis.Conn, commands [][]any) []any {
	t.Helper()
	for _, c := range commands {
		if err := conn.Send(c[0].(string), c[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	answers := make([]any, len(commands))
	for i := range commands {
		var err error
		if answers[i], err = conn.Receive(); err != nil {
			answers[i] = err
			if conn.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	return answers
}

// TestCluster has commands on keys of every node in one pipeline.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, false)
	conn, err := Dial(t.Context(), clustered(c), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var sets, gets [][]any
	var keys []string
	for i := range 5000 {
		keys = append(keys, fmt.Sprint("key", i))
		sets = append(sets, []any{"SET", keys[i], i})
		gets = append(gets, []any{"GET", keys[i]})
	}
	pipeline(t, conn, sets)
	for i, v := range pipeline(t, conn, gets) {
		if n, _ := redis.Int(v, nil); n != i {
			t.Fatalf("%s: %v", keys[i], v)
		}
	}
	values, err := conn.MGet(t.Context(), append(keys, "none"))
	if err != nil || len(values) != 5001 || values[5000] != nil || string(values[4711].([]byte)) != "4711" {
		t.Fatalf("%d values, %v", len(values), err)
	}
	huge := strings.Repeat("x", 5<<20)
	if answers := pipeline(t, conn, [][]any{{"SET", "huge", huge}, {"GET", "huge"}, {"PING"}, {"LPUSH", "huge", 1}}); string(answers[1].([]byte)) != huge ||
		answers[2] != "PONG" || !strings.HasPrefix(fmt.Sprint(answers[3]), "WRONGTYPE") {
		t.Errorf("%.100v", answers)
	}

	total, servers := 0, 0
	err = conn.EachMaster(t.Context(), func(one *Conn) error {
		n, err := redis.Int(one.Do("DBSIZE"))
		total, servers = total+n, servers+1
		return err
	})
	if total != 5001 || servers != 3 || err != nil {
		t.Errorf("%d keys on %d servers, %v", total, servers, err)
	}
	ids := make(map[string]bool)
	for _, key := range keys[:100] {
		id, err := conn.Server(key)
		if err != nil || len(id) != 40+1+40 {
			t.Fatalf("%q, %v", id, err)
		}
		ids[id] = true
		at, err := conn.At(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.Do("GET", key); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d servers", len(ids))
	}
}

// TestClusterRefuses has what is no cluster, or none that is whole.
func TestClusterRefuses(t *testing.T) {
	t.Parallel()
	single := redistest.Start(t)
	r := config.Default().Redis
	r.Host, r.Port = "", 0
	r.Cluster = &config.Cluster{Addrs: []string{single.Addr()}}
	var refused *RefusedError
	if err := try(t, &r); !errors.As(err, &refused) || !strings.Contains(err.Error(), "cluster support disabled") {
		t.Error(err)
	}
	r.Cluster.Addrs[0] = redistest.Start(t, "--cluster-enabled", "yes").Addr()
	wrong(t, "a node alone", try(t, &r), "knows of no node that has slots")
	r.Cluster.Addrs[0] = redistest.Prepare(t).Addr()
	wrong(t, "no node", try(t, &r), "connection refused")
}

// TestClusterAccess has TLS and a user who may do little.
func TestClusterAccess(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	c := redistest.StartClusterTLS(t, a, 3, false, "--user", "default", "on", "nopass", "~*", "+@all",
		"--user", "limited", "on", ">pw", "~a*", "-@all", "+select", "+set", "+cluster|slots")
	r := clustered(c)
	r.TLS = &config.TLS{CAFile: a.File}
	r.TLS.CertFile, r.TLS.KeyFile = a.Issue("client", tomorrow)
	r.Username, r.Password = "limited", "pw"
	conn, err := Dial(t.Context(), r, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := pipeline(t, conn, [][]any{{"SET", "a1", 1}, {"SET", "a2", 1}, {"SET", "a3", 1}, {"SET", "b", 1}})
	if answers[0] != "OK" || answers[1] != "OK" || answers[2] != "OK" || !strings.HasPrefix(fmt.Sprint(answers[3]), "NOPERM") {
		t.Errorf("%v", answers)
	}
	r.Password = "wrong"
	var refused *RefusedError
	if err := try(t, r); !errors.As(err, &refused) {
		t.Error(err)
	}
}

// TestStalledNode asks a node of a cluster with TLS who it is that takes connections and
// says nothing.
func TestStalledNode(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	c := redistest.StartClusterTLS(t, a, 3, false)
	r := clustered(c)
	r.ConnectTimeout = config.Duration(time.Second)
	r.TLS = &config.TLS{CAFile: a.File}
	r.TLS.CertFile, r.TLS.KeyFile = a.Issue("client", tomorrow)
	r.Cluster.Addrs = redistest.Addrs(c.Masters)
	var conn *Conn
	c.Masters[0].Wait("a connection", func() (ok bool) {
		var err error
		conn, err = Dial(t.Context(), r, 0)
		return err == nil
	})
	defer conn.Close()
	owner := c.Owner(c.Slot("key"))
	owner.Pause()
	defer owner.Resume()
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Server("key")
		answer <- err
	}()
	select {
	case err := <-answer:
		wrong(t, "a stalled node", err, owner.Addr(), "deadline exceeded")
	case <-time.After(40 * time.Second):
		t.Error("no end of it")
		owner.Resume()
		<-answer
	}
}

// TestMoved moves a slot to and fro under pipelines: between MIGRATING and the
// move, during it and after it. Each entry is to be there once, in order.
func TestMoved(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, false)
	conn, err := Dial(t.Context(), clustered(c), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const key = "stream"
	slot := c.Slot(key)
	stop := make(chan bool)
	done := make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			var adds [][]any
			for range 200 {
				n++
				adds = append(adds, []any{"XADD", key, fmt.Sprint(n, "-1"), "message", n}, []any{"SET", fmt.Sprint("other", n%7), n})
			}
			for i, answer := range pipeline(t, conn, adds) {
				if err, failed := answer.(error); failed {
					t.Errorf("%v: %v", adds[i], err)
					return
				}
			}
		}
	}()
	for i := range 12 {
		from, to := c.Masters[(2+i)%3], c.Masters[(3+i)%3]
		if owner := c.Owner(slot); owner != from {
			from, to = owner, c.Masters[(slices.Index(c.Masters, owner)+1)%3]
		}
		c.Move(slot, from, to, func() { time.Sleep(20 * time.Millisecond) })
	}
	close(stop)
	n := <-done
	entries, err := redis.Values(conn.Do("XRANGE", key, "-", "+"))
	if err != nil || len(entries) != n || n < 1000 {
		t.Fatalf("%d entries, %v, want %d", len(entries), err, n)
	}
	for i, e := range entries {
		pair, _ := redis.Values(e, nil)
		if id, _ := redis.String(pair[0], nil); id != fmt.Sprint(i+1, "-1") {
			t.Fatalf("entry %d is %s", i+1, id)
		}
	}
}

// TestNodeDies has a master die, and its replica take over.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, true)
	r := clustered(c)
	conn, err := Dial(t.Context(), r, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	owner := c.Owner(c.Slot("key"))
	i := slices.Index(c.Masters, owner)
	if i == 0 {
		r.Cluster.Addrs[0] = c.Masters[1].Addr()
	}
	if _, err := conn.Do("SET", "key", 1); err != nil {
		t.Fatal(err)
	}
	owner.Down()
	if _, err := conn.Do("GET", "key"); err == nil || conn.Err() == nil {
		t.Errorf("the node is dead: %v", err)
	} else if !strings.Contains(err.Error(), owner.Addr()) {
		t.Errorf("which node? %v", err)
	}
	c.Replicas[i].Wait("the promotion", func() bool {
		conn, err := Dial(context.Background(), r, 0)
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = conn.Do("SET", "key", 2)
		return err == nil
	})
	if !c.Replicas[i].IsMaster() {
		t.Error("the replica is none")
	}
}
