package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

const patience = 2 * time.Minute

// open returns an outbox that delivers to the server as the app "t". It sets Block, because
// the outbox is not connected yet; change may change that.
func open(t *testing.T, s *redistest.Server, change func(*Options)) *Outbox {
	t.Helper()
	opts := Options{
		Keys:       logstream.Keys("t"),
		Writer:     NewWriter(),
		MaxEntries: 1_000_000,
		Limit:      4 << 20,
		Block:      true,
		Dial: func(ctx context.Context) (*redisconn.Client, error) {
			return redisconn.Dial(ctx, &s.Config().Redis, 1)
		},
		Log: eventlog.New(t.Output(), "wrapp", false),
	}
	if change != nil {
		change(&opts)
	}
	return New(opts, nil)
}

func add(o *Outbox, lines ...string) {
	for _, l := range lines {
		o.Add(time.Now(), logstream.Info, 0, []byte(l))
	}
	o.Send()
}

// number adds the lines "from" to "to"-1.
func number(o *Outbox, from, to int) {
	for at := from; at < to; at += 100 {
		for i := at; i < min(at+100, to); i++ {
			o.Add(time.Now(), logstream.Info, 0, fmt.Appendf(nil, "line %d", i))
		}
		o.Send()
	}
}

// checkNumbered fails unless the stream holds the lines 0 to n-1 once, in order.
func checkNumbered(t *testing.T, s *redistest.Server, n int) {
	t.Helper()
	got := s.Messages(logstream.Keys("t")[logstream.Info])
	if len(got) != n {
		t.Errorf("%d entries, want %d", len(got), n)
	}
	for i, m := range got {
		if want := fmt.Sprintf("line %d", i); m != want {
			t.Fatalf("entry %d is %q, want %q", i, m, want)
		}
	}
}

// checkAccounted fails unless the lines 0 to n-1 came in order, the last one came, and :status
// reports as many dropped lines as are missing.
func checkAccounted(t *testing.T, s *redistest.Server, n int) {
	t.Helper()
	got := s.Messages(logstream.Keys("t")[logstream.Info])
	before := -1
	for _, m := range got {
		var i int
		fmt.Sscanf(m, "line %d", &i)
		if i <= before {
			t.Fatalf("line %d behind line %d", i, before)
		}
		before = i
	}
	if told := toldDropped(s); told == 0 || told+len(got) != n || before != n-1 {
		t.Errorf("%d there and %d told as dropped of %d, the last is %d", len(got), told, n, before)
	}
	checkDelivered(t, s)
}

