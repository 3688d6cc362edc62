package redisconn

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Values reads the values of keys, in their order, with MGET, or with GET if the user may not
// MGET (see Singly). A value is nil if the key is missing or holds no string.
func (c *Client) Values(ctx context.Context, keys []string) ([]*string, error) {
	values := make([]*string, len(keys))
	all, denied := rueidis.MGet(c.Client, ctx, keys)
	if denied == nil {
		for i, key := range keys {
			message := all[key]
			values[i] = text(message.ToString())
		}
		return values, nil
	}
	if !Denied(Reply(denied)) {
		return nil, denied
	}
	c.singly.Store(true)
	gets := make([]rueidis.Completed, len(keys))
	for i, key := range keys {
		gets[i] = c.B().Get().Key(key).Build()
	}
	for i, result := range c.DoMulti(ctx, gets...) {
		value, err := result.ToString()
		if Denied(Reply(err)) {
			return nil, denied
		}
		if err != nil && !rueidis.IsRedisNil(err) && !IsWrongType(err) {
			return nil, err
		}
		values[i] = text(value, err)
	}
	return values, nil
}

// Singly reports whether Values had to read keys one by one because the user may not MGET.
func (c *Client) Singly() bool { return c.singly.Load() }

// IsWrongType reports whether err is the reply to a command on a key of another type.
func IsWrongType(err error) bool { return strings.HasPrefix(Reply(err), "WRONGTYPE ") }

// text returns a pointer to value, or nil on an error.
func text(value string, err error) *string {
	if err != nil {
		return nil
	}
	return &value
}

// Scan calls found with every key that matches a pattern, with some more than once.
func (c *Client) Scan(ctx context.Context, pattern string, found func(key string)) error {
	nodes := map[string]rueidis.Client{"": c.Client}
	if c.cluster {
		var err error
		if nodes, err = c.masters(ctx); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(1000).Build()).AsScanEntry()
			if err != nil {
				return err
			}
			for _, key := range page.Elements {
				found(key)
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// masters returns the cluster's masters: a replica has no keys of its own, and may be away. It
// returns all nodes if the masters go by other addresses than ours.
func (c *Client) masters(ctx context.Context) (map[string]rueidis.Client, error) {
	nodes, masters := c.Nodes(), make(map[string]rueidis.Client)
	var slots []rueidis.RedisMessage
	err := error(rueidis.ErrNoSlot)
	for _, node := range nodes { // the first that answers: some may be away
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		slots, err = node.Do(asking, node.B().ClusterSlots().Build()).ToArray()
		cancel()
		if err == nil {
			break
		}
	}
	for i := range slots {
		addr := masterOf(&slots[i])
		if nodes[addr] == nil {
			return nodes, nil
		}
		masters[addr] = nodes[addr]
	}
	return masters, err
}

// masterOf returns the address of the master in one answer of CLUSTER SLOTS: the first slot, the
// last one, the master and its replicas. It is "" in an answer without a master.
func masterOf(slots *rueidis.RedisMessage) string {
	parts, _ := slots.ToArray()
	if len(parts) < 3 {
		return ""
	}
	node, _ := parts[2].ToArray()
	if len(node) < 2 {
		return ""
	}
	host, _ := node[0].ToString()
	port, _ := node[1].AsInt64()
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}

// Visit sends the commands there to the database db and the commands here to back, in one
// round trip. The connection is on back before and afterwards. has says whether the server has
// db; any other failure counts as yes, and the next command returns it. Not for a cluster, which
// has one database only.
func (c *Client) Visit(ctx context.Context, db, back int, there, here []rueidis.Completed) (of, ofBack []rueidis.RedisResult, has bool) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	selectDB := func(db int) rueidis.Completed {
		return c.B().Arbitrary("SELECT", strconv.Itoa(db)).Build()
	}
	commands := append([]rueidis.Completed{selectDB(db)}, there...)
	commands = append(append(commands, selectDB(back)), here...)
	answers := c.DoMulti(ctx, commands...)
	has = !strings.Contains(Reply(answers[0].Error()), "DB index is out of range")
	return answers[1 : 1+len(there)], answers[2+len(there):], has
}

// answerWithin is how long a server may take to say which databases, or which nodes, it has.
const answerWithin = time.Second
