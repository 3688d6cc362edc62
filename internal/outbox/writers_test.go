package outbox

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// These tests have another writer on the stream. Each one lost lines, or had them twice,
// before Redis kept the position.

var info = logstream.Keys("t")[logstream.Info]

// by makes an outbox dial the server by another address.
func by(s *redistest.Server, addr string) func(*Options) {
	return func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			r := s.Config().Redis
			if err := r.SetURL("redis://" + addr); err != nil {
				return nil, err
			}
			return redisconn.Dial(ctx, &r, 1)
		}
	}
}

// addAt adds the lines [from, upto), as read at one instant.
func addAt(o *Outbox, at time.Time, from, upto int) {
	for i := from; i < upto; i++ {
		o.Add(at, logstream.Info, 0, fmt.Appendf(nil, "line %d", i))
	}
	o.Send()
}

// checkOurs fails unless the lines 0 to n-1 are there once, in order, among those of others.
func checkOurs(t *testing.T, s *redistest.Server, n int) {
	t.Helper()
	next := 0
	for _, m := range s.Messages(info) {
		if !strings.HasPrefix(m, "line ") {
			continue
		}
		if want := fmt.Sprintf("line %d", next); m != want {
			t.Fatalf("%q, want %q", m, want)
		}
		next++
	}
	if next != n {
		t.Errorf("%d lines, want %d", next, n)
	}
}

// A trap is a proxy that shuts when a text passes to the server: from then on it swallows the
// answers. Opening it ends the connection.
type trap struct {
	addr string
	text []byte
	shut atomic.Bool
	open chan struct{}
}

func startTrap(t *testing.T, to, text string) *trap {
	t.Helper()
	p := &trap{text: []byte(text), open: make(chan struct{})}
	p.addr = redistest.StartProxy(t, to, func(client, server net.Conn) {
		var mute atomic.Bool
		go func() { // commands
			defer server.(*net.TCPConn).CloseWrite()
			buf := make([]byte, 1<<20)
			var tail []byte
			for {
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				tail = append(tail, buf[:n]...)
				if bytes.Contains(tail, p.text) && p.shut.CompareAndSwap(false, true) {
					mute.Store(true)
					go func() { <-p.open; client.(*net.TCPConn).SetLinger(0); client.Close() }()
				}
				tail = append([]byte(nil), tail[max(0, len(tail)-len(p.text)):]...)
				server.Write(buf[:n])
			}
		}()
		go func() { // answers
			buf := make([]byte, 64<<10)
			for {
				n, err := server.Read(buf)
				if err != nil {
					if !mute.Load() {
						client.Close()
					}
					return
				}
				if !mute.Load() {
					client.Write(buf[:n])
				}
			}
		}()
	})
	return p
}

// TestTrimmedBehindForeign adds another writer's entry between the IDs of a pipeline, loses
// the answers, and trims the stream to the entries behind it.
func TestTrimmedBehindForeign(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := startTrap(t, s.Addr(), "line 1\r\n")
	o := open(t, s, func(opts *Options) { opts.MaxEntries = 1000; by(s, p.addr)(opts) })
	add(o, "line 0")
	eventually(t, "Redis has answered", o.q.empty)
	at := time.Now().Add(time.Minute)
	do(t, s.Dial(1), "XADD", info, entry.ID{Ms: milliseconds(at) + 5}, "message", "foreign")
	const n = 6000
	addAt(o, at, 1, 2001)
	addAt(o, at.Add(10*time.Millisecond), 2001, n)
	eventually(t, "the answers are lost", p.shut.Load)
	close(p.open)
	closeAll(t, o)
	if got := entriesAdded(t, s, info); got != n+1 {
		t.Errorf("%d entries were ever added, want %d lines and 1 of another", got, n)
	}
}