// checkDelivered fails if :status reports more entries delivered from the spool than there are.
func checkDelivered(t *testing.T, s *redistest.Server) {
	t.Helper()
	told, all := 0, 0
	for _, m := range said(s, "entries delivered from the spool") {
		var k int
		fmt.Sscanf(m, "%d entries delivered", &k)
		told += k
	}
	for _, key := range logstream.Keys("t") {
		all += len(s.Messages(key))
	}
	if told > all {
		t.Errorf("%d entries there, and %d told as delivered from the spool: %q", all, told, s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// toldDropped returns how many dropped lines :status reports.
func toldDropped(s *redistest.Server) (n int) {
	for _, m := range said(s, "lines dropped") {
		var k int
		fmt.Sscanf(m, "%d lines dropped", &k)
		n += k
	}
	return n
}

func closeAll(t *testing.T, o *Outbox) {
	t.Helper()
	if lost, kept, why := o.Close(patience); lost+kept != 0 {
		t.Errorf("%d entries lost and %d kept: %v", lost, kept, why)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o, at := open(t, s, nil), time.UnixMilli(1_700_000_000_000)
	o.Add(at, logstream.Info, 0, []byte("plain"))
	o.Add(at, logstream.Info, entry.Stderr, []byte(""))
	o.Add(at, logstream.Info, entry.Partial, []byte("\x00\r\n\xff"))
	o.Add(at, logstream.Info, entry.Stderr|entry.Partial, []byte("both"))
	o.Send()
	o.Say(logstream.Crash, "report", "kind", "signal", "pid", "7")
	closeAll(t, o)

	keys := logstream.Keys("t")
	got := fmt.Sprint(s.Stream(keys[logstream.Info]))
	want := "[{1700000000000-0 map[message:plain]}" +
		" {1700000000000-1 map[message: source:stderr]}" +
		" {1700000000000-2 map[message:\x00\r\n\xff partial:1]}" +
		" {1700000000000-3 map[message:both partial:1 source:stderr]}]"
	if got != want {
		t.Errorf("info:\n got %q\nwant %q", got, want)
	}
	crash := s.Stream(keys[logstream.Crash])
	if len(crash) != 1 || fmt.Sprint(crash[0].Fields) != "map[kind:signal message:report pid:7]" {
		t.Errorf("crash: %v", crash)
	}
}

func TestMany(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	number(o, 0, 100_000)
	closeAll(t, o)
	checkNumbered(t, s, 100_000)
}

func TestTrimmed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, func(opts *Options) { opts.MaxEntries = 1000 })
	number(o, 0, 20_000)
	closeAll(t, o)
	got := s.Messages(logstream.Keys("t")[logstream.Info])
	if len(got) < 1000 || len(got) > 1200 || got[len(got)-1] != "line 19999" {
		t.Errorf("%d entries, the last %q", len(got), got[len(got)-1])
	}
}

func TestHugeEntry(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	huge := strings.Repeat("x", 10<<20)
	add(o, "before", huge, "after")
	closeAll(t, o)
	got := s.Messages(logstream.Keys("t")[logstream.Info])
	if len(got) != 3 || got[1] != huge || got[2] != "after" {
		t.Errorf("%d entries", len(got))
	}
}

// TestServerRestarts kills a durable server again and again while lines are added.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	o := open(t, s, nil)
	const n = 60_000
	done := make(chan bool)
	go func() {
		for i := 0; i < n; i += 100 {
			number(o, i, i+100)
			time.Sleep(time.Millisecond)
		}
		close(done)
	}()
	for range 4 {
		time.Sleep(200 * time.Millisecond)
		s.Down()
		s.Up()
	}
	<-done
	closeAll(t, o)
	checkNumbered(t, s, n)
}

// TestDroppedToTheEnd has no Redis, and no spool or one that is removed: Close reports the
// dropped entries, which :status never tells.
func TestDroppedToTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("no spool", func(t *testing.T) {
		t.Parallel()
		droppedToTheEnd(t, "")
	})
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		droppedToTheEnd(t, filepath.Join(t.TempDir(), "spool"))
	})
}

