// Package redisconn connects to Redis: by address, TLS, user, database, Sentinel or
// Cluster. The client itself is rueidis; docs/adr/0008 says why.
package redisconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

const (
	// userTimeout is how long written bytes may stay without the peer's
	// acknowledgement before the kernel gives the connection up (TCP_USER_TIMEOUT).
	userTimeout = 3 * time.Second

	// keepAlive is the interval of the kernel's probes on an idle connection.
	keepAlive = 15 * time.Second

	// lastWords bounds the wait for the reply of a server that has ended the connection: it is here.
	lastWords = 10 * time.Millisecond

	// watchEvery is how often the sentinels are asked whether the master is still the same.
	watchEvery = 500 * time.Millisecond

	// longest bounds a command whose context has no deadline.
	longest = 10 * time.Minute
)

// Options of the client. One goroutine uses a Client at a time, so one connection to each
// server, with buffers for a batch and a tiny queue, is enough.
const (
	readBuffer  = 32 << 10 // bytes
	writeBuffer = 64 << 10
	ringScale   = 4 // a power of 2
)

// A Client carries out commands. It never repeats one. After an error that is not a reply of
// Redis, close the Client and dial again.
type Client struct {
	rueidis.Client
	cluster bool

	singly atomic.Bool // Values had to read key by key

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil after Abort
}

// InCluster reports whether the Client is connected to a Redis Cluster.
func (c *Client) InCluster() bool { return c.cluster }

// Close ends the connections. A command that still waits for its reply fails.
func (c *Client) Close() {
	c.Abort() // else Close waits as long as a sentinel that is being asked does not answer
	c.Client.Close()
}

// Abort makes running commands fail. The caller must still call Close.
func (c *Client) Abort() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for conn := range conns {
		conn.Close()
	}
}

// A RefusedError says that Redis answered and refused our credentials or database: waiting
// does not help, another configuration does.
type RefusedError struct{ Reply string }

func (e *RefusedError) Error() string { return "redis refuses us: " + e.Reply }

// Dial connects as r says and selects the database. It takes at most
// r.ConnectTimeout. It reads the files of credentials and certificates each time, so that
// renewed ones are used. Its errors name the address, never a secret; they wrap a
// *RefusedError if the credentials or the database are wrong.
func Dial(ctx context.Context, r *config.Redis, db int) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.ConnectTimeout))
	defer cancel()
	username, password, err := r.Credentials()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := r.TLSConfig()
	if err != nil {
		return nil, err
	}
	c := &Client{conns: make(map[net.Conn]struct{})}
	defer context.AfterFunc(ctx, c.Abort)()
	d := &dialer{client: c, first: ctx, timeout: time.Duration(r.ConnectTimeout), tls: tlsConfig}
	opts := rueidis.ClientOption{
		DialCtxFn:           d.dial,
		Username:            username,
		Password:            password,
		SelectDB:            db,
		Dialer:              net.Dialer{Timeout: time.Duration(r.ConnectTimeout), KeepAlive: -1}, // no PING either
		ConnWriteTimeout:    longest,
		DisableRetry:        true,
		DisableCache:        true,
		AlwaysRESP2:         true,
		ClientSetInfo:       rueidis.DisableClientSetInfo,
		ReadBufferEachConn:  readBuffer,
		WriteBufferEachConn: writeBuffer,
		RingScaleEachConn:   ringScale,
		PipelineMultiplex:   -1,
		BlockingPoolSize:    1,
		BlockingPipeline:    1 << 20, // a long pipeline gets no connection of its own either
	}
	where := ""
	switch {
	case r.Cluster != nil:
		c.cluster = true
		opts.InitAddress, opts.SelectDB = r.Cluster.Addrs, 0
		where = "cluster " + strings.Join(r.Cluster.Addrs, ", ")
	case r.Sentinel != nil:
		opts.InitAddress = r.Sentinel.Addrs
		opts.Sentinel.MasterSet = r.Sentinel.Master
		opts.Sentinel.TopologyRefreshInterval = watchEvery
		if opts.Sentinel.Username, opts.Sentinel.Password, err = r.Sentinel.Credentials(); err != nil {
			return nil, err
		}
		opts.InitAddress = newestFirst(ctx, d, opts)
		where = "sentinels " + strings.Join(r.Sentinel.Addrs, ", ")
	default:
		network, address := r.Address()
		if network == "" {
			return nil, errors.New("dial redis: no address")
		}
		d.network = network
		opts.InitAddress, opts.ForceSingleClient = []string{address}, true
		where = address
	}
	if c.Client, err = rueidis.NewClient(opts); err == nil && !c.cluster {
		// The first command that needs credentials: it fails if some are missing.
		err = c.Do(ctx, c.B().Arbitrary("SELECT", strconv.Itoa(db)).Build()).Error()
		if err != nil {
			c.Close()
		}
	}
	if err == nil && c.cluster && c.Mode() != rueidis.ClientModeCluster {
		c.Close()
		return nil, fmt.Errorf("dial redis %s: %w", where, &RefusedError{"cluster support is disabled there (redis.cluster)"})
	}
	d.mu.Lock()
	d.first = nil
	lastErr := d.err
	d.mu.Unlock()
	what := "dial redis"
	if r.Cluster != nil || r.Sentinel != nil {
		what += " (" + where + ")"
	}
	switch reply := Final(err); {
	case err == nil:
		return c, nil
	case ctx.Err() != nil && lastErr != nil:
		return nil, fmt.Errorf("%s: %w: %w", what, ctx.Err(), explain(lastErr, r))
	case ctx.Err() != nil:
		return nil, fmt.Errorf("dial redis %s: %w", where, ctx.Err())
	case strings.HasPrefix(reply, "No such master"):
		return nil, fmt.Errorf("%s: the sentinels know no master %q (redis.sentinel.master)", what, r.Sentinel.Master)
	case reply != "":
		return nil, fmt.Errorf("dial redis %s: %w", where, explain(&RefusedError{reply}, r))
	case lastErr != nil && Reply(err) == "":
		err = lastErr // the client's own error says less
	}
	return nil, fmt.Errorf("%s: %w", what, explain(err, r))
}

