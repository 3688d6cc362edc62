package values

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// startOlder starts a server whose default user has the rights that the older wrapp needed, and
// the further rules. The connection to database 2 may do all.
func startOlder(t *testing.T, rules ...string) (*redistest.Server, redis.Conn) {
	t.Helper()
	s := redistest.Start(t)
	c := s.Dial(2)
	all := append([]string{"resetkeys", "~wrapp:a:*", "~{wrapp:a}*", "-@all", "+select", "+ping", "+hello", "+client", "+incr", "+set"}, rules...)
	for _, command := range []redis.Args{
		{"ACL", "SETUSER", "check", "on", "nopass", "~*", "+@all"},
		{"AUTH", "check", ""},
		redis.Args{"ACL", "SETUSER", "default"}.AddFlat(all),
	} {
		if _, err := c.Do(command[0].(string), command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	return s, c
}

// mostSingles is the most INCR that one attempt may send.
const mostSingles = mostBytes / overhead

// number returns the number that the key holds, 0 without the key.
func number(t *testing.T, c redis.Conn, key string) int64 {
	t.Helper()
	n, err := redis.Int64(c.Do("GET", "wrapp:a:"+key))
	if err != nil && err != redis.ErrNil {
		t.Fatal(err)
	}
	return n
}

// TestSingles writes, attempt by attempt, counts that the user may only add one by one: an attempt
// sends a bounded number of them, in order with the other changes, and the batch keeps the rest.
func TestSingles(t *testing.T) {
	t.Parallel()
	s, c := startOlder(t)
	const counts, more, start = 3 * mostSingles, mostSingles / 2, 40
	w := newWriter(s, "w")
	defer w.hangUp()
	w.begin([]change{{name: "n", set: fmt.Sprint(start), add: counts}, {name: "m", add: more}, {name: "last", set: "1"}})
	calls := func() (n int) {
		text, err := redis.String(c.Do("INFO", "commandstats"))
		if err != nil {
			t.Fatal(err)
		}
		if _, text, ok := strings.Cut(text, "cmdstat_incr:calls="); ok {
			text, _, _ = strings.Cut(text, ",")
			if n, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for before, attempts := 0, 1; len(w.batch) > 0; attempts++ {
		if err := w.write(); err != nil || attempts > 100 {
			t.Fatalf("attempt %d: %v", attempts, err)
		}
		now := calls()
		if now-before > mostSingles {
			t.Fatalf("attempt %d sent %d INCR, more than %d", attempts, now-before, mostSingles)
		}
		before = now
		waiting := make(map[string]int64)
		for _, c := range w.batch {
			if waiting[c.name] = c.add; attempts > 1 && c.add > 0 && !c.single {
				t.Errorf("attempt %d: %s is to be tried with INCRBY again", attempts, c.name)
			}
		}
		n, m := number(t, c, "n"), number(t, c, "m")
		if n+waiting["n"] != start+counts || m+waiting["m"] != more {
			t.Errorf("attempt %d: n is %d, m is %d; the batch has %v", attempts, n, m, waiting)
		}
		if attempts > 1 && (n < start+counts && m > 0) {
			t.Errorf("attempt %d: m came before the rest of n", attempts)
		}
	}
	if n := calls(); n != counts+more {
		t.Errorf("%d INCR for %d counts", n, counts+more)
	}
	if last := number(t, c, "last"); last != 1 || len(w.rest) > 0 {
		t.Errorf("last is %d, the rest %v", last, w.rest)
	}
}

// TestSinglesRepeated cuts the connection amid the answers: no more counts than one attempt sends
// come twice.
func TestSinglesRepeated(t *testing.T) {
	t.Parallel()
	s, c := startOlder(t)
	proxy := redistest.StartCutter(t, s.Addr())
	w := newWriter(s, "w")
	w.opts.Dial = dial(s, proxy.Addr)
	defer w.hangUp()
	const counts = 3 * mostSingles
	w.begin([]change{{name: "n", add: counts, single: true}})
	for attempts := 0; len(w.batch) > 0; attempts++ {
		if attempts == 1 {
			proxy.After(100)
		}
		if err := w.write(); (err != nil) != (attempts == 1) || attempts > 100 {
			t.Fatalf("attempt %d: %v", attempts, err)
		}
	}
	if n := number(t, c, "n"); n <= counts || n > counts+mostSingles || proxy.Cuts() != 1 {
		t.Errorf("%d after %d cuts, counted %d", n, proxy.Cuts(), counts)
	}
}

// TestRefusedForNow has Redis refuse commands for lack of memory: the batch keeps each key once,
// and nothing is lost or comes twice.
func TestRefusedForNow(t *testing.T) {
	t.Parallel()
	s, c := startOlder(t)
	w := newWriter(s, "w")
	defer w.hangUp()
	const counts, start = 2 * mostSingles, 40
	w.begin([]change{{name: "n", set: fmt.Sprint(start), add: counts, single: true}, {name: "m", add: 1}})
	for _, memory := range []string{"1", "0"} {
		if _, err := c.Do("CONFIG", "SET", "maxmemory", memory); err != nil {
			t.Fatal(err)
		}
		for attempts := 0; len(w.batch) > 0 && attempts < 10; attempts++ {
			if err := w.write(); (err != nil) != (memory == "1") {
				t.Fatal(err)
			}
			if keys := len(w.batch) + len(w.rest); memory == "1" && keys != 2 || keys > 2 {
				t.Fatalf("%d changes of 2 keys wait", keys)
			}
		}
	}
	if n, m := number(t, c, "n"), number(t, c, "m"); n != start+counts || m != 1 {
		t.Errorf("n is %d, want %d; m is %d, want 1", n, start+counts, m)
	}
}

// TestPatience closes Values that would need a thousand attempts.
func TestPatience(t *testing.T) {
	t.Parallel()
	s, c := startOlder(t)
	v, _ := open(s, "")
	const counts = 1000 * mostSingles
	v.mu.Lock()
	v.waitingChange([]byte("n")).add = counts
	v.mu.Unlock()
	eventually(t, "the first attempts", func() bool { return number(t, c, "n") > 0 })
	say(v, "n", "m")
	if n, err := v.Close(0); n != 2 || err == nil {
		t.Errorf("%d keys unwritten, %v", n, err)
	}
	if n := number(t, c, "n"); n >= counts {
		t.Errorf("all %d counts were written", n)
	}
}

// TestBatchBytes takes batches of short and of the longest changes.
func TestBatchBytes(t *testing.T) {
	t.Parallel()
	const longest = overhead + len("a") + longestKey + longestValue
	for _, tt := range []struct{ key, value, keys, batch int }{
		{10, 0, mostInBatch - 1, mostInBatch - 1},
		{10, 0, mostInBatch + 1, mostInBatch},
		{longestKey, longestValue, mostInBatch, (mostBytes + longest - 1) / longest},
	} {
		v := &Values{
			w:       writer{opts: Options{Name: "a", MaxKeys: mostKeys}},
			waiting: make(map[string]*change), keys: make(map[string]struct{}), news: make(chan struct{}, 1),
		}
		for i := range tt.keys {
			v.Set(fmt.Appendf(nil, "%0*d", tt.key, i), []byte(strings.Repeat("1", tt.value)))
		}
		batch, _ := v.nextBatch()
		if len(batch) != tt.batch || len(v.order) != tt.keys-tt.batch || len(v.waiting) != len(v.order) {
			t.Errorf("%+v: %d changes, %d and %d wait", tt, len(batch), len(v.order), len(v.waiting))
		}
	}
}