// TestEmptyButForeign restarts the server without data; another writer adds an entry first.
func TestEmptyButForeign(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var hold sync.Mutex
	o := open(t, s, func(opts *Options) {
		dial := opts.Dial
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			hold.Lock()
			defer hold.Unlock()
			return dial(ctx)
		}
	})
	number(o, 0, 5000)
	eventually(t, "Redis has acknowledged everything", o.q.empty)
	hold.Lock()
	s.Down()
	s.Up()
	do(t, s.Dial(1), "XADD", info, "*", "message", "foreign")
	hold.Unlock()
	number(o, 5000, 6000)
	closeAll(t, o)
	checkOurs(t, s, 6000)
	if again, lost := toldLost(s); again != 5000 || lost != 0 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestStaleRefused has another writer get ahead once, while far more waits than one pipeline
// takes; then it loses the answers to the last lines.
func TestStaleRefused(t *testing.T) {
	t.Parallel()
	const n = 30_000
	s := redistest.Start(t)
	p := startTrap(t, s.Addr(), fmt.Sprintf("line %d\r\n", n-1))
	o := open(t, s, by(s, p.addr))
	add(o, "line 0")
	eventually(t, "Redis has answered", o.q.empty)
	do(t, s.Dial(1), "XADD", info, entry.ID{Ms: milliseconds(time.Now().Add(time.Hour))}, "message", "foreign")
	addAt(o, time.Now(), 1, n)
	eventually(t, "all has landed", func() bool { return p.shut.Load() && len(s.Messages(info)) == n+1 })
	close(p.open)
	closeAll(t, o)
	checkOurs(t, s, n)
	if got := said(s, "has entries of another writer"); len(got) != 1 {
		t.Errorf("status: %q", got)
	}
}

// TestLateConnection makes the commands of an abandoned connection arrive at the server amid
// those of the next one.
func TestLateConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var mu sync.Mutex
	var held []byte     // bytes sent on the connection with line 1 since then
	var late net.Conn   // that connection
	var given bool      // the held bytes have gone to the server
	arrived := func() { // the caller holds mu
		if late != nil && !given {
			given = true
			late.Write(held)
			// An answer means that the command was carried out.
			late.SetReadDeadline(time.Now().Add(2 * time.Minute))
			late.Read(make([]byte, 1))
		}
	}
	addr := redistest.StartProxy(t, s.Addr(), func(client, server net.Conn) {
		var holding atomic.Bool
		go func() { // answers
			buf := make([]byte, 64<<10)
			for !holding.Load() {
				server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				n, err := server.Read(buf)
				if n > 0 {
					client.Write(buf[:n])
				} else if e, ok := err.(net.Error); !ok || !e.Timeout() {
					client.Close()
					return
				}
			}
		}()
		go func() { // commands
			buf := make([]byte, 1<<20)
			for {
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				mu.Lock()
				if late == nil && bytes.Contains(buf[:n], []byte("line 1\r\n")) {
					late = server
					holding.Store(true)
				}
				if late == server {
					held = append(held, buf[:n]...)
					mu.Unlock()
					continue
				}
				if bytes.Contains(buf[:n], []byte("EVAL")) {
					arrived()
				}
				mu.Unlock()
				server.Write(buf[:n])
			}
		}()
	})
	o := open(t, s, by(s, addr))
	add(o, "line 0")
	eventually(t, "Redis has answered", o.q.empty)
	at := time.Now().Add(time.Minute)
	do(t, s.Dial(1), "XADD", info, entry.ID{Ms: milliseconds(at), Seq: 3000}, "message", "foreign")
	addAt(o, at, 1, 6000)
	closeAll(t, o)
	mu.Lock()
	defer mu.Unlock()
	if !given {
		t.Fatal("no late commands arrived")
	}
	checkOurs(t, s, 6000)
}

// TestTwoOutboxes has two outboxes write to one stream at full speed, with max_entries at
// its default, while their connections are cut.
func TestTwoOutboxes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
	const n = 50_000
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			proxy := redistest.StartCutter(t, s.Addr())
			o := open(t, s, func(opts *Options) { opts.MaxEntries = 1000; by(s, proxy.Addr)(opts) })
			for i := range 10 {
				proxy.After(100 + 20*i)
				number(o, i*n/10, (i+1)*n/10)
			}
			closeAll(t, o)
		})
	}
	both.Wait()
	if got := entriesAdded(t, s, info); got != 2*n {
		t.Errorf("%d entries were added, want %d", got, 2*n)
	}
}