// A Pair has a connection to each of wrapp's databases. The zero Pair is not connected.
type Pair struct{ Logs, Values *Client }

// Dial connects to both, unless the Pair is connected.
func (p *Pair) Dial(ctx context.Context, r *config.Redis) (err error) {
	if p.Values != nil {
		return nil
	}
	if p.Logs, err = Dial(ctx, r, r.LogsDB); err != nil {
		return err
	}
	if p.Values, err = Dial(ctx, r, r.ValuesDB); err != nil {
		p.Close()
	}
	return err
}

// Use dials if need be and calls f. It closes the connections after an error that is no reply, and
// calls f once more if they stood before: a server may have closed them while they were idle.
func (p *Pair) Use(ctx context.Context, r *config.Redis, f func(logs, values *Client) error) error {
	for stood := p.Values != nil; ; stood = false {
		if err := p.Dial(ctx, r); err != nil {
			return err
		}
		err := f(p.Logs, p.Values)
		if err == nil || Reply(err) != "" {
			return err
		}
		p.Close()
		if !stood || ctx.Err() != nil {
			return err
		}
	}
}

// Close closes both connections. The Pair can be dialled again.
func (p *Pair) Close() {
	for _, c := range []*Client{p.Logs, p.Values} {
		if c != nil {
			c.Close()
		}
	}
	*p = Pair{}
}

// A dialer makes the connections of one client.
type dialer struct {
	client  *Client
	network string // of the only server; "" for several servers, all by TCP
	timeout time.Duration
	tls     *tls.Config // nil without TLS

	mu    sync.Mutex
	first context.Context // Dial's context; nil once Dial has returned
	err   error           // of the last attempt
}

func (d *dialer) dial(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	d.mu.Lock()
	first := d.first
	d.mu.Unlock()
	if first != nil {
		defer context.AfterFunc(first, cancel)()
	}
	conn, err := d.connect(ctx, address)
	d.mu.Lock()
	d.err = err
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	c := d.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		conn.Close()
		return nil, net.ErrClosed
	}
	tracked := &trackedConn{conn, c}
	c.conns[tracked] = struct{}{}
	return tracked, nil
}

// A trackedConn is a connection that Abort closes.
type trackedConn struct {
	net.Conn
	client *Client
}

// Write returns an *endedError if Redis has said why it ended the connection.
func (t *trackedConn) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if err != nil {
		t.SetReadDeadline(time.Now().Add(lastWords))
		said, _ := io.ReadAll(io.LimitReader(t.Conn, readBuffer))
		if _, reply, ok := bytes.Cut(said, []byte("-ERR Protocol error")); ok {
			reply, _, _ = bytes.Cut(reply, []byte("\r"))
			err = &endedError{"Protocol error" + string(reply), err}
		}
	}
	return n, err
}

// An endedError is an error of writing, and the reply by which Redis ended the connection.
type endedError struct {
	reply string
	error
}

func (t *trackedConn) Close() error {
	t.client.mu.Lock()
	delete(t.client.conns, t)
	t.client.mu.Unlock()
	return t.Conn.Close()
}

func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	network := d.network
	if network == "" {
		network = "tcp"
	}
	nd := net.Dialer{KeepAlive: keepAlive, Control: func(network, _ string, raw syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		})
		return errors.Join(err, failed)
	}}
	c, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c = sysio.Conn(c)
	if d.tls == nil {
		return c, nil
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secure, nil
}

// temporary are the prefixes of Redis error replies that go away by themselves.
var temporary = []string{
	"LOADING ", "OOM ", "MISCONF ", "READONLY ", "NOREPLICAS ", "MASTERDOWN ",
	"CLUSTERDOWN ", "TRYAGAIN ", "BUSY ", "MOVED ", "ASK ", "max number of clients",
	"Script attempted to execute a write command while the cluster is down",
}

// Temporary reports whether an error reply goes away by itself, by Redis's documented error
// prefixes.
func Temporary(reply string) bool {
	for _, p := range temporary {
		if strings.HasPrefix(strings.TrimPrefix(reply, "ERR "), p) {
			return true
		}
	}
	return false
}

// Reply returns the Redis error reply in err, or "" if err is something else. The client
// leaves out "ERR " at the beginning.
func Reply(err error) string {
	var reply *rueidis.RedisError
	if errors.As(err, &reply) && !reply.IsNil() {
		return reply.Error()
	}
	var ended *endedError
	if errors.As(err, &ended) {
		return ended.reply
	}
	return ""
}

// Final returns the Redis error reply in err, or "" without one and for a Temporary one.
func Final(err error) string {
	if reply := Reply(err); !Temporary(reply) {
		return reply
	}
	return ""
}
