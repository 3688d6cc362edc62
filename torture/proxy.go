package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy stands between wrapp and Redis and spoils the traffic.
type proxy struct {
	l     net.Listener
	to    *server
	cut   [2]atomic.Int64 // bytes of requests, and of replies, to pass before a cut within one
	delay atomic.Int64    // nanoseconds before anything passes
	hole  atomic.Bool     // nothing passes
	cuts  atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
}

const never = 1 << 60

// Directions of traffic.
const (
	requests = iota
	replies
)

// uncut lets everything pass.
func (p *proxy) uncut() {
	p.cut[requests].Store(never)
	p.cut[replies].Store(never)
}

func newProxy(to *server) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, to: to, conns: make(map[net.Conn]bool)}
	p.uncut()
	go p.accept()
	return p, nil
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := p.to.connect()
		if err != nil {
			client.(*net.TCPConn).SetLinger(0)
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		go p.pass(server, client, requests)
		go p.pass(client, server, replies)
	}
}

// pass copies in one direction, until the end or the cut.
func (p *proxy) pass(to, from net.Conn, direction int) {
	defer func() {
		// The server executes what it has read, even when the connection is closed.
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if d := p.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		for p.hole.Load() {
			time.Sleep(time.Millisecond)
		}
		if p.cut[direction].Add(-int64(n)) < 0 {
			p.cut[direction].Store(never)
			p.cuts.Add(1)
			half := n / 2
			for half > 0 && buf[half-1] == '\n' {
				half-- // within a line, not behind it
			}
			to.Write(buf[:half])
			if direction == replies {
				to.(*net.TCPConn).SetLinger(0)
			}
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// reset cuts all connections at once.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}
