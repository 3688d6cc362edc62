package outbox

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestShortConnections sends a backlog of some 2 MB over connections that end after 100 KB, as those of
// a slow link do: batches become small enough to be answered.
func TestShortConnections(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	addr := redistest.StartProxy(t, s.Addr(), func(client, server net.Conn) {
		go func() {
			io.Copy(client, server)
			client.Close()
		}()
		io.CopyN(server, client, 100_000)
		client.Close()
		server.Close()
	})
	o := open(t, s, func(opts *Options) {
		r := s.Config().Redis
		if err := r.SetURL("redis://" + addr); err != nil {
			t.Fatal(err)
		}
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 1) }
	})
	number(o, 0, 40_000)
	closeAll(t, o)
	checkNumbered(t, s, 40_000)
}

// TestQuiet lets the position of a stream without new entries almost expire: it is renewed, and no
// entry is taken for lost.
func TestQuiet(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, func(opts *Options) { opts.renewEvery = 100 * time.Millisecond })
	o.Say(logstream.Status, "started")
	number(o, 0, 10)
	eventually(t, "landed", o.q.empty)
	c := s.Dial(1)
	for _, stream := range []logstream.Stream{logstream.Status, logstream.Info} {
		position := positionKey(logstream.Keys("t")[stream], o.opts.Writer)
		do(t, c, "EXPIRE", position, 60)
		s.Wait("the position is renewed", func() bool {
			left, err := redis.Int(c.Do("TTL", position))
			return err == nil && left > 60
		})
	}
	number(o, 10, 11)
	closeAll(t, o)
	checkNumbered(t, s, 11)
	if got := s.Messages(logstream.Keys("t")[logstream.Status]); len(got) != 1 {
		t.Errorf(":status has %q", got)
	}
}

// dialAs dials as a user with the given rules.
func dialAs(t *testing.T, s *redistest.Server, rules ...any) func(context.Context) (*redisconn.Client, error) {
	t.Helper()
	do(t, s.Dial(0), "ACL", append([]any{"SETUSER", "u", "on", ">pw", "resetkeys", "-@all"}, rules...)...)
	r := s.Config().Redis
	r.Username, r.Password = "u", "pw"
	return func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &r, 1) }
}

// TestNoPositionKeys gives the user all commands, but not the keys of the positions.
func TestNoPositionKeys(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dial := dialAs(t, s, "~logs:app:*", "+@all")
	o := open(t, s, func(opts *Options) { opts.Dial = dial })
	number(o, 0, 100)
	closeAll(t, o)
	checkNumbered(t, s, 100)
	status := s.Messages(logstream.Keys("t")[logstream.Status])
	if len(status) != 1 || !strings.Contains(status[0], "wrapp acl t prints the rules") {
		t.Errorf(":status has %q", status)
	}
}

// TestRightsGiven gives a user the right to run scripts between two connections: the script knows no
// position then, and nothing is taken for lost.
func TestRightsGiven(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dial := dialAs(t, s, "~*", "+select", "+hello", "+xadd")
	o := open(t, s, func(opts *Options) { opts.Dial = dial })
	number(o, 0, 5000)
	eventually(t, "landed", o.q.empty)
	do(t, s.Dial(0), "ACL", "SETUSER", "u", "+@all")
	do(t, s.Dial(0), "CLIENT", "KILL", "USER", "u")
	number(o, 5000, 5100)
	closeAll(t, o)
	checkNumbered(t, s, 5100)
	position, err := redis.String(s.Dial(1).Do("GET", positionKey(logstream.Keys("t")[logstream.Info], o.opts.Writer)))
	if err != nil || !strings.HasSuffix(position, " 100") {
		t.Errorf("the script's position is %q (%v)", position, err)
	}
	if got := s.Messages(logstream.Keys("t")[logstream.Status]); len(got) != 1 {
		t.Errorf(":status has %q", got)
	}
}
