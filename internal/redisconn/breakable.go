package redisconn

import (
	"net"
	"sync/atomic"
	"time"
)

// A breakable is a connection that we may end ourselves, with a reason that
// whoever uses it gets to see.
type breakable struct {
	net.Conn
	why atomic.Pointer[error]
}

// breakOff ends the connection. The first reason counts.
func (b *breakable) breakOff(why error) {
	b.why.CompareAndSwap(nil, &why)
	b.Conn.Close()
}

func (b *breakable) reason(err error) error {
	if why := b.why.Load(); err != nil && why != nil {
		return *why
	}
	return err
}

func (b *breakable) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	return n, b.reason(err)
}

func (b *breakable) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	return n, b.reason(err)
}

func (b *breakable) SetDeadline(t time.Time) error { return b.reason(b.Conn.SetDeadline(t)) }

func (b *breakable) SetReadDeadline(t time.Time) error { return b.reason(b.Conn.SetReadDeadline(t)) }

func (b *breakable) SetWriteDeadline(t time.Time) error {
	return b.reason(b.Conn.SetWriteDeadline(t))
}
