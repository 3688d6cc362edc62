package redisconn

import (
	"context"
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
		nodes = c.Nodes()
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

// answerWithin is how long a server may take to say which databases it has.
const answerWithin = time.Second
