package redisconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/resp"
)

// A router stands between a caller, who speaks to one connection, and the nodes
// of a cluster. It gives each command to the node of its key and the answers
// back in the order of the commands, and follows redirections.
//
// Commands of one key are carried out in their order, also when its slot moves
// while they are on their way: those that are redirected go on together, in
// order, when everything that the old node was sent of the key is answered, and
// later ones wait for them. What this does not cover is a slot that leaves a node
// and comes back while commands of its key are on their way there.
//
// Where a node fails, the whole connection ends: whoever uses it finds out what
// has landed, as after any other lost connection.
type router struct {
	c      *cluster
	ctx    context.Context
	cancel context.CancelFunc
	front  net.Conn   // our end
	far    *breakable // the caller's end
	ended  sync.WaitGroup

	mu     sync.Mutex
	change sync.Cond  // of what is in flight, and of out
	flight []*command // in the order in which they came, not answered to the caller
	bytes  int        // of them
	out    []byte     // answers that are to be written to the caller
	routes map[string]*route
	nodes  map[string]*node
	err    error // why it ended
}

// Bounds of what the router holds. The caller's own are smaller.
const (
	mostInFlight  = 64 << 10
	bytesInFlight = 16 << 20
	mostRoutes    = 4096
)

// mostHops is how often one command is redirected. From slowHops on there is a
// pause before each: the nodes may not agree yet.
const (
	mostHops = 20
	slowHops = 4
	hopPause = 20 * time.Millisecond
)

// A command is on its way.
type command struct {
	raw   []byte
	to    *route
	hops  int
	reply []byte // nil until it is answered
}

// A route is where the commands of one key go.
type route struct {
	slot   int
	at     *node      // where unanswered commands are
	open   int        // how many there are
	asking string     // the address that is to be asked, with ASKING; "" if none
	again  []*command // redirected, in order
	held   []*command // came later
	paused bool       // again goes on after a pause
}

// A node is a connection to one, and what it was given.
type node struct {
	addr string
	buf  []byte     // to be written
	sent []*command // to be answered; nil stands for ASKING
	wake chan struct{}
}

func newRouter(c *cluster) *Conn {
	near, far := net.Pipe()
	r := &router{
		c: c, front: near, far: &breakable{Conn: far},
		routes: make(map[string]*route), nodes: make(map[string]*node),
	}
	r.change.L = &r.mu
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.ended.Go(r.readCommands)
	r.ended.Go(r.writeAnswers)
	conn := NewConn(r.far, replyTimeout(c.r))
	conn.cluster, conn.end = c, r.close
	return conn
}

func (r *router) close() {
	r.fail(net.ErrClosed)
	r.ended.Wait()
	for _, conn := range r.c.direct {
		conn.Close()
	}
}

// fail ends everything. The first reason counts.
func (r *router) fail(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(why)
}

// end is fail for a caller that holds mu.
func (r *router) end(why error) {
	if r.err != nil {
		return
	}
	r.err = why
	r.far.breakOff(why)
	r.front.Close()
	r.cancel()
	r.change.Broadcast()
}

// readCommands takes commands from the caller.
func (r *router) readCommands() {
	in := bufio.NewReaderSize(r.front, 64<<10)
	var buf []byte
	for {
		var err error
		buf, err = resp.AppendFrame(buf[:0], in, math.MaxInt)
		if err == nil && buf[0] != '*' {
			err = resp.Malformed(buf)
		}
		if err != nil {
			r.fail(err)
			return
		}
		raw := bytes.Clone(buf)
		key := keyOf(raw)
		r.mu.Lock()
		for r.err == nil && (len(r.flight) >= mostInFlight || r.bytes >= bytesInFlight) {
			r.change.Wait()
		}
		if r.err != nil {
			r.mu.Unlock()
			return
		}
		c := &command{raw: raw, to: r.route(key)}
		r.flight = append(r.flight, c)
		r.bytes += len(raw)
		r.give(c)
		r.mu.Unlock()
	}
}

// route is that of a key. The caller holds mu.
func (r *router) route(key []byte) *route {
	to := r.routes[string(key)]
	if to == nil {
		if len(r.routes) >= mostRoutes {
			for k, other := range r.routes {
				if other.open == 0 && len(other.again) == 0 && len(other.held) == 0 {
					delete(r.routes, k)
				}
			}
		}
		to = &route{slot: slotOf(string(key))}
		r.routes[string(key)] = to
	}
	return to
}

