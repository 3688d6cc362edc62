package redisconn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/resp"
)

// watchEvery is how often the sentinels are asked, while a connection lives,
// whether its server is still the master.
const watchEvery = 500 * time.Millisecond

// sentinels are those of a configuration, with connections to them that are kept
// between questions. One goroutine at a time uses them.
type sentinels struct {
	r     *config.Redis
	conns []*Conn // by the index of the address; nil if there is none
}

// An opinion is what one sentinel says.
type opinion struct {
	i      int
	master string // its address
	epoch  int    // of its configuration: the higher one is newer
	conn   *Conn
	err    error
}

// laggards is how long the last sentinels are waited for when most have answered.
const laggards = 200 * time.Millisecond

// ask asks all the sentinels, at once, where the master is. It returns the newest of
// what they say; an error if none says anything. A failover has happened when one of them
// knows of it: most of them may learn of it later.
func (s *sentinels) ask(ctx context.Context) (newest opinion, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.r.ConnectTimeout))
	defer cancel()
	n := len(s.r.Sentinel.Addrs)
	if s.conns == nil {
		s.conns = make([]*Conn, n)
	}
	answers := make(chan opinion, n)
	for i, addr := range s.r.Sentinel.Addrs {
		conn := s.conns[i]
		s.conns[i] = nil // until it has answered
		go func() {
			o := askSentinel(ctx, s.r, addr, conn)
			o.i = i
			answers <- o
		}()
	}
	var errs []error
	said := 0
	for range n {
		o := <-answers
		s.conns[o.i] = o.conn
		if o.err != nil {
			errs = append(errs, o.err)
			continue
		}
		if said == 0 || o.epoch > newest.epoch {
			newest = o
		}
		if said++; said == n/2+1 {
			defer time.AfterFunc(laggards, cancel).Stop()
		}
	}
	if said == 0 {
		err = errors.Join(errs...)
	}
	return newest, err
}

func (s *sentinels) close() {
	for _, c := range s.conns {
		if c != nil {
			c.Close()
		}
	}
}

// askSentinel asks the sentinel at addr where the master is, over conn if that is
// not nil. The opinion has the connection if it can be used again.
func askSentinel(ctx context.Context, r *config.Redis, addr string, conn *Conn) (o opinion) {
	if conn == nil {
		var err error
		if conn, err = dialTLS(ctx, r, "tcp", addr); err != nil {
			return opinion{err: fmt.Errorf("sentinel: %w", err)}
		}
		username, password, err := r.Sentinel.Credentials()
		if err == nil {
			err = introduce(ctx, conn, username, password, -1)
		}
		if err != nil {
			conn.Close()
			return opinion{err: fmt.Errorf("sentinel %s: %w", addr, explain(err, r))}
		}
	}
	fields, err := resp.Values(conn.DoContext(ctx, "SENTINEL", "MASTER", r.Sentinel.Master))
	if text := Final(err); strings.HasPrefix(text, "ERR No such master") {
		return opinion{conn: conn, err: fmt.Errorf("sentinel %s knows no master %q (redis.sentinel.master)", addr, r.Sentinel.Master)}
	} else if text != "" {
		err = &RefusedError{Reply: "SENTINEL MASTER answered " + text}
	}
	var ip, port string
	if err == nil {
		o.epoch, err = resp.Int(resp.Field(fields, "config-epoch"), nil)
	}
	if err == nil {
		ip, err = resp.String(resp.Field(fields, "ip"), nil)
	}
	if err == nil {
		port, err = resp.String(resp.Field(fields, "port"), nil)
	}
	if err != nil {
		conn.Close()
		return opinion{err: fmt.Errorf("sentinel %s: %w", addr, explain(err, r))}
	}
	o.master, o.conn = net.JoinHostPort(ip, port), conn
	return o
}

// dialSentinel connects to the master that the sentinels name. The connection
// ends when they name another.
func dialSentinel(ctx context.Context, r *config.Redis, db int) (*Conn, error) {
	s := &sentinels{r: r}
	said, err := s.ask(ctx)
	var conn *Conn
	if err == nil {
		conn, err = dialMaster(ctx, r, said.master, db)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	conn.watch(s, said)
	return conn, nil
}

// dialMaster connects to the server at addr, which has to be a master.
func dialMaster(ctx context.Context, r *config.Redis, addr string, db int) (*Conn, error) {
	conn, err := dialServer(ctx, r, "tcp", addr, db)
	if err != nil {
		return nil, err
	}
	role, err := resp.Values(conn.DoContext(ctx, "ROLE"))
	if err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
		return conn, nil // what it is not shows when it refuses to write
	}
	if err == nil && len(role) > 0 {
		if is, _ := resp.String(role[0], nil); is != "master" {
			err = fmt.Errorf("the sentinels name it as the master, and it says that it is a %s", is)
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial redis %s: %w", addr, err)
	}
	return conn, nil
}

// watch ends the connection when the sentinels know of a newer master than the one
// they said. It takes s over.
func (c *Conn) watch(s *sentinels, ours opinion) {
	ctx, cancel := context.WithCancel(context.Background())
	broken := &breakable{Conn: c.Net}
	c.Net, c.in = broken, bufio.NewReader(broken)
	var ended sync.WaitGroup
	ended.Go(func() {
		defer s.close()
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			said, err := s.ask(ctx)
			if err == nil && said.master != ours.master && said.epoch >= ours.epoch {
				broken.breakOff(fmt.Errorf("the sentinels say that the master is %s now, not %s", said.master, ours.master))
				return
			}
		}
	})
	c.end = func() {
		cancel()
		ended.Wait()
	}
}
