package sysio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn returns c with its reads and writes made by this package, or c itself if it has no
// descriptor.
func Conn(c net.Conn) net.Conn {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	own := &conn{Conn: c, raw: raw}
	own.reading.call, own.writing.call = Read, Write
	own.reading.try, own.writing.try = own.reading.once, own.writing.once
	return own
}

type conn struct {
	net.Conn
	raw syscall.RawConn

	// reading and writing belong to the conn, not to a call, so that no call allocates.
	reading, writing transferring
}

// transferring is the state of a Read or of a Write. mu allows one at a time, as package net
// does.
type transferring struct {
	mu     sync.Mutex
	call   func(fd int, b []byte) (int, error)
	try    func(fd uintptr) bool // the method once; made only once, because making it allocates
	b      []byte
	n      int
	failed error
}

// once makes the call and reports whether there is a result; without one, the descriptor is
// not ready.
func (t *transferring) once(fd uintptr) bool {
	t.n, t.failed = t.call(int(fd), t.b)
	return t.failed != unix.EAGAIN
}

// transfer reads or writes b; through is the method Read or Write of raw.
func (t *transferring) transfer(through func(func(fd uintptr) bool) error, b []byte) (n int, err, failed error) {
	t.n, t.failed, t.b = 0, nil, b
	err = through(t.try)
	t.b = nil
	return max(t.n, 0), err, t.failed
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (n int, err error) {
	c.reading.mu.Lock()
	n, err, failed := c.reading.transfer(c.raw.Read, b)
	c.reading.mu.Unlock()
	if err == nil && failed == nil && n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, c.wrap("read", err, failed)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (done int, err error) {
	c.writing.mu.Lock()
	defer c.writing.mu.Unlock()
	for err == nil && done < len(b) {
		n, waited, failed := c.writing.transfer(c.raw.Write, b[done:])
		err = c.wrap("write", waited, failed)
		done += n
	}
	return done, err
}

// wrap returns the error that package net would return.
func (c *conn) wrap(call string, err, failed error) error {
	if err == nil && failed == nil {
		return nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	} else if err == nil {
		err = os.NewSyscallError(call, failed)
	}
	return &net.OpError{Op: call, Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
