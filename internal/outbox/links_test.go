package outbox

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
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
	o := open(t, s, by(s, addr))
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

// TestSlowAnswers has a connection end while every answer takes more than half of the time that it may
// take: batches grow again all the same, and a single record gets more time.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	s := newSender(&Outbox{opts: Options{renewEvery: time.Hour}, q: newQueue(1<<20, false, 1)})
	s.client = new(redisconn.Client)
	b := &batch{records: 10, bytes: 1000}
	s.adapt(b, true, false, 0)
	if s.most != 1 {
		t.Errorf("%d records after a connection of 10", s.most)
	}
	for range 100 {
		s.adapt(b, false, true, s.timeout(b.bytes)*3/4)
	}
	if s.most != pipelineRecords {
		t.Errorf("%d records after 100 slow answers", s.most)
	}
	b = &batch{records: 1, bytes: 64 << 10}
	before := s.timeout(b.bytes)
	for range 100 {
		s.adapt(b, true, false, 0)
	}
	if after := s.timeout(b.bytes); after <= before || after > 2*time.Minute {
		t.Errorf("%v after 100 failures, %v before", after, before)
	}
}

// as dials as a user with the given rules.
func as(t *testing.T, s *redistest.Server, rules ...any) func(*Options) {
	t.Helper()
	do(t, s.Dial(0), "ACL", append([]any{"SETUSER", "u", "on", ">pw", "resetkeys", "-@all"}, rules...)...)
	return by(s, "u:pw@"+s.Addr())
}

// TestNoPositionKeys gives the user all commands, but not the keys of the positions.
func TestNoPositionKeys(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, as(t, s, "~logs:app:*", "+@all"))
	number(o, 0, 100)
	closeAll(t, o)
	checkNumbered(t, s, 100)
	status := s.Messages(logstream.Keys("t")[logstream.Status])
	if len(status) != 1 || !strings.Contains(status[0], "wrapp acl t prints the rules") {
		t.Errorf(":status has %q", status)
	}
}

// TestProbeCut ends the connection while the sender asks whether scripts may use the position: no entry
// is refused for that.
func TestProbeCut(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	as(t, s, "~logs:app:*", "+@all")
	var cut atomic.Bool
	addr := redistest.StartFilter(t, s.Addr(), func(commands []byte) bool {
		return !bytes.Contains(commands, []byte("\r\nreturn 1\r\n")) || cut.Swap(true)
	})
	o := open(t, s, by(s, "u:pw@"+addr))
	number(o, 0, 100)
	closeAll(t, o)
	checkNumbered(t, s, 100)
	if !cut.Load() {
		t.Error("the sender has not asked")
	}
}

// TestRightsGiven gives a user the right to run scripts between two connections: the script knows no
// position then, and nothing is taken for lost.
func TestRightsGiven(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, as(t, s, "~*", "+select", "+hello", "+xadd"))
	number(o, 0, 5000)
	eventually(t, "landed", o.q.empty)
	do(t, s.Dial(0), "ACL", "SETUSER", "u", "+@all")
	do(t, s.Dial(0), "CLIENT", "KILL", "USER", "u")
	number(o, 5000, 5100)
	eventually(t, "landed", o.q.empty)
	checkNumbered(t, s, 5100)
	position, err := redis.String(s.Dial(1).Do("GET", positionKey(logstream.Keys("t")[logstream.Info], o.opts.Writer)))
	if err != nil || !strings.HasSuffix(position, " 100") {
		t.Errorf("the script's position is %q (%v)", position, err)
	}
	if got := s.Messages(logstream.Keys("t")[logstream.Status]); len(got) != 1 {
		t.Errorf(":status has %q", got)
	}
	// What came by plain XADD is not in the script's count, but it is sent again, too.
	do(t, s.Dial(0), "FLUSHALL")
	number(o, 5100, 5110)
	closeAll(t, o)
	checkNumbered(t, s, 5110)
	if got := said(s, "Redis has lost"); len(got) != 1 || !strings.Contains(got[0], "5100 are sent again and 0 are lost") {
		t.Errorf(":status has %q", got)
	}
}