// give sends a command to where its key is, or holds it until it may go there.
// The caller holds mu.
func (r *router) give(c *command) {
	if r.err != nil {
		return
	}
	to := c.to
	if len(to.again) > 0 || len(to.held) > 0 {
		to.held = append(to.held, c)
		return
	}
	addr := r.c.owner(to.slot)
	if addr == to.asking {
		to.asking = "" // it has moved there for good
	}
	asking := to.asking != ""
	if asking {
		addr = to.asking
	}
	if addr == "" {
		r.end(noOwner(to.slot))
		return
	}
	if to.open > 0 && to.at.addr != addr {
		to.held = append(to.held, c)
		return
	}
	n := r.nodes[addr]
	if n == nil {
		n = &node{addr: addr, wake: make(chan struct{}, 1)}
		r.nodes[addr] = n
		r.ended.Go(func() { r.serve(n) })
	}
	to.at = n
	to.open++
	if asking {
		n.buf = append(n.buf, "*1\r\n$6\r\nASKING\r\n"...)
		n.sent = append(n.sent, nil)
	}
	n.buf = append(n.buf, c.raw...)
	n.sent = append(n.sent, c)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// goOn gives what waits of a key, if it may go. The caller holds mu.
func (r *router) goOn(to *route) {
	if to.open > 0 || to.paused {
		return
	}
	waiting := append(to.again, to.held...)
	to.again, to.held = nil, nil
	for _, c := range waiting {
		r.give(c)
	}
}

// serve connects to a node and writes to it what it is given.
func (r *router) serve(n *node) {
	ctx, cancel := context.WithTimeout(r.ctx, time.Duration(r.c.r.ConnectTimeout))
	conn, err := dialServer(ctx, r.c.r, "tcp", n.addr, 0)
	cancel()
	if err != nil {
		r.fail(err)
		return
	}
	defer conn.Close()
	// A write that waits for the node must not outlive the rest.
	defer context.AfterFunc(r.ctx, func() { conn.Net.Close() })()
	if err := conn.Net.SetDeadline(time.Time{}); err != nil {
		r.fail(err)
		return
	}
	r.ended.Go(func() { r.fail(fmt.Errorf("redis cluster: node %s: %w", n.addr, r.readAnswers(n, conn.Net))) })
	var buf []byte
	for {
		r.mu.Lock()
		buf, n.buf = n.buf, buf[:0]
		r.mu.Unlock()
		if len(buf) > 0 {
			if _, err := conn.Net.Write(buf); err != nil {
				r.fail(fmt.Errorf("redis cluster: node %s: %w", n.addr, err))
				return
			}
			continue
		}
		select {
		case <-n.wake:
		case <-r.ctx.Done():
			return
		}
	}
}

// readAnswers takes the answers of a node, until its connection ends.
func (r *router) readAnswers(n *node, conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 32<<10)
	var buf []byte
	for {
		var err error
		if buf, err = resp.AppendFrame(buf[:0], in, math.MaxInt); err != nil {
			return err
		}
		r.mu.Lock()
		err = r.answer(n, bytes.Clone(buf))
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// answer takes one answer of a node. The caller holds mu.
func (r *router) answer(n *node, reply []byte) error {
	if len(n.sent) == 0 {
		return errors.New("an answer to no command")
	}
	c := n.sent[0]
	n.sent[0] = nil
	n.sent = n.sent[1:]
	if c == nil { // ASKING
		if reply[0] == '-' {
			return fmt.Errorf("ASKING answered %s", reply[1:len(reply)-2])
		}
		return nil
	}
	to := c.to
	to.open--
	if m, redirected := redirection(reply); redirected {
		if c.hops++; c.hops > mostHops {
			return fmt.Errorf("it has redirected a command %d times, the last time with %s", mostHops, reply[1:len(reply)-2])
		}
		if m.Ask {
			to.asking = m.at(n.addr)
		} else {
			to.asking = ""
			r.c.moved(to.slot, m.at(n.addr))
		}
		to.again = append(to.again, c)
		if c.hops >= slowHops && !to.paused {
			to.paused = true
			time.AfterFunc(hopPause, func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				to.paused = false
				r.goOn(to)
			})
		}
	} else {
		c.reply = reply
		r.deliver()
	}
	if to.open == 0 {
		if len(to.again) == 0 && len(to.held) == 0 {
			// ASK is for now only: after a pause the slot may have come back and be
			// on its way again, and a node that is asked too early would begin the
			// key anew.
			to.asking = ""
		}
		r.goOn(to)
	}
	return nil
}

func redirection(reply []byte) (Moved, bool) {
	if reply[0] != '-' {
		return Moved{}, false
	}
	return ParseMoved(string(reply[1:]))
}

// deliver hands over the answers that are next. The caller holds mu.
func (r *router) deliver() {
	before := len(r.out)
	for len(r.flight) > 0 && r.flight[0].reply != nil {
		r.out = append(r.out, r.flight[0].reply...)
		r.bytes -= len(r.flight[0].raw)
		r.flight[0] = nil
		r.flight = r.flight[1:]
	}
	if len(r.out) > before {
		r.change.Broadcast()
	}
}

// writeAnswers writes answers to the caller.
func (r *router) writeAnswers() {
	var buf []byte
	for {
		r.mu.Lock()
		for len(r.out) == 0 && r.err == nil {
			r.change.Wait()
		}
		if r.err != nil {
			r.mu.Unlock()
			return
		}
		buf, r.out = r.out, buf[:0]
		r.mu.Unlock()
		if _, err := r.front.Write(buf); err != nil {
			r.fail(err)
			return
		}
	}
}
