package values

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// dial connects to database 2 of the server, by another address if that is not empty.
func dial(s *redistest.Server, addr string) func(context.Context) (*redisconn.Client, error) {
	return func(ctx context.Context) (*redisconn.Client, error) {
		r := s.Config().Redis
		if addr != "" {
			if err := r.SetURL("redis://" + addr); err != nil {
				return nil, err
			}
		}
		return redisconn.Dial(ctx, &r, 2)
	}
}

// open returns Values of the app "a" in database 2, and the reasons given to Refused.
func open(s *redistest.Server, addr string) (*Values, func() []string) {
	var mu sync.Mutex
	var refused []string
	v := New(Options{
		Name:    "a",
		Dial:    dial(s, addr),
		Log:     slog.New(slog.DiscardHandler),
		MaxKeys: 2 * mostKeys,
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

// say counts for a marker "key" and sets for "key:value".
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
	if n, err := v.Close(2 * time.Minute); n > 0 || err != nil {
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
		v, refused := open(s, "")
		say(v, strings.Fields(strings.ReplaceAll(test.markers, "k", fmt.Sprint("k", i)))...)
		closed(t, v)
		if got, err := redis.String(c.Do("GET", key)); err != nil || got != test.want || len(refused()) > 0 {
			t.Errorf("%q, then %q: %q, %v, %q", test.before, test.markers, got, err, refused())
		}
	}
}

// TestWrittenInTime waits for a value to be written without an end, also when Redis has forgotten
// its scripts.
func TestWrittenInTime(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	v, _ := open(s, "")
	c := s.Dial(2)
	for i := range 3 {
		say(v, "n")
		eventually(t, "it is written", func() bool {
			n, _ := redis.Int(c.Do("GET", "wrapp:a:n"))
			return n == i+1
		})
		c.Do("SCRIPT", "FLUSH")
	}
	closed(t, v)
}

// TestRefused counts with a key that holds no number, and one that holds no string.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	c.Do("SET", "wrapp:a:text", "abc")
	c.Do("RPUSH", "wrapp:a:list", "abc")
	v, refused := open(s, "")
	for i := range 3 {
		say(v, "text", "list", "fine")
		eventually(t, "it is written", func() bool {
			n, _ := redis.Int(c.Do("GET", "wrapp:a:fine"))
			return n == i+1
		})
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

// TestRefusedOnce refuses more keys than may wait, twice: each is reported once.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	told := 0
	w := writer{opts: Options{Refused: func(string) { told++ }}, refused: make(map[string]bool)}
	const keys = mostKeys + 1
	for i := range 2 * keys {
		w.refuse(strconv.Itoa(i%keys), "WRONGTYPE")
	}
	if told != keys {
		t.Errorf("%d reports for %d keys", told, keys)
	}
}

// TestOnceEach counts while connections are cut in the middle of answers and the server is
// killed.
func TestOnceEach(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	proxy := redistest.StartCutter(t, s.Addr())
	v, refused := open(s, proxy.Addr)
	c := s.Dial(2)
	const n, rounds = 4000, 20
	for i := range n {
		say(v, "n", fmt.Sprint("key", i%40), fmt.Sprint("last:", i))
		if i%(n/rounds) == 0 {
			round := i / (n / rounds)
			proxy.After(round % 4) // the answer has 4 bytes
			say(v, "n")
			eventually(t, "the connection is cut", func() bool { return proxy.Cuts() == round+1 })
			eventually(t, "the count is written all the same", func() bool {
				got, _ := redis.Int(c.Do("GET", "wrapp:a:n"))
				return got == i+round+2
			})
		}
		if i == n/2 {
			s.Down()
			s.Up()
			c = s.Dial(2)
		}
	}
	closed(t, v)
	for key, want := range map[string]int{"n": n + rounds, "last": n - 1, "key0": n / 40, "key39": n / 40} {
		if got, err := redis.Int(c.Do("GET", "wrapp:a:"+key)); got != want {
			t.Errorf("%s: %d, %v, want %d", key, got, err, want)
		}
	}
	if len(refused()) > 0 {
		t.Errorf("refused %q", refused())
	}
}

var eventually = redistest.Eventually

func newWriter(s *redistest.Server, id string) *writer {
	return &writer{id: id, refused: make(map[string]bool), opts: Options{
		Name: "a", Dial: dial(s, ""), Log: slog.New(slog.DiscardHandler), Refused: func(string) {},
	}}
}

// TestOldConnection has a batch from an abandoned connection arrive after it was sent again,
// and after later batches have landed.
func TestOldConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	w := newWriter(s, "w")
	defer w.hangUp()
	for number := 1; number <= 3; number++ {
		w.begin([]change{{name: "n", add: 1}})
		if err := w.write(); err != nil || len(w.batch) > 0 {
			t.Fatal(err)
		}
		late := newWriter(s, "w")
		for again := 1; again <= number; again++ {
			late.number, late.batch = again, []change{{name: "n", add: 1}}
			if err := late.write(); err != nil {
				t.Fatal(err)
			}
		}
		late.hangUp()
	}
	if n, err := redis.Int(s.Dial(2).Do("GET", "wrapp:a:n")); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestTwoWriters has two writers of one name write in turn, each batch twice.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const writers, batches = 20, 3
	for range batches {
		for id := range writers {
			for range 2 {
				w := newWriter(s, fmt.Sprint(id))
				w.number, w.batch = 1, []change{{name: fmt.Sprint("n", id), add: 1}, {name: "n", add: 1}}
				if err := w.write(); err != nil {
					t.Fatal(err)
				}
				w.hangUp()
			}
		}
	}
	c := s.Dial(2)
	for key, want := range map[string]int{"n": writers, "n0": 1, "n19": 1} {
		if n, err := redis.Int(c.Do("GET", "wrapp:a:"+key)); n != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", key, n, err, want)
		}
	}
}

