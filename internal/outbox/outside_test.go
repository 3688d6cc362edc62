package outbox

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// These tests change the streams from outside while numbered lines flow.

// runs returns the numbers of the lines as ranges without a gap, and fails unless the
// numbers rise.
func runs(t *testing.T, lines []string) (runs [][2]int) {
	t.Helper()
	next := 0
	for _, m := range lines {
		var i int
		if _, err := fmt.Sscanf(m, "line %d", &i); err != nil {
			t.Fatalf("%q: %v", m, err)
		}
		if i < next {
			t.Fatalf("line %d comes behind line %d", i, next-1)
		}
		if len(runs) == 0 || i > next {
			runs = append(runs, [2]int{i, i})
		}
		next = i + 1
		runs[len(runs)-1][1] = next
	}
	return runs
}

func do(t *testing.T, c redis.Conn, command string, args ...any) {
	t.Helper()
	if _, err := c.Do(command, args...); err != nil {
		t.Fatal(err)
	}
}

// TestForeignAllTheTime adds entries of another writer all the time, with IDs at and ahead of
// the server's clock, and cuts connections: our lines come once, in order.
func TestForeignAllTheTime(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	key := logstream.Keys("t")[logstream.Info]
	o := openSpooled(t, s, filepath.Join(t.TempDir(), "spool"), 64<<20, nil)
	stop := steadily(o)
	acknowledged(t, o, 100)
	c := s.Dial(1)
	const foreign = 600
	for i := range foreign {
		id := any("*")
		if i%100 == 50 {
			id = entry.ID{Ms: lastID(t, s, key).Ms + 60_000}
		}
		do(t, c, "XADD", key, id, "message", "foreign")
		if i%150 == 149 {
			do(t, c, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			acknowledged(t, o, 100)
		}
	}
	acknowledged(t, o, 100)
	n := stop()
	closeAll(t, o)
	var ours []string
	for _, m := range s.Messages(key) {
		if m != "foreign" {
			ours = append(ours, m)
		}
	}
	if there := len(s.Messages(key)) - len(ours); there != foreign {
		t.Errorf("%d entries of the other writer, want %d", there, foreign)
	}
	if got := runs(t, ours); fmt.Sprint(got) != fmt.Sprintf("[[0 %d]]", n) {
		t.Errorf("lines %v, want 0 to %d", got, n)
	}
	if got := said(s, key+" has entries of another writer"); len(got) != 1 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestSameSaid adds another writer's entry with our next message and ID.
func TestSameSaid(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	key := logstream.Keys("t")[logstream.Info]
	o := open(t, s, nil)
	add(o, "line 0")
	eventually(t, "Redis has answered", o.q.empty)
	at := time.Now().Add(time.Minute)
	do(t, s.Dial(1), "XADD", key, entry.ID{Ms: milliseconds(at)}, "message", "line 1")
	o.Add(at, logstream.Info, 0, []byte("line 1"))
	o.Send()
	closeAll(t, o)
	if got := fmt.Sprint(s.Messages(key)); got != "[line 0 line 1 line 1]" {
		t.Error(got)
	}
}

// TestNoIDsLeft uses up the IDs of a stream: it takes no more entries, which is reported,
// and the other streams go on.
func TestNoIDsLeft(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	keys := logstream.Keys("t")
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	add(o, "line 0")
	eventually(t, "Redis has answered", o.q.empty)
	do(t, s.Dial(1), "XADD", keys[logstream.Info], entry.ID{Ms: 1<<64 - 1, Seq: 1<<64 - 1}, "message", "foreign")
	number(o, 1, 1000)
	o.Say(logstream.Status, "still here")
	closeAll(t, o)
	if got := fmt.Sprint(s.Messages(keys[logstream.Info])); got != "[line 0 foreign]" {
		t.Error(got)
	}
	if st := o.Stats(); st.Refused != 999 || st.Aside != 999 {
		t.Errorf("%d refused, %d set aside", st.Refused, st.Aside)
	}
	if len(said(s, "still here")) != 1 || len(s.Messages(keys[logstream.Error])) != 1 || len(said(s, "999 entries of :info were refused")) != 1 {
		t.Errorf("status: %q, error: %q", s.Messages(keys[logstream.Status]), s.Messages(keys[logstream.Error]))
	}
}

// lastID returns the last ID that a stream ever had.
func lastID(t *testing.T, s *redistest.Server, key string) entry.ID {
	t.Helper()
	info, err := redis.Values(s.Dial(1).Do("XINFO", "STREAM", key))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(info); i += 2 {
		if name, _ := redis.String(info[i], nil); name == "last-generated-id" {
			text, _ := redis.String(info[i+1], nil)
			id, err := entry.ParseID(text)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	t.Fatal("XINFO STREAM has no last-generated-id")
	return entry.ID{}
}

// TestRemovedFromOutside removes entries, in every possible way, while lines flow, with and
// without a lost connection: later lines come once. Deleting or trimming a stream is no loss
// by Redis, so nothing is sent again. Flushing the database also removes the position, so the
// retained lines come again, counted.
func TestRemovedFromOutside(t *testing.T) {
	t.Parallel()
	key := logstream.Keys("t")[logstream.Info]
	for command, all := range map[string]bool{
		"DEL " + key: false, "XTRIM " + key + " MAXLEN 0": false, "XTRIM " + key + " MAXLEN 10": false,
		"RENAME " + key + " elsewhere": false, "FLUSHDB": true, "FLUSHALL": true,
	} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cut %v", command, cut), func(t *testing.T) {
				t.Parallel()
				s := redistest.Start(t)
				o := open(t, s, nil)
				// No more than is retained, however late the command is.
				var most atomic.Int64
				most.Store(5000)
				stop := steadilyTo(o, func() int { return int(most.Load()) })
				acknowledged(t, o, 500)
				words := strings.Fields(command)
				var args []any
				for _, w := range words[1:] {
					args = append(args, w)
				}
				c := s.Dial(1)
				do(t, c, "MULTI")
				do(t, c, words[0], args...)
				if cut {
					do(t, c, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
				}
				do(t, c, "EXEC")
				most.Add(5000)
				acknowledged(t, o, 500)
				n := stop()
				closeAll(t, o)
				got := runs(t, s.Messages(key))
				if got[len(got)-1][1] != n || len(got) != 1 {
					t.Errorf("lines %v, want one run that ends at %d", got, n)
				}
				if !all && got[0][0] == 0 {
					t.Error("nothing was removed")
				}
				told := said(s, "Redis has lost")
				if !all {
					if len(told) != 0 {
						t.Errorf("status: %q", told)
					}
					return
				}
				// All of it is retained.
				if again, lost := toldLost(s); got[0][0] != 0 || again == 0 || lost != 0 {
					t.Errorf("lines from %d on; status: %q", got[0][0], told)
				}
			})
		}
	}
}

// TestClockGoesBackBetweenRuns sets the clock back by an hour between two runs, with and
// without entries in the spool.
func TestClockGoesBackBetweenRuns(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		t.Run(fmt.Sprintf("away %v", away), func(t *testing.T) {
			t.Parallel()
			s := redistest.Prepare(t)
			if !away {
				s.Up()
			}
			dir := filepath.Join(t.TempDir(), "spool")
			clock := time.Now().Add(time.Hour)
			numberAt := func(o *Outbox, from, to int) {
				for i := from; i < to; i++ {
					o.Add(clock.Add(time.Duration(i)*time.Millisecond), logstream.Info, 0, fmt.Appendf(nil, "line %d", i))
					o.Send()
				}
			}
			o := openSpooled(t, s, dir, 64<<20, nil)
			numberAt(o, 0, 2000)
			if away {
				o.Close(time.Hour)
				s.Up()
			} else {
				closeAll(t, o)
			}
			clock = clock.Add(-time.Hour)
			o = openSpooled(t, s, dir, 64<<20, nil)
			numberAt(o, 2000, 4000)
			closeAll(t, o)
			checkNumbered(t, s, 4000)
			told := append(said(s, "of another writer or clock"), said(s, "the clock went back by 59m5")...)
			if len(told) == 0 {
				t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
			}
		})
	}
}

