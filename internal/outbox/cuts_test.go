package outbox

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestConnectionCuts cuts the connection in the middle of replies, for a stream that keeps
// everything and for one that is trimmed to less than a pipeline.
func TestConnectionCuts(t *testing.T) {
	t.Parallel()
	for _, maxEntries := range []int{1_000_000, 1000} {
		t.Run(fmt.Sprint(maxEntries), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			proxy := redistest.StartCutter(t, s.Addr())
			o := open(t, s, func(opts *Options) {
				opts.MaxEntries = maxEntries
				by(s, proxy.Addr)(opts)
			})
			const n = 200_000
			for i := range 20 {
				proxy.After(50 + 7*i) // a call of the script answers some 30 bytes
				number(o, i*n/20, (i+1)*n/20)
			}
			closeAll(t, o)
			if proxy.Cuts() < 5 {
				t.Errorf("only %d cuts", proxy.Cuts())
			}
			if got := entriesAdded(t, s, logstream.Keys("t")[logstream.Info]); got != n {
				t.Errorf("%d entries were added, want %d", got, n)
			}
			if maxEntries == 1_000_000 {
				checkNumbered(t, s, n)
			}
		})
	}
}

// entriesAdded returns how many entries a stream ever got, trimmed ones included.
func entriesAdded(t *testing.T, s *redistest.Server, key string) int {
	t.Helper()
	info, err := redis.Values(s.Dial(1).Do("XINFO", "STREAM", key))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(info); i += 2 {
		if name, _ := redis.String(info[i], nil); name == "entries-added" {
			added, _ := redis.Int(info[i+1], nil)
			return added
		}
	}
	t.Skip("this Redis does not count the entries that were added (before 7)")
	return 0
}

// TestOlderRights cuts connections of a user with the rights that the older wrapp needed:
// every line comes, some perhaps twice, and one warning says so.
func TestOlderRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	do(t, s.Dial(0), "ACL", "SETUSER", "older", "on", ">pw", "~logs:app:*", "-@all", "+select", "+ping", "+hello", "+client", "+xadd")
	proxy := redistest.StartCutter(t, s.Addr())
	var stderr strings.Builder // closeAll ends what writes to it
	o := open(t, s, func(opts *Options) {
		opts.Log = eventlog.New(&stderr, "wrapp", false)
		by(s, "older:pw@"+proxy.Addr)(opts)
	})
	const n = 50_000
	for i := range 10 {
		proxy.After(20_000 + 777*i)
		number(o, i*n/10, (i+1)*n/10)
		eventually(t, "the connection is cut", func() bool { return proxy.Cuts() == i+1 })
	}
	closeAll(t, o)
	checkEach(t, s, n)
	// The entry of :status may come twice, like any other.
	if got := said(s, "wrapp acl t prints the rules"); len(got) == 0 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
	if n := strings.Count(stderr.String(), "wrapp acl t prints the rules"); n != 1 {
		t.Errorf("%d warnings: %s", n, &stderr)
	}
}

// checkEach fails unless each of the lines 0 to n-1 came, once or more often.
func checkEach(t *testing.T, s *redistest.Server, n int) {
	t.Helper()
	there := make(map[string]bool)
	for _, m := range s.Messages(logstream.Keys("t")[logstream.Info]) {
		there[m] = true
	}
	for i := range n {
		if line := fmt.Sprintf("line %d", i); !there[line] {
			t.Fatalf("%q did not come", line)
		}
	}
	if len(there) != n {
		t.Errorf("%d different lines, want %d", len(there), n)
	}
}

// TestNoPositionRight has a user who may run scripts but not SET the position: the script
// adds nothing, and plain commands add every line.
func TestNoPositionRight(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"set", "get"} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			do(t, s.Dial(0), "ACL", "SETUSER", "u", "on", ">pw", "~*", "-@all", "+select", "+hello", "+xadd", "+eval", "+evalsha", "+set", "+get", "-"+missing)
			var dials atomic.Int32
			o := open(t, s, func(opts *Options) {
				by(s, "u:pw@"+s.Addr())(opts)
				dial := opts.Dial
				opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
					dials.Add(1)
					return dial(ctx)
				}
			})
			number(o, 0, 5000)
			closeAll(t, o)
			checkEach(t, s, 5000)
			if dials.Load() == 1 { // a connection that a busy machine loses repeats some lines
				checkNumbered(t, s, 5000)
			}
			if got := said(s, "wrapp acl t prints the rules"); len(got) != 1 {
				t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
			}
		})
	}
}
