package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

// watchEvery is how often the sentinels are asked, while a connection lives,
// whether its server is still the master.
const watchEvery = 500 * time.Millisecond

// sentinels are those of a configuration, with connections to them that are kept
// between votes. One goroutine at a time uses them.
type sentinels struct {
	r     *config.Redis
	conns []redis.Conn // by the index of the address; nil if there is none
}

// An opinion is what one sentinel says.
type opinion struct {
	i      int
	master string
	conn   redis.Conn
	err    error
}

// vote asks all the sentinels, at once, where the master is. It returns the
// addresses, that with the most votes first, and how many votes each has. It does
// not wait for the rest when most of the sentinels agree.
func (s *sentinels) vote(ctx context.Context) (masters []string, votes map[string]int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.r.ConnectTimeout))
	defer cancel()
	n := len(s.r.Sentinel.Addrs)
	if s.conns == nil {
		s.conns = make([]redis.Conn, n)
	}
	answers := make(chan opinion, n)
	for i, addr := range s.r.Sentinel.Addrs {
		conn := s.conns[i]
		s.conns[i] = nil // until it has answered
		go func() {
			master, conn, err := askSentinel(ctx, s.r, addr, conn)
			answers <- opinion{i, master, conn, err}
		}()
	}
	votes = make(map[string]int)
	var errs []error
	for range n {
		a := <-answers
		s.conns[a.i] = a.conn
		if a.err != nil {
			errs = append(errs, a.err)
			continue
		}
		votes[a.master]++
		if votes[a.master] == 1 {
			masters = append(masters, a.master)
		}
		if votes[a.master] > n/2 {
			cancel() // the rest comes soon, as errors
		}
	}
	for i := range masters {
		if votes[masters[i]] > votes[masters[0]] {
			masters[0], masters[i] = masters[i], masters[0]
		}
	}
	return masters, votes, errors.Join(errs...)
}

func (s *sentinels) close() {
	for _, c := range s.conns {
		if c != nil {
			c.Close()
		}
	}
}

// askSentinel asks the sentinel at addr where the master is, over conn if that is
// not nil. It returns the connection if it can be used again.
func askSentinel(ctx context.Context, r *config.Redis, addr string, conn redis.Conn) (string, redis.Conn, error) {
	if conn == nil {
		c, err := dialTLS(ctx, r, "tcp", addr)
		if err != nil {
			return "", nil, fmt.Errorf("sentinel: %w", err)
		}
		conn = c
		username, password, err := r.Sentinel.Credentials()
		if err == nil {
			err = introduce(ctx, conn, username, password, -1)
		}
		if err != nil {
			conn.Close()
			return "", nil, fmt.Errorf("sentinel %s: %w", addr, explain(err, r))
		}
	}
	answer, err := ask(ctx, conn, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", r.Sentinel.Master)
	pair, err := redis.Strings(answer, err)
	switch {
	case errors.Is(err, redis.ErrNil):
		return "", conn, fmt.Errorf("sentinel %s knows no master %q (redis.sentinel.master)", addr, r.Sentinel.Master)
	case err == nil && len(pair) != 2:
		err = errors.New("no address is what it answered")
	}
	if err != nil {
		conn.Close()
		return "", nil, fmt.Errorf("sentinel %s: %w", addr, explain(err, r))
	}
	return net.JoinHostPort(pair[0], pair[1]), conn, nil
}

// dialSentinel connects to the master that the sentinels name. The connection
// ends when they name another.
func dialSentinel(ctx context.Context, r *config.Redis, db int) (*Conn, error) {
	s := &sentinels{r: r}
	masters, _, err := s.vote(ctx)
	if len(masters) == 0 {
		s.close()
		return nil, err
	}
	var errs []error
	for _, addr := range masters {
		conn, err := dialMaster(ctx, r, addr, db)
		if err == nil {
			conn.watch(s, addr)
			return conn, nil
		}
		errs = append(errs, err)
	}
	s.close()
	return nil, errors.Join(errs...)
}

// dialMaster connects to the server at addr, which has to be a master.
func dialMaster(ctx context.Context, r *config.Redis, addr string, db int) (*Conn, error) {
	conn, err := dialServer(ctx, r, "tcp", addr, db)
	if err != nil {
		return nil, err
	}
	role, err := redis.Values(conn.DoContext(ctx, "ROLE"))
	if err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
		return conn, nil // what it is not shows when it refuses to write
	}
	if err == nil && len(role) > 0 {
		if is, _ := redis.String(role[0], nil); is != "master" {
			err = fmt.Errorf("the sentinels name it as the master, and it says that it is a %s", is)
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial redis %s: %w", addr, err)
	}
	return conn, nil
}

// watch ends the connection to the server at addr when more sentinels name
// another master than this one. It takes s over.
func (c *Conn) watch(s *sentinels, addr string) {
	ctx, cancel := context.WithCancel(context.Background())
	broken := &breakable{Conn: c.Net}
	c.Net, c.Conn = broken, redis.NewConn(broken, replyTimeout, replyTimeout)
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
			masters, votes, _ := s.vote(ctx)
			if len(masters) > 0 && votes[masters[0]] > votes[addr] {
				broken.breakOff(fmt.Errorf("the sentinels say that the master is %s now, not %s", masters[0], addr))
				return
			}
		}
	})
	c.end = func() {
		cancel()
		ended.Wait()
	}
}
