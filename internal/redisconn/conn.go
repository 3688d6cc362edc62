package redisconn

import (
	"bufio"
	"context"
	"errors"
	"net"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/resp"
)

// A Conn is a connection that is authenticated and has its database selected. One
// goroutine at a time may use it.
//
// Where all commands are answered nothing is buffered, so that a caller may go on with
// the bare Net instead, which may have a deadline set. Nothing is ever sent twice. After
// any error but a resp.Error the connection is closed and of no more use: what is left of
// an answer is never taken for the next.
type Conn struct {
	Net     net.Conn
	timeout time.Duration // of each write and each answer
	in      *bufio.Reader // from Net
	out     []byte        // commands that are not written
	open    int           // commands that are not answered
	err     error         // why it is of no more use
	cluster *cluster      // nil if it is to one server
	end     func()        // ends what runs beside the connection, if not nil
}

// NewConn returns a Conn that uses c as it is. Each write and each answer may take as
// long as timeout.
func NewConn(c net.Conn, timeout time.Duration) *Conn {
	return &Conn{Net: c, timeout: timeout, in: bufio.NewReader(c)}
}

var errOutOfStep = errors.New("redis: there are more or fewer answers than commands")

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)

// begin has what is to be read or written end with the timeout or with ctx. Then comes
// finish.
func (c *Conn) begin(ctx context.Context) (stop func() bool, err error) {
	if err = c.err; err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.Net.SetDeadline(time.Now().Add(c.timeout))
	}
	if err != nil {
		return nil, c.fail(err)
	}
	on := c.Net
	return context.AfterFunc(ctx, func() { on.SetDeadline(longAgo) }), nil
}

func (c *Conn) finish(ctx context.Context, stop func() bool, err error) error {
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		return c.fail(err)
	}
	return nil
}

// fail closes the connection. The first reason counts.
func (c *Conn) fail(err error) error {
	if c.err == nil {
		c.err = err
		c.Net.Close()
	}
	return err
}

// Err says why the connection is of no more use, nil if it is.
func (c *Conn) Err() error { return c.err }

// Close closes the connection.
func (c *Conn) Close() error {
	err := c.err
	if err == nil {
		c.err = net.ErrClosed
		err = c.Net.Close()
	}
	if c.end != nil {
		c.end()
	}
	return err
}

// Send adds a command to those that Flush writes, if the connection is of use. An argument
// is a string, an int or an int64.
func (c *Conn) Send(command string, args ...any) error {
	if c.err == nil {
		c.out = resp.AppendCommand(c.out, command, args...)
		c.open++
	}
	return c.err
}

// Flush writes commands.
func (c *Conn) Flush() error { return c.flush(context.Background()) }

func (c *Conn) flush(ctx context.Context) error {
	stop, err := c.begin(ctx)
	if err != nil {
		return err
	}
	_, err = c.Net.Write(c.out)
	c.out = nil
	return c.finish(ctx, stop, err)
}

// Receive is ReceiveContext without a context.
func (c *Conn) Receive() (any, error) { return c.ReceiveContext(context.Background()) }

// ReceiveContext returns the next answer, as resp.Read says. An answer that is an error
// is a resp.Error.
func (c *Conn) ReceiveContext(ctx context.Context) (any, error) {
	stop, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := resp.Read(c.in)
	if c.open--; err == nil && c.open <= 0 && (c.open < 0 || c.in.Buffered() > 0) {
		err = errOutOfStep
	}
	if err := c.finish(ctx, stop, err); err != nil {
		return nil, err
	}
	if reply, ok := answer.(resp.Error); ok {
		return nil, reply
	}
	return answer, nil
}

// Do is DoContext without a context.
func (c *Conn) Do(command string, args ...any) (any, error) {
	return c.DoContext(context.Background(), command, args...)
}

// DoContext carries out one command, and returns its answer as ReceiveContext does. The
// answers to commands before have to be received.
func (c *Conn) DoContext(ctx context.Context, command string, args ...any) (any, error) {
	if c.err == nil && c.open > 0 {
		return nil, c.fail(errOutOfStep)
	}
	c.Send(command, args...)
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	return c.ReceiveContext(ctx)
}

// Final returns the error reply that err is, if it is one that does not go away by
// itself, else nothing.
func Final(err error) string {
	var reply resp.Error
	if errors.As(err, &reply) && Passing(string(reply)) {
		return ""
	}
	return string(reply)
}
