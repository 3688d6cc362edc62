// Package redisconn knows how to reach Redis: address, TLS, user, database,
// Sentinel, Cluster.
package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/resp"
	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// userTimeout is how long written bytes may stay without the peer's
// acknowledgement before the kernel gives the connection up (TCP_USER_TIMEOUT).
const userTimeout = 3 * time.Second

// leastReplyTimeout bounds one command's answer, unless connecting may take longer.
const leastReplyTimeout = 5 * time.Second

func replyTimeout(r *config.Redis) time.Duration {
	return max(leastReplyTimeout, time.Duration(r.ConnectTimeout))
}

// Server says which server holds a key: its process, and the history of its
// data, which is another one after a failover. That of a replica, which takes no
// entries, is of no use: it is an error that passes.
func (c *Conn) Server(key string) (string, error) {
	ctx := context.Background() // of one server there is nothing to connect to
	if c.cluster != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.cluster.r.ConnectTimeout))
		defer cancel()
	}
	at, err := c.At(ctx, key)
	if err != nil {
		return "", err
	}
	text, err := resp.String(at.Do("INFO"))
	if err != nil {
		return "", err
	}
	if strings.Contains(text, "\nslave_read_only:1") {
		return "", resp.Error("READONLY this is a replica")
	}
	return field(text, "\nrun_id:") + " " + field(text, "\nmaster_replid:"), nil
}

// field is what follows a name in an answer to INFO, to the end of the line.
func field(text, name string) string {
	_, rest, _ := strings.Cut(text, name)
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// A RefusedError says that Redis was reached and does not want us as we are:
// waiting does not help, another configuration does.
type RefusedError struct{ Reply string }

func (e *RefusedError) Error() string { return "redis refuses us: " + e.Reply }

// Dial connects as r says and selects the database. It takes at most
// r.ConnectTimeout, and reads the files of credentials and certificates anew,
// so that renewed ones are used. Its errors name the address, never a secret; a
// *RefusedError is among them where the credentials or the database are wrong.
func Dial(ctx context.Context, r *config.Redis, db int) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.ConnectTimeout))
	defer cancel()

	if r.Cluster != nil {
		return dialCluster(ctx, r)
	}
	if r.Sentinel != nil {
		return dialSentinel(ctx, r, db)
	}
	network, address := r.Address()
	if network == "" {
		return nil, errors.New("dial redis: no address")
	}
	return dialServer(ctx, r, network, address, db)
}

// dialServer connects to the server at one address.
func dialServer(ctx context.Context, r *config.Redis, network, address string, db int) (*Conn, error) {
	username, password, err := r.Credentials()
	if err != nil {
		return nil, err
	}
	conn, err := dialTLS(ctx, r, network, address)
	if err != nil {
		return nil, err
	}
	if err := introduce(ctx, conn, username, password, db); err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial redis %s: %w", address, explain(err, r))
	}
	return conn, nil
}

// dialTLS connects to an address, with TLS if r says so.
func dialTLS(ctx context.Context, r *config.Redis, network, address string) (*Conn, error) {
	tlsConfig, err := r.TLSConfig()
	if err != nil {
		return nil, err
	}
	if tlsConfig != nil && tlsConfig.ServerName == "" {
		tlsConfig.ServerName, _, _ = net.SplitHostPort(address)
	}
	c, err := dial(ctx, network, address, tlsConfig)
	if err != nil {
		return nil, fmt.Errorf("dial redis: %w", explain(err, r))
	}
	return NewConn(c, replyTimeout(r)), nil
}

func dial(ctx context.Context, network, address string, tlsConfig *tls.Config) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: 15 * time.Second, Control: func(network, _ string, raw syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		})
		return errors.Join(err, failed)
	}}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c = sysio.Conn(c)
	if tlsConfig == nil {
		return c, nil
	}
	secure := tls.Client(c, tlsConfig)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secure, nil
}

// introduce says who we are and which database we want; none if db is negative.
func introduce(ctx context.Context, conn *Conn, username, password string, db int) error {
	if password != "" {
		args := []any{password}
		if username != "" {
			args = []any{username, password}
		}
		if _, err := ask(ctx, conn, "AUTH", args...); err != nil {
			return err
		}
	}
	if db < 0 {
		return nil
	}
	// SELECT is asked even for database 0: it is the first command that needs
	// the credentials, so a Redis that wants some says so now.
	_, err := ask(ctx, conn, "SELECT", db)
	return err
}

// ask carries out a command. A refusal that does not go away by itself is a
// *RefusedError.
func ask(ctx context.Context, conn *Conn, name string, args ...any) (any, error) {
	answer, err := conn.DoContext(ctx, name, args...)
	if text := Final(err); text != "" {
		return nil, &RefusedError{Reply: name + " answered " + text}
	}
	return answer, err
}

// passing are the beginnings of Redis error replies that go away by themselves.
var passing = []string{
	"LOADING ", "OOM ", "MISCONF ", "READONLY ", "NOREPLICAS ", "MASTERDOWN ",
	"CLUSTERDOWN ", "TRYAGAIN ", "BUSY ", "MOVED ", "ASK ", "ERR max number of clients",
}

// Passing says whether an error reply is one that goes away by itself, by
// Redis's documented error prefixes.
func Passing(reply string) bool {
	for _, p := range passing {
		if strings.HasPrefix(reply, p) {
			return true
		}
	}
	return false
}
