package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/resp"
)

// slotCount is how many slots every Redis Cluster has.
const slotCount = 16384

// slotOf is the slot of a key, by
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
func slotOf(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if n := strings.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	// CRC16, XMODEM
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}

// A Moved is a redirection: another node has, or is to be asked for, a slot.
type Moved struct {
	Ask  bool // this once only
	Slot int
	Addr string // host:port; without a host it is that of the node that said so
}

// ParseMoved reads the error reply MOVED or ASK.
func ParseMoved(reply string) (m Moved, ok bool) {
	fields := strings.Fields(reply)
	if len(fields) != 3 || fields[0] != "MOVED" && fields[0] != "ASK" {
		return m, false
	}
	slot, err := strconv.Atoi(fields[1])
	colon := strings.LastIndexByte(fields[2], ':')
	if err != nil || slot < 0 || slot >= slotCount || colon < 0 {
		return m, false
	}
	host := strings.Trim(fields[2][:colon], "[]")
	if host == "?" {
		host = ""
	}
	return Moved{fields[0] == "ASK", slot, net.JoinHostPort(host, fields[2][colon+1:])}, true
}

// at is the address, as it was said by the node at from.
func (m Moved) at(from string) string { return absolute(m.Addr, from) }

// absolute is addr with the host of from, if it has none.
func absolute(addr, from string) string {
	if port, ok := strings.CutPrefix(addr, ":"); ok {
		host, _, _ := net.SplitHostPort(from)
		return net.JoinHostPort(host, port)
	}
	return addr
}

// A cluster is what a connection knows of the nodes.
type cluster struct {
	r *config.Redis

	mu     sync.Mutex
	owners [slotCount]uint16 // indexes into addrs
	addrs  []string          // of masters; the first is "", for slots that nobody has
	direct map[string]*Conn  // see At
}

// dialCluster asks the nodes that r names, all at once, for the slots.
func dialCluster(ctx context.Context, r *config.Redis) (*Conn, error) {
	type answer struct {
		slots []any
		addr  string
		err   error
	}
	n := len(r.Cluster.Addrs)
	answers := make(chan answer, n)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, addr := range r.Cluster.Addrs {
		go func() {
			slots, err := askSlots(ctx, r, addr)
			answers <- answer{slots, addr, err}
		}()
	}
	var errs []error
	for range n {
		a := <-answers
		if a.err == nil {
			c := &cluster{r: r, addrs: []string{""}}
			if a.err = c.learn(a.slots, a.addr); a.err == nil {
				return newRouter(c), nil
			}
		}
		errs = append(errs, a.err)
	}
	return nil, errors.Join(errs...)
}

// askSlots asks the node at addr which node has which slots.
func askSlots(ctx context.Context, r *config.Redis, addr string) ([]any, error) {
	conn, err := dialServer(ctx, r, "tcp", addr, 0)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	slots, err := resp.Values(ask(ctx, conn, "CLUSTER", "SLOTS"))
	if err != nil {
		return nil, fmt.Errorf("dial redis %s: %w", addr, err)
	}
	return slots, nil
}

// learn takes the answer of the node at from to CLUSTER SLOTS.
func (c *cluster) learn(slots []any, from string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := fmt.Errorf("redis cluster: %s answered CLUSTER SLOTS with something else", from)
	if len(slots) > slotCount {
		return other
	}
	for _, v := range slots {
		ranges, _ := v.([]any)
		if len(ranges) < 3 {
			return other
		}
		first, err1 := resp.Int(ranges[0], nil)
		last, err2 := resp.Int(ranges[1], nil)
		master, _ := ranges[2].([]any)
		if err1 != nil || err2 != nil || len(master) < 2 || first < 0 || first > last || last >= slotCount {
			return other
		}
		host, _ := resp.String(master[0], nil) // nil: that of from
		if host == "?" {
			host = ""
		}
		port, err := resp.Int(master[1], nil)
		if err != nil {
			return other
		}
		i := c.index(absolute(net.JoinHostPort(host, strconv.Itoa(port)), from))
		for slot := first; slot <= last; slot++ {
			c.owners[slot] = i
		}
	}
	if len(c.addrs) == 1 {
		return fmt.Errorf("redis cluster: %s knows of no node that has slots", from)
	}
	return nil
}

