package sysio

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn is c with its reads and writes made by this package, or c itself if that
// cannot be: a connection has to be of the operating system's.
func Conn(c net.Conn) net.Conn {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	return &conn{c, raw}
}

type conn struct {
	net.Conn
	raw syscall.RawConn
}

// Read is as net.Conn says.
func (c *conn) Read(b []byte) (n int, err error) {
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		n, failed = Read(int(fd), b)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err == nil && failed == nil && n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return max(n, 0), c.wrap("read", err, failed)
}

// Write is as net.Conn says.
func (c *conn) Write(b []byte) (done int, err error) {
	for err == nil && done < len(b) {
		var n int
		var failed error
		err = c.raw.Write(func(fd uintptr) bool {
			n, failed = Write(int(fd), b[done:])
			return !errors.Is(failed, unix.EAGAIN)
		})
		err = c.wrap("write", err, failed)
		done += max(n, 0)
	}
	return done, err
}

// wrap makes the error that package net would.
func (c *conn) wrap(call string, err, failed error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	} else if err == nil && failed != nil {
		err = os.NewSyscallError(call, failed)
	}
	if err == nil {
		return nil
	}
	return &net.OpError{Op: call, Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// WriteAll writes texts one behind the other: to a connection made by Conn in one system
// call where that takes them, to any other one with a Write each. It uses the slice up.
func WriteAll(c net.Conn, texts [][]byte) (err error) {
	own, ok := c.(*conn)
	if !ok {
		for _, b := range texts {
			if _, err = c.Write(b); err != nil {
				break
			}
		}
		return err
	}
	for err == nil && len(texts) > 0 {
		var n int
		var failed error
		err = own.raw.Write(func(fd uintptr) bool {
			n, failed = writev(int(fd), texts)
			return !errors.Is(failed, unix.EAGAIN)
		})
		err = own.wrap("writev", err, failed)
		n = max(n, 0)
		for len(texts) > 0 && n >= len(texts[0]) {
			n -= len(texts[0])
			texts = texts[1:]
		}
		if n > 0 {
			texts[0] = texts[0][n:]
		}
	}
	return err
}
