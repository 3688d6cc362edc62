package redisconn

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/resp"
)

// gone checks that a connection is of no more use, and why.
func gone(t *testing.T, c *Conn, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || !errors.Is(c.Err(), want) {
		t.Errorf("%v, and the connection says %v, want %v", err, c.Err(), want)
	}
	for range 2 {
		if answer, err := c.Do("PING"); !errors.Is(err, want) {
			t.Errorf("it answers %v, %v", answer, err)
		}
	}
	if held := len(c.out); !errors.Is(c.Send("PING"), want) || len(c.out) > held {
		t.Errorf("it holds %d bytes that are never written", len(c.out))
	}
	if _, err := c.Net.Write([]byte("x")); err == nil {
		t.Error("it is open")
	}
	c.Close()
}

// TestCancel ends what waits for an answer, with and without TLS.
func TestCancel(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	secure := redistest.StartTLS(t, a, false, tomorrow, "127.0.0.1").Config().Redis
	secure.TLS = &config.TLS{CAFile: a.File}
	for name, r := range map[string]*config.Redis{"plain": &redistest.Start(t).Config().Redis, "TLS": &secure} {
		t.Run(name, func(t *testing.T) {
			r.ConnectTimeout = config.Duration(20 * time.Second)
			dial := func() *Conn {
				c, err := Dial(t.Context(), r, 1)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			c := dial()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err := c.DoContext(ctx, "BLPOP", "none", 0)
			gone(t, c, err, context.Canceled)

			c = dial()
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err = c.DoContext(ctx, "BLPOP", "none", 0)
			gone(t, c, err, context.DeadlineExceeded)

			c = dial()
			if _, err = c.DoContext(ctx, "SET", "key", 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			c.Close()
			c = dial()
			defer c.Close()
			if n, err := c.Do("EXISTS", "key"); n != int64(0) || err != nil {
				t.Errorf("what was over before it began was sent: %v, %v", n, err)
			}
			// An error reply is an answer like others.
			var reply resp.Error
			if _, err := c.Do("NONE"); !errors.As(err, &reply) || c.Err() != nil {
				t.Errorf("%v, %v", err, c.Err())
			}
			c.timeout = 50 * time.Millisecond
			_, err = c.Do("BLPOP", "none", 0)
			gone(t, c, err, os.ErrDeadlineExceeded)
		})
	}
}

// TestBareNet goes on with the connection itself.
func TestBareNet(t *testing.T) {
	t.Parallel()
	c, err := Dial(t.Context(), &redistest.Start(t).Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 100 {
		c.Send("PING")
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if answer, err := c.Receive(); answer != "PONG" || err != nil {
			t.Fatalf("%v, %v", answer, err)
		}
	}
	if err := c.Net.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Net.Write(resp.AppendCommand(nil, "ECHO", "bare")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if _, err := io.ReadFull(c.Net, b); string(b) != "$4\r\nbare\r\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// answering is a connection to a server that says a text after each command, and
// nothing more after the last.
func answering(t *testing.T, texts ...string) *Conn {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		in := bufio.NewReader(far)
		for _, text := range texts {
			if _, err := resp.Read(in); err != nil {
				return
			}
			io.WriteString(far, text)
		}
	}()
	t.Cleanup(func() { near.Close() })
	return NewConn(near, 20*time.Second)
}

// TestOutOfStep has servers that say what they should not.
func TestOutOfStep(t *testing.T) {
	t.Parallel()
	c := answering(t, "+OK\r\n", "+OK\r\n+more\r\n")
	if answer, err := c.Do("PING"); answer != "OK" || err != nil {
		t.Errorf("%v, %v", answer, err)
	}
	_, err := c.Do("PING")
	gone(t, c, err, errOutOfStep)

	c = answering(t, "+OK\r\n")
	c.Send("PING")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Do("PING")
	gone(t, c, err, errOutOfStep)

	for text, want := range map[string]error{"": io.EOF, "$5\r\nab": io.ErrUnexpectedEOF, "*2\r\n:1\r\n": io.EOF} {
		c := answering(t, text)
		_, err := c.Do("PING")
		gone(t, c, err, want)
	}

	c = answering(t, "$-7\r\n+OK\r\n")
	_, err = c.Do("PING")
	gone(t, c, err, err)
	if !strings.Contains(err.Error(), `"$-7" is no part of its protocol`) {
		t.Error(err)
	}
}

func TestFinal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{io.EOF, ""},
		{resp.Error("LOADING Redis is loading"), ""},
		{resp.Error("NOPERM no"), "NOPERM no"},
	} {
		if got := Final(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestLearn has answers to CLUSTER SLOTS that are none.
func TestLearn(t *testing.T) {
	t.Parallel()
	node := []any{[]byte("10.0.0.1"), int64(7000)}
	for _, slots := range [][]any{
		nil,
		{int64(1)},
		{[]any{int64(0), int64(1)}},
		{[]any{int64(0), int64(1), []byte("node")}},
		{[]any{int64(0), int64(1), []any{}}},
		{[]any{int64(0), int64(1), []any{[]byte("10.0.0.1"), []byte("x")}}},
		{[]any{int64(-1), int64(1), node}},
		{[]any{int64(2), int64(1), node}},
		{[]any{int64(0), int64(slotCount), node}},
		{[]any{nil, int64(1), node}},
		make([]any, slotCount+1),
	} {
		c := &cluster{addrs: []string{""}}
		if err := c.learn(slots, "10.0.0.9:7000"); err == nil {
			t.Errorf("%.100v: %v", slots, c.addrs)
		}
	}
	c := &cluster{addrs: []string{""}}
	err := c.learn([]any{
		[]any{int64(0), int64(9), node, node},
		[]any{int64(10), int64(10), []any{nil, int64(7001), []byte("id"), []any{}}},
		[]any{int64(11), int64(11), []any{[]byte("?"), []byte("7002")}},
	}, "10.0.0.9:7000")
	for slot, want := range map[int]string{0: "10.0.0.1:7000", 9: "10.0.0.1:7000", 10: "10.0.0.9:7001", 11: "10.0.0.9:7002", 12: ""} {
		if got := c.owner(slot); got != want || err != nil {
			t.Errorf("%d: %q, %v, want %q", slot, got, err, want)
		}
	}
}