// TestLaggingReplica stops a replica while its master takes far more than is retained, kills
// the master and promotes the replica: the retained lines come again, and the gap is
// reported.
func TestLaggingReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.StartReplica(t, master)
	key := logstream.Keys("t")[logstream.Info]
	var address atomic.Pointer[redistest.Server] // a connection may be lost at any time
	address.Store(master)
	o := openSpooled(t, master, filepath.Join(t.TempDir(), "spool"), 64<<20, func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			return redisconn.Dial(ctx, &address.Load().Config().Redis, 1)
		}
	})
	number(o, 0, 1000)
	replica.Wait("replication", func() bool { return len(replica.Messages(key)) == 1000 })
	replica.Pause()
	const n = 80_000
	number(o, 1000, n)
	eventually(t, "the master has it all", o.q.empty)
	address.Store(replica)
	master.Down()
	replica.Resume()
	if _, err := replica.Dial(0).Do("REPLICAOF", "NO", "ONE"); err != nil {
		t.Fatal(err)
	}
	number(o, n, n+1000)
	closeAll(t, o)
	got := runs(t, replica.Messages(key))
	if len(got) != 2 || got[0][0] != 0 || got[0][1] < 1000 || got[1][1] != n+1000 {
		t.Fatalf("lines %v, want a first part and a last one", got)
	}
	gap := got[1][0] - got[0][1]
	if again, lost := toldLost(replica); again != n-got[1][0] || lost != gap {
		t.Errorf("%d lines are lost; status: %q", gap, replica.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestReplicaCatchesUp connects to a replica before that is promoted, and before it has got
// all: what it lacks then is not lost.
func TestReplicaCatchesUp(t *testing.T) {
	t.Parallel()
	master, empty := redistest.Start(t), redistest.Start(t)
	whole, replica := redistest.StartReplica(t, master), redistest.StartReplica(t, empty)
	key := logstream.Keys("t")[logstream.Info]
	var address atomic.Pointer[redistest.Server]
	address.Store(master)
	o := open(t, master, func(opts *Options) {
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			return redisconn.Dial(ctx, &address.Load().Config().Redis, 1)
		}
	})
	const n = 5000
	number(o, 0, n)
	whole.Wait("replication", func() bool { return len(whole.Messages(key)) == n })
	address.Store(replica)
	master.Down()
	number(o, n, n+100)
	calls := regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+)`)
	replica.Wait("the replica is asked twice", func() bool {
		asked := 0
		for _, m := range calls.FindAllStringSubmatch(replica.Info("commandstats"), -1) {
			n, _ := strconv.Atoi(m[1])
			asked += n
		}
		return asked >= 2
	})
	become := func(s *redistest.Server, args ...any) {
		if _, err := s.Dial(0).Do("REPLICAOF", args...); err != nil {
			t.Fatal(err)
		}
	}
	become(whole, "NO", "ONE") // a replica without a master has no replicas
	become(replica, "127.0.0.1", whole.Port)
	replica.Wait("a link to what has all", func() bool {
		state := replica.Info("replication")
		return strings.Contains(state, fmt.Sprintf("master_port:%d", whole.Port)) && strings.Contains(state, "master_link_status:up")
	})
	replica.Wait("the rest", func() bool { return len(replica.Messages(key)) == n })
	become(replica, "NO", "ONE")
	closeAll(t, o)
	checkNumbered(t, replica, n+100)
	if told := said(replica, "Redis has lost"); len(told) > 0 {
		t.Errorf("status: %q", told)
	}
}

// TestServerLosesStreams restarts a server that has saved nothing of two streams: the report of
// each counts all that is sent again.
func TestServerLosesStreams(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	number(o, 0, 1000)
	o.Say(logstream.Status, "in the middle")
	number(o, 1000, 2000)
	eventually(t, "all has landed", o.q.empty)
	s.Down()
	o.Say(logstream.Status, "the first to find the loss")
	number(o, 2000, 2100)
	s.Up()
	closeAll(t, o)
	checkNumbered(t, s, 2100)
	if again, lost := toldLost(s); again != 2000 || lost != 0 {
		t.Errorf("status: %q", said(s, ""))
	}
}

// toldLost returns the numbers in the only :status report of entries that Redis has lost.
func toldLost(s *redistest.Server) (again, lost int) {
	told := slices.DeleteFunc(said(s, "Redis has lost"), func(text string) bool { return !strings.Contains(text, "entries of :info") })
	if len(told) != 1 {
		return -1, -1
	}
	var all int
	n, _ := fmt.Sscanf(told[0], "Redis has lost %d entries of :info that it had taken: %d are sent again and %d are lost", &all, &again, &lost)
	if n != 3 || all != again+lost {
		return -1, -1
	}
	return again, lost
}

// TestServerLosesData restarts a server that has saved nothing: the retained lines come
// again, and the loss is reported.
func TestServerLosesData(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	key := logstream.Keys("t")[logstream.Info]
	number(o, 0, 5000)
	eventually(t, "all is there", func() bool { return len(s.Messages(key)) == 5000 })
	eventually(t, "and answered", o.q.empty)
	ids := fmt.Sprint(s.Stream(key)[4990:])
	s.Down()
	s.Up()
	number(o, 5000, 6000)
	closeAll(t, o)
	checkNumbered(t, s, 6000)
	if got := fmt.Sprint(s.Stream(key)[4990:5000]); got != ids {
		t.Errorf("the IDs are %s, were %s", got, ids)
	}
	if again, lost := toldLost(s); again != 5000 || lost != 0 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestServerLosesMore is TestServerLosesData with more lines than are retained.
func TestServerLosesMore(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	const n = 60_000
	number(o, 0, n)
	eventually(t, "Redis has acknowledged everything", o.q.empty)
	s.Down()
	s.Up()
	number(o, n, n+1000)
	closeAll(t, o)
	got := s.Messages(logstream.Keys("t")[logstream.Info])
	gone := n + 1000 - len(got)
	for i, m := range got {
		if want := fmt.Sprintf("line %d", gone+i); m != want {
			t.Fatalf("%q, want %q", m, want)
		}
	}
	if again, lost := toldLost(s); again != n-gone || lost != gone || gone == 0 {
		t.Errorf("%d are gone of %d; status: %q", gone, n, s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestClockGoesBack adds entries of an hour ago behind entries of now.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	at := time.Now()
	for i := range 3000 {
		if i == 1000 {
			at = at.Add(-time.Hour)
		}
		o.Add(at.Add(time.Duration(i)*time.Millisecond), logstream.Info, 0, fmt.Appendf(nil, "line %d", i))
		o.Send()
	}
	closeAll(t, o)
	checkNumbered(t, s, 3000)
	if got := said(s, "the clock went back by 59m59."); len(got) != 1 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}