// index is that of an address in addrs. The caller holds mu.
func (c *cluster) index(addr string) uint16 {
	i := slices.Index(c.addrs, addr)
	if i < 0 {
		i = len(c.addrs)
		c.addrs = append(c.addrs, addr)
	}
	return uint16(i)
}

// owner is the address of the node that has a slot.
func (c *cluster) owner(slot int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addrs[c.owners[slot]]
}

// moved notes that a slot is at another node.
func (c *cluster) moved(slot int, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners[slot] = c.index(addr)
}

// masters are the addresses of the nodes that have slots.
func (c *cluster) masters() (addrs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	has := make([]bool, len(c.addrs))
	for _, i := range c.owners {
		has[i] = true
	}
	for i, addr := range c.addrs[1:] {
		if has[i+1] {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// InCluster says whether the connection is to a Redis Cluster. Then each command
// goes to the node of its first key, the answers come in the order of the commands, and
// redirections are followed; what needs one and the same node wants At.
func (c *Conn) InCluster() bool { return c.cluster != nil }

// At returns a connection to the server that has a key: this one, if there is
// only one. In a cluster redirections are not followed there. It ends with c.
// Only one goroutine may use it and c.
func (c *Conn) At(ctx context.Context, key string) (*Conn, error) {
	if c.cluster == nil {
		return c, nil
	}
	slot := slotOf(key)
	addr := c.cluster.owner(slot)
	if addr == "" {
		return nil, noOwner(slot)
	}
	return c.cluster.at(ctx, addr)
}

func noOwner(slot int) error { return fmt.Errorf("redis cluster: no node has slot %d", slot) }

func (c *cluster) at(ctx context.Context, addr string) (*Conn, error) {
	if conn := c.direct[addr]; conn != nil {
		if conn.Err() == nil {
			return conn, nil
		}
		conn.Close()
	}
	conn, err := dialServer(ctx, c.r, "tcp", addr, 0)
	if err != nil {
		return nil, err
	}
	if c.direct == nil {
		c.direct = make(map[string]*Conn)
	}
	c.direct[addr] = conn
	return conn, nil
}

// EachMaster calls f with a connection to each server that has keys.
func (c *Conn) EachMaster(ctx context.Context, f func(*Conn) error) error {
	if c.cluster == nil {
		return f(c)
	}
	for _, addr := range c.cluster.masters() {
		conn, err := c.cluster.at(ctx, addr)
		if err == nil {
			err = f(conn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mgetAtOnce bounds how many keys of a cluster are asked for at once.
const mgetAtOnce = 4096

// MGet reads keys, each nil if it is not there, in one round trip. In a cluster
// that is one MGET a key, since no two need to have one slot, but one round trip
// to each node.
func (c *Conn) MGet(ctx context.Context, keys []string) ([]any, error) {
	if c.cluster == nil {
		args := make([]any, len(keys))
		for i, key := range keys {
			args[i] = key
		}
		return resp.Values(c.DoContext(ctx, "MGET", args...))
	}
	values := make([]any, 0, len(keys))
	for len(keys) > 0 {
		some := keys[:min(len(keys), mgetAtOnce)]
		keys = keys[len(some):]
		for _, key := range some {
			c.Send("MGET", key)
		}
		if err := c.Flush(); err != nil {
			return nil, err
		}
		var first error
		for range some {
			one, err := resp.Values(c.ReceiveContext(ctx))
			if err == nil && len(one) != 1 {
				err = fmt.Errorf("MGET of one key answered with %d values", len(one))
			}
			if c.err != nil {
				return nil, errors.Join(first, err)
			}
			if err != nil {
				first = errors.Join(first, err)
				continue
			}
			values = append(values, one[0])
		}
		if first != nil {
			return nil, first
		}
	}
	return values, nil
}
