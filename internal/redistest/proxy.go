package redistest

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// A Cutter is a proxy before a server that cuts connections.
type Cutter struct {
	Addr string
	left atomic.Int64 // bytes of replies that still pass; then the connection is cut
	cuts atomic.Int64
}

const endless = 1 << 60

// StartCutter starts a Cutter before the server at an address. It ends with the test.
func StartCutter(t testing.TB, to string) *Cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &Cutter{Addr: l.Addr().String()}
	c.left.Store(endless)
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
			go func() {
				io.Copy(server, client)
				server.(*net.TCPConn).CloseWrite() // and the server goes on with what it has read
			}()
			go c.replies(server, client)
		}
	}()
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

// After has the connection that replies come on cut when so many more bytes of them have
// come.
func (c *Cutter) After(bytes int) { c.left.Store(int64(bytes)) }

// Cuts is how many connections were cut.
func (c *Cutter) Cuts() int { return int(c.cuts.Load()) }
