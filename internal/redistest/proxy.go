package redistest

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// A Cutter is a proxy that cuts connections to a server.
type Cutter struct {
	Addr string
	left atomic.Int64 // left: bytes of replies that still pass before the cut
	cuts atomic.Int64
}

const endless = 1 << 60

// StartProxy starts a proxy before the server at an address, and returns its own address. It ends
// with the test. serve gets each client's connection with a new one to the server, in a goroutine.
func StartProxy(t testing.TB, to string, serve func(client, server net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go serve(client, server)
		}
	}()
	return l.Addr().String()
}

// StartFilter starts a proxy as StartProxy does. It gives pass what each read of a client's commands has
// brought, and then sends that on, or, if pass returns false, ends the connection.
func StartFilter(t testing.TB, to string, pass func(commands []byte) bool) (addr string) {
	t.Helper()
	return StartProxy(t, to, func(client, server net.Conn) {
		go func() {
			io.Copy(client, server)
			client.Close()
		}()
		defer client.Close()
		defer server.Close()
		for b := make([]byte, 64<<10); ; {
			n, err := client.Read(b)
			if err != nil || !pass(b[:n]) {
				return
			}
			server.Write(b[:n])
		}
	})
}

// StartCutter starts a Cutter before the server at an address. It ends with the test.
func StartCutter(t testing.TB, to string) *Cutter {
	t.Helper()
	c := new(Cutter)
	c.left.Store(endless)
	c.Addr = StartProxy(t, to, func(client, server net.Conn) {
		go c.replies(server, client)
		io.Copy(server, client)
		server.(*net.TCPConn).CloseWrite() // the server still carries out what it has read
	})
	return c
}

func (c *Cutter) replies(server, client net.Conn) {
	defer client.Close()
	buf := make([]byte, 1000)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if left := c.left.Add(-int64(n)); left < 0 {
			c.left.Store(endless)
			c.cuts.Add(1)
			client.Write(buf[:n/2])
			client.(*net.TCPConn).SetLinger(0)
			return
		}
		client.Write(buf[:n])
	}
}

// After cuts a connection after so many more bytes of replies.
func (c *Cutter) After(bytes int) { c.left.Store(int64(bytes)) }

// Cuts returns how many connections were cut.
func (c *Cutter) Cuts() int { return int(c.cuts.Load()) }