// TestScriptFlushed makes Redis forget its scripts while lines flow, and keeps it busy with
// another script.
func TestScriptFlushed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--lua-time-limit", "10")
	o := open(t, s, nil)
	stop := steadily(o)
	acknowledged(t, o, 500)
	c := s.Dial(1)
	for range 5 {
		do(t, c, "SCRIPT", "FLUSH")
		acknowledged(t, o, 200)
	}
	busy := make(chan error)
	go func() {
		_, err := s.Dial(1).Do("EVAL", "while true do end", 0)
		busy <- err
	}()
	eventually(t, "Redis is busy", func() bool {
		_, err := c.Do("PING")
		return err != nil && strings.HasPrefix(err.Error(), "BUSY")
	})
	o.q.mu.Lock()
	before := o.q.ordinal
	o.q.mu.Unlock()
	eventually(t, "lines wait", func() bool { o.q.mu.Lock(); defer o.q.mu.Unlock(); return o.q.away != "" && o.q.ordinal > before })
	do(t, c, "SCRIPT", "KILL")
	<-busy
	acknowledged(t, o, 500)
	n := stop()
	closeAll(t, o)
	checkNumbered(t, s, n)
}

// TestRightsTaken revokes the user's right to add to one stream and restores it: the entries
// refused meanwhile are set aside, counted and reported; the others are delivered.
func TestRightsTaken(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(0)
	do(t, admin, "ACL", "SETUSER", "u", "on", ">pw", "~*", "+@all")
	dir := t.TempDir()
	o := openSpooled(t, s, dir, 64<<20, by(s, "u:pw@"+s.Addr()))
	stop := steadily(o)
	acknowledged(t, o, 500)
	do(t, admin, "ACL", "SETUSER", "u", "resetkeys", "~*:status*", "~*:error*")
	eventually(t, "lines are refused", func() bool {
		o.q.mu.Lock()
		defer o.q.mu.Unlock()
		return o.q.refusals[logstream.Info].entries > 0
	})
	do(t, admin, "ACL", "SETUSER", "u", "~*")
	acknowledged(t, o, 500)
	eventually(t, "it is told", func() bool { return len(said(s, "of :info were refused by Redis for good")) == 1 })
	n := stop()
	closeAll(t, o)
	refused, aside := o.Stats().Refused, o.Stats().Aside
	there := runs(t, s.Messages(info))
	missing := n
	for _, r := range there {
		missing -= r[1] - r[0]
	}
	var told int
	fmt.Sscanf(said(s, "of :info were refused")[0], "%d entries of :info", &told)
	if refused == 0 || refused != missing || aside != refused || told != refused {
		t.Errorf("%d refused, %d set aside, %d told, and %d missing of %d: %v", refused, aside, told, missing, n, there)
	}
}

// TestPosition checks that the position exists while entries come, and expires soon after an
// end with nothing waiting.
func TestPosition(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	number(o, 0, 1000)
	eventually(t, "Redis has acknowledged everything", o.q.empty)
	key := positionKey(info, o.opts.Writer)
	c := s.Dial(1)
	text, err := c.Do("GET", key)
	if err != nil || string(text.([]byte)) != "1000 1000" {
		t.Errorf("the position is %q: %v", text, err)
	}
	if ms, _ := c.Do("PTTL", key); ms.(int64) < 29*24*time.Hour.Milliseconds() {
		t.Errorf("it expires in %v ms", ms)
	}
	closeAll(t, o)
	if ms, _ := c.Do("PTTL", key); ms.(int64) <= 0 || ms.(int64) > time.Hour.Milliseconds() {
		t.Errorf("after the end it expires in %v ms", ms)
	}
}