// TestPosition checks that the position exists while values are written, and expires soon
// after the end.
func TestPosition(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	v, _ := open(s, "")
	say(v, "n")
	var keys []string
	eventually(t, "it is written", func() bool {
		keys, _ = redis.Strings(c.Do("KEYS", "{wrapp:a}:wrapp:*"))
		return len(keys) == 1
	})
	if ms, err := redis.Int64(c.Do("PTTL", keys[0])); ms <= farewellLife.Milliseconds() || ms > positionLife.Milliseconds() {
		t.Errorf("it expires in %d ms: %v", ms, err)
	}
	closed(t, v)
	if ms, err := redis.Int64(c.Do("PTTL", keys[0])); ms <= 0 || ms > farewellLife.Milliseconds() {
		t.Errorf("after the end it expires in %d ms: %v", ms, err)
	}
}

// TestOlderRights writes as users with the rights that the older wrapp needed, and some more.
func TestOlderRights(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "+incrby", "+incrby +incrbyfloat", "+eval +evalsha"} {
		t.Run(more, func(t *testing.T) {
			t.Parallel()
			s, c := startOlder(t, strings.Fields(more)...)
			v, refused := open(s, "")
			say(v, "n", "n", "n", "set:5", "other")
			closed(t, v)
			for key, want := range map[string]int{"n": 3, "set": 5, "other": 1} {
				if n, err := redis.Int(c.Do("GET", "wrapp:a:"+key)); n != want || err != nil {
					t.Errorf("%s: %d, %v, want %d", key, n, err, want)
				}
			}
			if len(refused()) > 0 {
				t.Errorf("%q", refused())
			}
		})
	}
}

// TestMaxKeys counts with more keys than MaxKeys.
func TestMaxKeys(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var refused []string
	v := New(Options{Name: "a", Dial: dial(s, ""), Log: slog.New(slog.DiscardHandler), MaxKeys: 3, Refused: func(r string) { refused = append(refused, r) }})
	for i := range 10 {
		say(v, fmt.Sprint("k", i%5))
	}
	closed(t, v)
	if len(refused) != 1 || !strings.Contains(refused[0], "logs.max_keys") {
		t.Errorf("%q", refused)
	}
	if keys, err := redis.Strings(s.Dial(2).Do("KEYS", "wrapp:a:*")); len(keys) != 3 {
		t.Errorf("%q, %v", keys, err)
	}
}

// TestAway names more keys than there is room for while there is no Redis; Close returns in
// time.
func TestAway(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	v, _ := open(s, "")
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

// TestDropped checks the report of changes that found no room.
func TestDropped(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	v, refused := open(s, "")
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

// TestLongest checks the bounds of a marker's key and value.
func TestLongest(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	v, refused := open(s, "")
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
	v := New(Options{Dial: func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") }})
	defer v.Close(0)
	key := []byte("frames")
	b.ReportAllocs()
	for b.Loop() {
		v.Count(key)
	}
}