func droppedToTheEnd(t *testing.T, dir string) {
	s := redistest.Prepare(t)
	var reported int
	var text string
	var log bytes.Buffer
	change := func(opts *Options) {
		opts.Block, opts.Limit, opts.Log = false, 1<<20, eventlog.New(&log, "wrapp", false)
		opts.Dropped = func(n int, why string) { reported, text = n, why }
	}
	var o *Outbox
	if dir == "" {
		o = open(t, s, change)
	} else {
		o = openSpooled(t, s, dir, 1<<20, change)
	}
	const n = 100_000
	number(o, 0, n)
	if dir != "" {
		eventually(t, "the journal tells of dropped lines", func() bool {
			o.q.mu.Lock()
			defer o.q.mu.Unlock()
			_, err := os.Stat(filepath.Join(dir, "journal"))
			return err == nil && o.q.written == o.q.end() && o.q.drops.Sum() > 0
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	lost, kept, _ := o.Close(time.Hour)
	own := reported + lost - n // "spooling since", if the spool was used for a second, and then "cannot be written"
	if reported == 0 || own < 0 || own > 2 || dir == "" && own > 0 || kept != 0 {
		t.Errorf("%d reported as dropped, %d lost and %d kept of %d", reported, lost, kept, n)
	}
	if want := fmt.Sprintf("wrapp: error: %d lines dropped: Redis was away and ", reported); !strings.HasPrefix(text, want[len("wrapp: error: "):]) || !strings.Contains(log.String(), want) {
		t.Errorf("%q, log:\n%s", text, &log)
	}
}

func TestStalledServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	number(o, 0, 1000)
	s.Pause()
	number(o, 1000, 2000)
	eventually(t, "the connection is given up", func() bool { o.q.mu.Lock(); defer o.q.mu.Unlock(); return o.q.away != "" })
	number(o, 2000, 3000)
	s.Resume()
	closeAll(t, o)
	checkNumbered(t, s, 3000)
}

// TestAway fills the memory while there is no server: the oldest lines are dropped and
// counted, and wrapp's own entries stay.
func TestAway(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	o := open(t, s, func(opts *Options) { opts.Limit, opts.Block = 1<<20, false })
	o.Say(logstream.Info, "run marker")
	const n = 60_000
	number(o, 0, n)
	s.Up()
	closeAll(t, o)

	got := s.Messages(logstream.Keys("t")[logstream.Info])
	if got[0] != "run marker" {
		t.Errorf("the first entry is %q", got[0])
	}
	dropped := n - (len(got) - 1)
	if dropped < n/2 || dropped == n {
		t.Errorf("%d lines dropped of %d", dropped, n)
	}
	for i, m := range got[1:] {
		if want := fmt.Sprintf("line %d", dropped+i); m != want {
			t.Fatalf("line %q, want %q", m, want)
		}
	}
	status := s.Messages(logstream.Keys("t")[logstream.Status])
	if len(status) != 1 || !strings.HasPrefix(status[0], fmt.Sprintf("%d lines dropped: Redis was away for ", dropped)) {
		t.Errorf("status: %q, want %d lines dropped", status, dropped)
	}
}

// TestAwayWithReports adds crash reports over and over while there is no server: their
// memory is bounded, and lines are still accepted.
func TestAwayWithReports(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	const limit, n = 1 << 20, 3000
	o := open(t, s, func(opts *Options) { opts.Limit, opts.Block = limit, false })
	o.Say(logstream.Info, "run marker")
	report := strings.Repeat("x", 4<<10)
	for i := range n {
		o.Say(logstream.Crash, fmt.Sprintf("report %d %s", i, report))
		number(o, 3*i, 3*i+3)
	}
	o.q.mu.Lock()
	held, slabs := o.q.held, len(o.q.slabs)
	o.q.mu.Unlock()
	if held > limit+slabSize || slabs > 2*n*(len(report)+500)/slabSize {
		t.Errorf("%d bytes are held in %d slabs", held, slabs)
	}
	s.Up()
	closeAll(t, o)
	keys := logstream.Keys("t")
	lines, reports := s.Messages(keys[logstream.Info]), s.Messages(keys[logstream.Crash])
	if lines[0] != "run marker" || lines[len(lines)-1] != fmt.Sprintf("line %d", 3*n-1) {
		t.Errorf("%d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if k := len(reports); k < limit/2/len(report) || !strings.HasPrefix(reports[k-1], fmt.Sprintf("report %d ", n-1)) {
		t.Errorf("%d reports", k)
	}
	dropped := 4*n - (len(lines) - 1) - len(reports)
	if status := s.Messages(keys[logstream.Status]); len(status) != 1 || !strings.HasPrefix(status[0], fmt.Sprintf("%d ", dropped)) {
		t.Errorf("status: %q, want %d dropped", status, dropped)
	}
}

// TestBlockedWithReports adds crash reports over and over while there is no server and lines have
// almost filled the memory: with Block no line is dropped, and the reports' memory is bounded.
func TestBlockedWithReports(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	const limit, lines, reports = 256 << 10, 4000, 400
	o := open(t, s, func(opts *Options) { opts.Limit = limit })
	number(o, 0, lines)
	report := strings.Repeat("x", 4<<10)
	for i := range reports {
		o.Say(logstream.Crash, fmt.Sprintf("report %d %s", i, report))
	}
	o.q.mu.Lock()
	held := o.q.held
	o.q.mu.Unlock()
	if held > 2*limit {
		t.Errorf("%d bytes are held", held)
	}
	s.Up()
	closeAll(t, o)
	keys := logstream.Keys("t")
	if n := len(s.Messages(keys[logstream.Info])); n != lines {
		t.Errorf("%d lines, want %d", n, lines)
	}
	got := s.Messages(keys[logstream.Crash])
	if n := len(got); n < limit/2/len(report) || !strings.HasPrefix(got[n-1], fmt.Sprintf("report %d ", reports-1)) {
		t.Errorf("%d reports", n)
	}
}

func TestNeverReached(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	o := open(t, s, nil)
	add(o, "a", "b")
	if lost, kept, why := o.Close(time.Hour); lost != 2 || kept != 0 || why == nil {
		t.Errorf("%d entries lost, want 2, and %d kept: %v", lost, kept, why)
	}
}

// TestForeignWriter adds entries of another writer with IDs far ahead of ours, before and
// among our entries.
func TestForeignWriter(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	key := logstream.Keys("t")[logstream.Info]
	c := s.Dial(1)
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
	for i := range 5 {
		if _, err := c.Do("XADD", key, entry.ID{Ms: ahead + uint64(i), Seq: 1<<64 - 1}, "message", "foreign"); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			o := open(t, s, nil)
			number(o, 0, 1000)
			defer closeForeign(t, s, o)
		}
	}
}

func closeForeign(t *testing.T, s *redistest.Server, o *Outbox) {
	number(o, 1000, 2000)
	closeAll(t, o)
	var ours []string
	for _, m := range s.Messages(logstream.Keys("t")[logstream.Info]) {
		if m != "foreign" {
			ours = append(ours, m)
		}
	}
	if len(ours) != 2000 {
		t.Errorf("%d entries of ours, want 2000", len(ours))
	}
}

// TestRefusedForGood writes to a key that is no stream: its entries are lost, the other
// streams go on, and the loss is reported once.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	keys := logstream.Keys("t")
	c := s.Dial(1)
	if _, err := c.Do("SET", keys[logstream.Info], "no stream"); err != nil {
		t.Fatal(err)
	}
	o := open(t, s, nil)
	number(o, 0, 5000)
	o.Say(logstream.Status, "still here")
	closeAll(t, o)
	if got := s.Messages(keys[logstream.Status]); len(got) != 2 || got[0] != "still here" || !strings.HasPrefix(got[1], "5000 entries of :info were refused by Redis for good (WRONGTYPE ") {
		t.Errorf("status: %q", got)
	}
	got := s.Messages(keys[logstream.Error])
	if len(got) != 1 || !strings.HasPrefix(got[0], keys[logstream.Info]+" takes no entries: WRONGTYPE ") {
		t.Errorf("error: %q", got)
	}
}

// TestOutOfMemory makes Redis refuse entries for a while: they wait, in order.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	o := open(t, s, nil)
	number(o, 0, 1000)
	if _, err := c.Do("CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	number(o, 1000, 2000)
	time.Sleep(300 * time.Millisecond)
	number(o, 2000, 3000)
	if _, err := c.Do("CONFIG", "SET", "maxmemory", "0"); err != nil {
		t.Fatal(err)
	}
	closeAll(t, o)
	checkNumbered(t, s, 3000)
}

// TestRefusalTold makes Redis refuse entries for more than a second: :status has its reply.
func TestRefusalTold(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	eventually(t, "Redis refuses before the episode is announced", func() bool {
		o := openSpooled(t, s, t.TempDir(), 1<<20, nil)
		add(o, "a")
		eventually(t, "it has landed", o.q.empty)
		do(t, c, "CONFIG", "SET", "maxmemory", "1")
		add(o, "b")
		eventually(t, "the refusal is announced", func() (announced bool) {
			o.q.withLock(func(q *queue) { announced = q.episode.announced })
			return announced
		})
		do(t, c, "CONFIG", "SET", "maxmemory", "0")
		closeAll(t, o)
		late := len(said(s, "Redis takes nothing; ")) > 0 // a busy Redis took more than a second to refuse
		if late {
			do(t, c, "FLUSHALL")
		}
		return !late
	})
	if got := said(s, "Redis takes no entries for now: OOM command not allowed"); len(got) != 1 {
		t.Errorf("%q", said(s, ""))
	}
}

// TestRefusedAcrossDials makes Redis refuse entries, and every second connection fail: Redis is back
// only when it takes an entry.
func TestRefusedAcrossDials(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	if _, err := c.Do("CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	back := lineCounter{text: "redis is back"}
	var dials atomic.Int64
	o := open(t, s, func(opts *Options) {
		dial := opts.Dial
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			if dials.Add(1)%2 == 0 {
				return nil, errors.New("no connection")
			}
			return dial(ctx)
		}
		opts.Log = eventlog.New(&back, "wrapp", false)
	})
	add(o, "a")
	eventually(t, "some connections", func() bool { return dials.Load() >= 6 })
	if n := back.lines.Load(); n != 0 {
		t.Errorf("redis is back %d times while it refuses entries", n)
	}
	if _, err := c.Do("CONFIG", "SET", "maxmemory", "0"); err != nil {
		t.Fatal(err)
	}
	closeAll(t, o)
	if n := back.lines.Load(); n != 1 {
		t.Errorf("redis is back %d times", n)
	}
}

// A lineCounter counts the lines of a log that have text in them.
type lineCounter struct {
	text  string
	lines atomic.Int64
}

func (c *lineCounter) Write(line []byte) (int, error) {
	if strings.Contains(string(line), c.text) {
		c.lines.Add(1)
	}
	return len(line), nil
}

// TestRefusedAfterIdle makes Redis refuse the first line after an idle moment, for a passing
// reason and because of another writer's ID.
func TestRefusedAfterIdle(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	key := logstream.Keys("t")[logstream.Info]
	o := open(t, s, nil)
	landed := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " entries"), func() bool { return len(s.Messages(key)) == n })
	}
	add(o, "a")
	landed(1)
	if _, err := c.Do("CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	add(o, "b")
	time.Sleep(300 * time.Millisecond)
	if _, err := c.Do("CONFIG", "SET", "maxmemory", "0"); err != nil {
		t.Fatal(err)
	}
	landed(2)
	ahead := entry.ID{Ms: uint64(time.Now().Add(time.Hour).UnixMilli())}
	if _, err := c.Do("XADD", key, ahead, "message", "foreign"); err != nil {
		t.Fatal(err)
	}
	add(o, "c")
	landed(4)
	closeAll(t, o)
	if got := strings.Join(s.Messages(key), " "); got != "a b foreign c" {
		t.Errorf("%q", got)
	}
}

// TestDeletedStream deletes the stream: later lines are added.
func TestDeletedStream(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := open(t, s, nil)
	add(o, "before")
	eventually(t, "it has come", func() bool { return len(s.Messages(logstream.Keys("t")[logstream.Info])) == 1 })
	eventually(t, "and is answered", o.q.empty)
	s.Dial(1).Do("DEL", logstream.Keys("t")[logstream.Info])
	add(o, "after")
	closeAll(t, o)
	if got := s.Messages(logstream.Keys("t")[logstream.Info]); len(got) != 1 || got[0] != "after" {
		t.Errorf("%q", got)
	}
}

// withLock calls f under the lock.
func (q *queue) withLock(f func(*queue)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(q)
}

// empty reports whether everything has landed.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drained()
}
