package outbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A cutter is a proxy that cuts connections after some bytes of replies.
type cutter struct {
	addr string
	cut  atomic.Int64 // bytes of replies that still pass; then the connection is cut
	cuts atomic.Int64
}

func startCutter(t *testing.T, to string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &cutter{addr: l.Addr().String()}
	c.cut.Store(1 << 60)
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
				server.(*net.TCPConn).CloseWrite()
			}()
			go func() {
				defer client.Close()
				buf := make([]byte, 1000)
				for {
					n, err := server.Read(buf)
					if err != nil {
						return
					}
					if left := c.cut.Add(-int64(n)); left < 0 {
						c.cut.Store(1 << 60)
						c.cuts.Add(1)
						client.Write(buf[:n/2])
						client.(*net.TCPConn).SetLinger(0)
						return // and the server goes on with what it has read
					}
					client.Write(buf[:n])
				}
			}()
		}
	}()
	return c
}

// TestConnectionCuts cuts the connection in the middle of replies, for streams
// that keep everything and for streams that are trimmed to less than what is in
// flight.
func TestConnectionCuts(t *testing.T) {
	t.Parallel()
	for _, maxEntries := range []int{1_000_000, 1000} {
		t.Run(fmt.Sprint(maxEntries), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			proxy := startCutter(t, s.Addr())
			o := open(t, s, func(opts *Options) {
				opts.MaxEntries = maxEntries
				opts.Dial = func(ctx context.Context) (*redisconn.Conn, error) {
					r := s.Config().Redis
					if err := r.SetURL("redis://" + proxy.addr); err != nil {
						return nil, err
					}
					return redisconn.Dial(ctx, &r, 1)
				}
			})
			const n = 200_000
			for i := range 20 {
				proxy.cut.Store(int64(20_000 + 777*i))
				number(o, i*n/20, (i+1)*n/20)
			}
			closeAll(t, o)
			if proxy.cuts.Load() < 5 {
				t.Errorf("only %d cuts", proxy.cuts.Load())
			}
			// Trimming hides the entries, but not how many were ever added.
			c := s.Dial(1)
			info, err := redis.Values(c.Do("XINFO", "STREAM", entry.Keys("t")[entry.Info]))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(info); i += 2 {
				if name, _ := redis.String(info[i], nil); name == "entries-added" {
					if added, _ := redis.Int(info[i+1], nil); added != n {
						t.Errorf("%d entries were added, want %d", added, n)
					}
				}
			}
			if maxEntries == 1_000_000 {
				checkNumbered(t, s, n)
			}
		})
	}
}

// TestBlind cuts connections of a user who may write and not read: what landed
// before a cut must not come again, nor be sent for ever.
func TestBlind(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	if _, err := s.Dial(0).Do("ACL", "SETUSER", "blind", "on", ">pw", "~*", "-@all", "+select", "+xadd"); err != nil {
		t.Fatal(err)
	}
	proxy := startCutter(t, s.Addr())
	o := open(t, s, func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Conn, error) {
			r := s.Config().Redis
			if err := r.SetURL("redis://blind:pw@" + proxy.addr); err != nil {
				return nil, err
			}
			return redisconn.Dial(ctx, &r, 1)
		}
	})
	const n = 200_000
	for i := range 20 {
		proxy.cut.Store(int64(20_000 + 777*i))
		number(o, i*n/20, (i+1)*n/20)
	}
	closeAll(t, o)
	if proxy.cuts.Load() < 3 {
		t.Errorf("only %d cuts", proxy.cuts.Load())
	}
	checkNumbered(t, s, n)
}
