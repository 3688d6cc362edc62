package outbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A pipelineProxy passes commands on one by one, each when the one before is answered. Once
// armed, it hands the next two calls of the script to between.
type pipelineProxy struct {
	addr    string
	armed   atomic.Bool
	between func(call func(command []byte) (reply []byte), first, second []byte) (replies []byte)
}

func startPipelineProxy(t *testing.T, to string) *pipelineProxy {
	t.Helper()
	p := new(pipelineProxy)
	p.addr = redistest.StartProxy(t, to, p.serve)
	return p
}

func (p *pipelineProxy) serve(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	commands, replies := bufio.NewReader(client), bufio.NewReader(server)
	call := func(command []byte) []byte {
		server.Write(command)
		var reply bytes.Buffer
		copyRESP(&reply, replies)
		return reply.Bytes()
	}
	for {
		var first, second bytes.Buffer
		if err := copyRESP(&first, commands); err != nil {
			return
		}
		if !bytes.Contains(first.Bytes(), []byte("EVALSHA")) || !p.armed.CompareAndSwap(true, false) {
			client.Write(call(first.Bytes()))
			continue
		}
		if err := copyRESP(&second, commands); err != nil {
			return
		}
		client.Write(p.between(call, first.Bytes(), second.Bytes()))
	}
}

// copyRESP copies one value of Redis's protocol (RESP3), a command or a reply.
func copyRESP(w *bytes.Buffer, r *bufio.Reader) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	w.WriteString(line)
	var n int64
	fmt.Sscanf(line[1:], "%d", &n)
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			_, err = io.CopyN(w, r, n+2)
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			err = errors.Join(err, copyRESP(w, r))
		}
	}
	return err
}

// TestCallsOutOfOrder has a server carry out the second call of a pipeline before the first, as
// can happen in a cluster while the slot moves and the calls are redirected one by one. Nothing is
// lost by that, and nothing may be told as lost.
func TestCallsOutOfOrder(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := startPipelineProxy(t, s.Addr())
	p.between = func(call func([]byte) []byte, first, second []byte) []byte {
		late := call(second)
		return append(call(first), late...)
	}
	sendThrough(t, s, p)
	if lost := said(s, "Redis has lost"); len(lost) > 0 {
		t.Errorf("%q", lost)
	}
}

// TestLossWithinPipeline has a server lose what a call has added before the next call of the same
// pipeline. The loss is told exactly.
func TestLossWithinPipeline(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := startPipelineProxy(t, s.Addr())
	p.between = func(call func([]byte) []byte, first, second []byte) []byte {
		conn := s.Dial(1)
		defer conn.Close()
		keys, err := redis.Strings(conn.Do("KEYS", "{"+info+"}:wrapp:*"))
		if err != nil || len(keys) != 1 {
			t.Errorf("positions: %q, %v", keys, err)
			return nil
		}
		position, err := conn.Do("GET", keys[0])
		replies := call(first)
		added, failed := redis.Values(conn.Do("XREVRANGE", info, "+", "-", "COUNT", callRecords))
		err = errors.Join(err, failed)
		ids := redis.Args{info}
		for _, entry := range added {
			pair, failed := redis.Values(entry, nil)
			err = errors.Join(err, failed)
			ids = ids.Add(pair[0])
		}
		_, failed = conn.Do("XDEL", ids...)
		err = errors.Join(err, failed)
		if _, failed = conn.Do("SET", keys[0], position); errors.Join(err, failed) != nil {
			t.Error(errors.Join(err, failed))
		}
		return append(replies, call(second)...)
	}
	sendThrough(t, s, p)
	want := fmt.Sprintf(sayServerLost, callRecords, "info", callRecords, 0)
	if lost := said(s, "Redis has lost"); len(lost) != 1 || lost[0] != want {
		t.Errorf("%q, want %q", lost, want)
	}
}

// sendThrough sends 1000 lines in one pipeline through an armed proxy, and checks that all are
// there once, in order.
func sendThrough(t *testing.T, s *redistest.Server, p *pipelineProxy) {
	t.Helper()
	o := open(t, s, by(s, p.addr))
	add(o, "line 0")
	eventually(t, "Redis has answered", o.q.empty)
	p.armed.Store(true)
	addAt(o, time.Now(), 1, 1000)
	eventually(t, "Redis has answered", o.q.empty)
	if p.armed.Load() {
		t.Error("no two calls in a pipeline")
	}
	closeAll(t, o)
	checkOurs(t, s, 1000)
	for _, text := range said(s, "") {
		if !strings.Contains(text, "Redis has lost") && !strings.Contains(text, "another writer") {
			t.Errorf("status: %q", text)
		}
	}
}
