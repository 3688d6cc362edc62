package values

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// open returns Values of the app "a" in database 2, and what they refuse.
func open(s *redistest.Server, wrap func(*redisconn.Conn) *redisconn.Conn) (*Values, func() []string) {
	var mu sync.Mutex
	var refused []string
	v := New(Options{
		Name: "a",
		Dial: func(ctx context.Context) (*redisconn.Conn, error) {
			c, err := redisconn.Dial(ctx, &s.Config().Redis, 2)
			if err == nil && wrap != nil {
				c = wrap(c)
			}
			return c, err
		},
		Refused: func(reason string) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, reason)
		},
	})
	return v, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(refused)
	}
}

// say does what the markers "key" and "key:value" say.
func say(v *Values, markers ...string) {
	for _, m := range markers {
		if key, value, ok := strings.Cut(m, ":"); ok {
			v.Set([]byte(key), []byte(value))
		} else {
			v.Count([]byte(m))
		}
	}
}

func closed(t *testing.T, v *Values) {
	t.Helper()
	if n, err := v.Close(10 * time.Second); n > 0 || err != nil {
		t.Errorf("%d keys unwritten: %v", n, err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	const large = "9223372036854775807"
	for i, test := range []struct{ before, markers, want string }{
		{"", "k", "1"},
		{"", "k k k", "3"},
		{"41", "k", "42"},
		{"-1", "k", "0"},
		{"5", "k:42", "42"},
		{"5", "k:42 k k", "44"},
		{"5", "k k k:42", "42"},
		{"5", "k k:7 k:8 k", "9"},
		{"", "k:-3 k", "-2"},
		{"", "k:007", "007"},
		{"", "k:1.50", "1.50"},
		{"", "k:1.50 k", "2.5"},
		{"1.25", "k k", "3.25"},
		{"", "k:-0.5 k k", "1.5"},
		{"", "k:" + large, large},
		{"", "k:99999999999999999999", "99999999999999999999"},
	} {
		key := fmt.Sprintf("wrapp:a:k%d", i)
		if test.before != "" {
			if _, err := c.Do("SET", key, test.before); err != nil {
				t.Fatal(err)
			}
		}
		v, refused := open(s, nil)
		say(v, strings.Fields(strings.ReplaceAll(test.markers, "k", fmt.Sprint("k", i)))...)
		closed(t, v)
		if got, err := redis.String(c.Do("GET", key)); err != nil || got != test.want || len(refused()) > 0 {
			t.Errorf("%q, then %q: %q, %v, %q", test.before, test.markers, got, err, refused())
		}
	}
}

// TestWrittenInTime waits for what was said while the app goes on.
func TestWrittenInTime(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	v, _ := open(s, nil)
	c := s.Dial(2)
	for i := range 3 {
		say(v, "n")
		for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if n, _ := redis.Int(c.Do("GET", "wrapp:a:n")); n == i+1 {
				break
			}
			if time.Now().After(until) {
				t.Fatal("not written")
			}
		}
	}
	closed(t, v)
}

// TestRefused has a key that is no number, and one that is no string.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	c.Do("SET", "wrapp:a:text", "abc")
	c.Do("RPUSH", "wrapp:a:list", "abc")
	v, refused := open(s, nil)
	for range 3 {
		say(v, "text", "list", "fine")
		time.Sleep(2 * gather)
	}
	closed(t, v)
	got := refused()
	slices.Sort(got)
	if len(got) != 2 || !strings.Contains(got[0], "wrapp:a:list: WRONGTYPE") || !strings.Contains(got[1], "wrapp:a:text: ERR value is not a valid float") {
		t.Errorf("%q", got)
	}
	if n, err := redis.Int(c.Do("GET", "wrapp:a:fine")); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A leaky connection is lost in the middle of things, now and then.
type leaky struct {
	net.Conn
	next func() bool // whether to lose it before this read or write
}

var errLeak = errors.New("lost on purpose")

func (l *leaky) Read(b []byte) (int, error) {
	if l.next() {
		l.Close()
		return 0, errLeak
	}
	return l.Conn.Read(b[:min(len(b), 100)])
}

// TestOnceEach loses connections at every place, and the server, and counts.
func TestOnceEach(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := s.Dial(2)
	step, lost := 0, 0
	v, refused := open(s, func(conn *redisconn.Conn) *redisconn.Conn {
		l := &leaky{conn.Net, func() bool {
			if step++; step%7 == 0 && lost < 60 {
				lost++
				return true
			}
			return false
		}}
		return redisconn.NewConn(l, time.Second)
	})
	const n = 4000
	for i := range n {
		say(v, "n", fmt.Sprint("key", i%40), fmt.Sprint("last:", i))
		if i%40 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if i == n/2 {
			c.Close()
			s.Down()
			s.Up()
		}
	}
	closed(t, v)
	c = s.Dial(2)
	for key, want := range map[string]int{"n": n, "last": n - 1, "key0": n / 40, "key39": n / 40} {
		if got, err := redis.Int(c.Do("GET", "wrapp:a:"+key)); got != want {
			t.Errorf("%s: %d, %v, want %d", key, got, err, want)
		}
	}
	if lost < 8 || len(refused()) > 0 {
		t.Errorf("%d connections lost, refused %q", lost, refused())
	}
}

// TestOldConnection has a transaction of a connection that was given up arrive
// when it was sent again already.
func TestOldConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dial := func(context.Context) (*redisconn.Conn, error) {
		return redisconn.Dial(context.Background(), &s.Config().Redis, 2)
	}
	w := writer{opts: Options{Name: "a", Dial: dial}}
	w.begin([]named{{"n", change{add: 1}}})
	old, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := old.Do("WATCH", "wrapp-token:a"); err != nil {
		t.Fatal(err)
	}
	token := w.token
	if err := w.write(); err != nil {
		t.Fatal(err)
	}
	old.Do("MULTI")
	old.Do("INCRBY", "wrapp:a:n", 1)
	old.Do("SET", "wrapp-token:a", token)
	if answer, err := old.Do("EXEC"); answer != nil || err != nil {
		t.Errorf("the old transaction was carried out: %v, %v", answer, err)
	}
	// Sent again although it has landed, it is not carried out either.
	w.batch, w.token = []named{{"n", change{add: 1}}}, token
	if err := w.write(); err != nil || len(w.batch) > 0 {
		t.Error(err)
	}
	w.hangUp()
	if n, err := redis.Int(s.Dial(2).Do("GET", "wrapp:a:n")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestTwoWriters loses the answer to a transaction, and has other writers of the same
// name write before it is looked for.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	hears := 1 // the answers to WATCH and GET
	dial := func(context.Context) (*redisconn.Conn, error) {
		conn, err := redisconn.Dial(context.Background(), &s.Config().Redis, 2)
		if err != nil || hears == 0 {
			return conn, err
		}
		d := &deaf{conn.Net, hears}
		hears = 0
		return redisconn.NewConn(d, time.Second), nil
	}
	one := func() []named { return []named{{"n", change{add: 1}}} }
	w := writer{opts: Options{Name: "a", Dial: dial}}
	defer w.hangUp()
	w.begin(one())
	if err := w.write(); !errors.Is(err, errLeak) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	for range mostTokens - 1 {
		other := writer{opts: w.opts}
		for range 3 {
			other.begin(one())
			if err := other.write(); err != nil {
				t.Fatal(err)
			}
		}
		other.hangUp()
	}
	for range 3 { // again, and two more
		if err := w.write(); err != nil || len(w.batch) > 0 {
			t.Fatal(err)
		}
		w.begin(one())
	}
	c := s.Dial(2)
	if n, err := redis.Int(c.Do("GET", "wrapp:a:n")); n != 3*mostTokens || err != nil {
		t.Errorf("%d, %v, want %d", n, err, 3*mostTokens)
	}
	tokens, err := redis.String(c.Do("GET", "wrapp-token:a"))
	if n := len(strings.Fields(tokens)); n != mostTokens || err != nil {
		t.Errorf("%d tokens, %v", n, err)
	}
}

// A deaf connection hears a number of answers, and is lost with the next.
type deaf struct {
	net.Conn
	hears int
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.hears--; d.hears < 0 && err == nil {
		d.Close()
		return 0, errLeak
	}
	return n, err
}

// TestDecimalAnswerLost loses the answer to a transaction in which Redis could
// not increment a decimal number as a whole one.
func TestDecimalAnswerLost(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	c.Do("SET", "wrapp:a:decimal", "1.5")
	c.Do("RPUSH", "wrapp:a:list", "1")
	hears := 1 // the answers to WATCH and GET
	var refused []string
	w := writer{refused: make(map[string]bool), opts: Options{
		Name: "a",
		Dial: func(ctx context.Context) (*redisconn.Conn, error) {
			conn, err := redisconn.Dial(ctx, &s.Config().Redis, 2)
			if err != nil || hears == 0 {
				return conn, err
			}
			d := &deaf{conn.Net, hears}
			hears = 0
			return redisconn.NewConn(d, time.Second), nil
		},
		Refused: func(reason string) { refused = append(refused, reason) },
	}}
	defer w.hangUp()
	w.begin([]named{{"whole", change{add: 2}}, {"decimal", change{add: 2}}, {"list", change{add: 2}}, {"set", change{set: "7", add: 2}}, {"fresh", change{set: "0.5", add: 2}}})
	if err := w.write(); !errors.Is(err, errLeak) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	if n, err := redis.Int(c.Do("GET", "wrapp:a:whole")); n != 2 {
		t.Fatalf("it has not landed: %d, %v", n, err)
	}
	for range 2 {
		if err := w.write(); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]string{"whole": "2", "decimal": "3.5", "set": "9", "fresh": "2.5"} {
		if got, err := redis.String(c.Do("GET", "wrapp:a:"+key)); got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
	if len(w.batch) > 0 || len(refused) != 1 || !strings.Contains(refused[0], "wrapp:a:list: WRONGTYPE") {
		t.Errorf("%v, refused %q", w.batch, refused)
	}
}

// TestAway has no Redis, more keys than there is room for, and an end in time.
func TestAway(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	v, _ := open(s, nil)
	for i := range mostKeys + 5 {
		say(v, fmt.Sprint("key", i))
	}
	say(v, strings.Repeat("k", longestKey+1))
	v.mu.Lock()
	waiting := len(v.order)
	v.mu.Unlock()
	if waiting > mostKeys {
		t.Errorf("%d keys wait", waiting)
	}
	// The writer may have taken a batch already when there was no more room.
	if n, err := v.Close(time.Hour); n < mostKeys || n > mostKeys+5 || err == nil {
		t.Errorf("%d unwritten, %v", n, err)
	}
}

// TestDropped tells what found no room.
func TestDropped(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	v, refused := open(s, nil)
	for i := range mostKeys + 5 {
		say(v, fmt.Sprint("key", i))
	}
	s.Up()
	closed(t, v)
	// The writer may have taken a batch already when there was no more room.
	if got := refused(); len(got) > 1 || len(got) == 1 && !strings.Contains(got[0], "5 markers are not counted") {
		t.Errorf("%q", got)
	}
	if n, err := redis.Int(s.Dial(2).Do("DBSIZE")); n < mostKeys || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
}

// TestLongest bounds what is held of one marker.
func TestLongest(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	v, refused := open(s, nil)
	key, value := strings.Repeat("k", longestKey), strings.Repeat("1", longestValue)
	say(v, key+":"+value, key+"k:1", "long:1"+value)
	closed(t, v)
	if got := refused(); len(got) != 1 || !strings.HasPrefix(got[0], "2 markers are not counted") {
		t.Errorf("%q", got)
	}
	c := s.Dial(2)
	got, err := redis.String(c.Do("GET", "wrapp:a:"+key))
	if n, _ := redis.Int(c.Do("EXISTS", "wrapp:a:"+key+"k", "wrapp:a:long")); got != value || err != nil || n > 0 {
		t.Errorf("%.20q, %v, and %d too long", got, err, n)
	}
}

func BenchmarkCount(b *testing.B) {
	v := New(Options{Dial: func(context.Context) (*redisconn.Conn, error) { return nil, errLeak }})
	defer v.Close(0)
	key := []byte("frames")
	b.ReportAllocs()
	for b.Loop() {
		v.Count(key)
	}
}

// TestNoTransaction has Redis refuse the transaction and nothing else: then nothing is
// carried out, rather than one by one.
func TestNoTransaction(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	if _, err := c.Do("ACL", "SETUSER", "default", "-multi"); err != nil {
		t.Fatal(err)
	}
	dial := func(context.Context) (*redisconn.Conn, error) {
		return redisconn.Dial(context.Background(), &s.Config().Redis, 2)
	}
	w := writer{opts: Options{Name: "a", Dial: dial}}
	w.begin([]named{{"n", change{add: 1}}, {"last", change{set: "5"}}})
	for range 2 {
		if err := w.write(); err == nil || !strings.Contains(err.Error(), "MULTI") {
			t.Errorf("written: %v", err)
		}
	}
	if keys, err := redis.Strings(c.Do("KEYS", "*")); err != nil || len(keys) > 0 {
		t.Errorf("%q, %v", keys, err)
	}
	if _, err := c.Do("ACL", "SETUSER", "default", "+multi"); err != nil {
		t.Fatal(err)
	}
	if err := w.write(); err != nil {
		t.Error(err)
	}
	w.hangUp()
	if n, err := redis.Int(c.Do("GET", "wrapp:a:n")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
