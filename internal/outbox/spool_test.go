package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// openSpooled is open with a spool of some bytes in dir, and memory for 1 MiB.
func openSpooled(t *testing.T, s *redistest.Server, dir string, size int64, change func(*Options)) *Outbox {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writer := NewWriter()
	store, left, err := spool.Open(dir, size, writer)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, s, func(opts *Options) {
		opts.Limit, opts.Writer = 1<<20, writer
		opts.Spool, opts.Left, opts.SpoolSize = store, left, size
		if change != nil {
			change(opts)
		}
	})
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// said returns the entries of :status that contain text.
func said(s *redistest.Server, text string) (found []string) {
	for _, m := range s.Messages(logstream.Keys("t")[logstream.Status]) {
		if strings.Contains(m, text) {
			found = append(found, m)
		}
	}
	return found
}

var eventually = redistest.Eventually

// TestSpooled adds much more than fits in memory before there is a server: all of it comes,
// in order, and nothing is left on disk.
func TestSpooled(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	const n = 80_000
	number(o, 0, n)
	if len(segments(t, dir)) == 0 {
		t.Error("nothing is in the spool")
	}
	o.q.mu.Lock()
	if o.q.held > 2<<20 {
		t.Errorf("%d bytes are held in memory", o.q.held)
	}
	o.q.mu.Unlock()
	s.Up()
	number(o, n, n+1000)
	closeAll(t, o)
	checkNumbered(t, s, n+1000)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool is still there: %v", err)
	}
	if len(said(s, "lines dropped")) > 0 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestRest checks that the watch rests while Redis is away and the spool has everything,
// again and again after lines are added.
func TestRest(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	o := openSpooled(t, s, filepath.Join(t.TempDir(), "spool"), 64<<20, nil)
	resting := func() bool {
		o.q.mu.Lock()
		defer o.q.mu.Unlock()
		return o.q.mode == spooling && !o.q.watching && o.q.written == o.q.end()
	}
	for i := range 3 {
		number(o, 1000*i, 1000*(i+1))
		eventually(t, "all is in the spool, and the watch rests", resting)
	}
	s.Up()
	closeAll(t, o)
	checkNumbered(t, s, 3000)
}

// TestHealthy checks that nothing is written to disk while Redis keeps up. A machine that
// stalls for 100 ms is not healthy, so there are several attempts.
func TestHealthy(t *testing.T) {
	s := redistest.Start(t)
	for range 100 {
		dir := filepath.Join(t.TempDir(), "spool")
		o := openSpooled(t, s, dir, 64<<20, nil)
		number(o, 0, 20_000)
		eventually(t, "Redis has acknowledged everything", o.q.empty)
		o.q.mu.Lock()
		spooled := o.q.episode.spooled
		o.q.mu.Unlock()
		written := len(segments(t, dir))
		closeAll(t, o)
		if spooled == 0 && written == 0 {
			return
		}
	}
	t.Error("entries were spooled in each attempt")
}

// TestNextRun ends three runs without a server; the fourth delivers their entries before its
// own.
func TestNextRun(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	const n = 50_000
	for i := range 3 {
		o := openSpooled(t, s, dir, 64<<20, nil)
		number(o, i*n, (i+1)*n)
		lost, kept, why := o.Close(time.Hour)
		// Each run that takes longer than a second reports on :status that it spools.
		if least := (i + 1) * n; lost != 0 || kept < least || kept > least+i+1 || why == nil {
			t.Errorf("%d entries lost, %d kept, want %d: %v", lost, kept, least, why)
		}
	}
	s.Up()
	o := openSpooled(t, s, dir, 64<<20, nil)
	number(o, 3*n, 4*n)
	closeAll(t, o)
	checkNumbered(t, s, 4*n)
	if got := said(s, " entries delivered from the spool, where"); len(got) != 1 || !strings.HasPrefix(got[0], "1500") {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestStalledAndSpooled stops the server's process: no caller waits.
func TestStalledAndSpooled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := openSpooled(t, s, filepath.Join(t.TempDir(), "spool"), 64<<20, nil)
	number(o, 0, 1000)
	s.Pause()
	number(o, 1000, 80_000) // would never return
	s.Resume()
	number(o, 80_000, 81_000)
	closeAll(t, o)
	checkNumbered(t, s, 81_000)
}

// TestDropped fills a small spool: the oldest lines are dropped and counted, wrapp's own
// entries stay.
func TestDropped(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 2<<20, func(opts *Options) { opts.Block = false })
	o.Say(logstream.Info, "run marker")
	const n = 180_000
	numberOnDisk(t, o, n)
	eventually(t, ":status will tell", func() bool {
		o.q.mu.Lock()
		defer o.q.mu.Unlock()
		return o.q.episode.announced
	})
	size := int64(0)
	for _, file := range segments(t, dir) {
		info, err := os.Stat(file)
		if err == nil {
			size += info.Size()
		}
	}
	if size > 2<<20+slabSize || size < 1<<20 {
		t.Errorf("the spool has %d bytes", size)
	}
	s.Up()
	closeAll(t, o)
	checkDropped(t, s, n)
}

// numberOnDisk adds the lines 0 to n-1 no faster than the disk takes them: a slow disk makes the
// outbox drop lines that are behind those on disk.
func numberOnDisk(t *testing.T, o *Outbox, n int) {
	t.Helper()
	const part = 10_000
	for at := 0; at < n; at += part {
		number(o, at, min(at+part, n))
		allSpooled(t, o)
	}
}

// checkDropped fails unless the stream has a run marker and the last of n lines,
// and :status says how many are missing.
func checkDropped(t *testing.T, s *redistest.Server, n int) {
	t.Helper()
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
	if told := toldDropped(s); told != dropped {
		t.Errorf("%d dropped, and status says %d: %q", dropped, told, s.Messages(logstream.Keys("t")[logstream.Status]))
	}
	checkDelivered(t, s)
}

// TestDroppedAndNextRun is TestDropped with the end of a run in between.
func TestDroppedAndNextRun(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 2<<20, func(opts *Options) { opts.Block = false })
	o.Say(logstream.Info, "run marker")
	const n = 180_000
	numberOnDisk(t, o, n)
	lost, kept, _ := o.Close(time.Hour)
	if lost != 0 || kept == 0 {
		t.Errorf("%d lost, %d kept", lost, kept)
	}
	s.Up()
	o = openSpooled(t, s, dir, 64<<20, func(opts *Options) { opts.Block = false })
	eventually(t, "all is delivered", o.q.empty)
	closeAll(t, o)
	checkDropped(t, s, n)
	if len(said(s, "lines dropped: an earlier run could not keep them")) != 1 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestLeftAndDropped has a smaller spool than the run before, which left more than it holds.
func TestLeftAndDropped(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	const n = 60_000
	o := openSpooled(t, s, dir, 16<<20, nil)
	number(o, 0, n-5000)
	o.Close(time.Hour)
	o = openSpooled(t, s, dir, 1<<20, func(opts *Options) { opts.Block = false })
	number(o, n-5000, n)
	eventually(t, "lines are dropped", func() (some bool) {
		o.q.withLock(func(q *queue) { some = q.drops.Sum() > 0 })
		return some
	})
	s.Up()
	closeAll(t, o)
	checkAccounted(t, s, n)
	if len(said(s, "entries delivered from the spool, where an earlier run left them")) != 1 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestBlocked fills a small spool with Block set: adding waits.
func TestBlocked(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	o := openSpooled(t, s, filepath.Join(t.TempDir(), "spool"), 2<<20, nil)
	const n = 180_000
	var added atomic.Int64
	go func() {
		for i := 0; i < n; i += 1000 {
			number(o, i, i+1000)
			added.Add(1000)
		}
	}()
	eventually(t, "the spool is full", func() bool {
		o.q.mu.Lock()
		defer o.q.mu.Unlock()
		return o.q.full
	})
	for before := int64(-1); before != added.Load(); time.Sleep(200 * time.Millisecond) {
		before = added.Load()
	}
	if added.Load() >= n {
		t.Error("nothing waits")
	}
	s.Up()
	eventually(t, "all is added", func() bool { return added.Load() == n })
	closeAll(t, o)
	checkNumbered(t, s, n)
}

// TestFullButTaken fills a small spool while Redis takes entries, more slowly than they come.
// The app waits while Redis makes room in time; else lines are dropped.
func TestFullButTaken(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"in time": time.Hour, "too slowly": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			var dials atomic.Int64
			o := openSpooled(t, s, filepath.Join(t.TempDir(), "spool"), 2<<20, func(opts *Options) {
				dial := opts.Dial
				opts.Block = false
				opts.Dial = func(ctx context.Context) (*redisconn.Client, error) { dials.Add(1); return dial(ctx) }
			})
			o.q.withLock(func(q *queue) { q.patience = patience })
			eventually(t, "Redis is there", func() bool { return closed(o.reached) })
			var pause atomic.Int64 // milliseconds; zero ends the pauses
			pause.Store(20)
			done := make(chan struct{})
			conn := s.Dial(0)
			go func() {
				defer close(done)
				for ms := pause.Load(); ms > 0; ms = pause.Load() {
					conn.Do("CLIENT", "PAUSE", ms)
				}
			}()
			n, full := 0, false
			eventually(t, "the spool is full", func() bool {
				for begun := n; n < begun+20_000; n += 1000 {
					number(o, n, n+1000)
					o.q.withLock(func(q *queue) { full = full || q.full || q.drops.Sum() > 0 })
				}
				if !full { // this test is slower than Redis
					pause.Store(min(2*pause.Load(), 1280))
				}
				return full
			})
			pause.Store(0)
			<-done
			closeAll(t, o)
			// On a busy machine a pause can last longer than stallTimeout. Then Redis is away until the next
			// connection, and a full spool drops.
			if away := dials.Load() > 1; patience > 0 && (!away || toldDropped(s) == 0) {
				checkNumbered(t, s, n)
			} else {
				checkAccounted(t, s, n)
			}
		})
	}
}

// TestFullThenAway fills a small spool while Redis is stopped, and then kills it: the report of
// the dropped lines is not about the short time without Redis alone.
func TestFullThenAway(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := openSpooled(t, s, filepath.Join(t.TempDir(), "spool"), 1<<20, func(opts *Options) { opts.Block = false })
	o.q.withLock(func(q *queue) { q.patience = 0 })
	eventually(t, "Redis is there", func() bool { return closed(o.reached) })
	s.Pause()
	for n, full := 0, false; !full; n += 1000 {
		number(o, n, n+1000)
		o.q.withLock(func(q *queue) { full = q.drops.Sum() > 0 })
	}
	s.Down()
	eventually(t, "Redis is away", func() (away bool) { o.q.withLock(func(q *queue) { away = q.away != "" }); return away })
	s.Up()
	closeAll(t, o)
	if len(said(s, "lines dropped: Redis was away or slow for ")) == 0 || len(said(s, "lines dropped: Redis was away for ")) > 0 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestDiskFull fills the disk before the spool is full: that is reported, and no caller
// waits.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk wants root")
	}
	mount := t.TempDir()
	if err := unix.Mount("none", mount, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	s := redistest.Prepare(t)
	o := openSpooled(t, s, filepath.Join(mount, "spool"), 64<<20, func(opts *Options) { opts.Block = false })
	const n = 80_000
	number(o, 0, n)
	s.Up()
	eventually(t, "all is delivered", o.q.empty)
	closeAll(t, o)
	checkAccounted(t, s, n)
	if len(said(s, "the spool cannot be written")) != 1 || len(said(s, "lines dropped: Redis was away")) != 1 || len(said(s, "the spool could not be written (no space left on device)")) != 1 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestForeignWriterAndSpool adds another writer's entries, with IDs far ahead, before the
// spool is delivered.
func TestForeignWriterAndSpool(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var open atomic.Bool
	dir := filepath.Join(t.TempDir(), "spool")
	gate := func(opts *Options) {
		dial := opts.Dial
		opts.Dial = func(ctx context.Context) (*redisconn.Client, error) {
			if !open.Load() {
				return nil, errors.New("not yet")
			}
			return dial(ctx)
		}
	}
	const n = 50_000
	o := openSpooled(t, s, dir, 64<<20, gate)
	number(o, 0, n/2)
	o.Close(time.Hour)
	o = openSpooled(t, s, dir, 64<<20, gate)
	number(o, n/2, n)
	key := logstream.Keys("t")[logstream.Info]
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
	c := s.Dial(1)
	for i := range 10 {
		if _, err := c.Do("XADD", key, entry.ID{Ms: ahead + uint64(i)*1000, Seq: 1<<64 - 1}, "message", "foreign"); err != nil {
			t.Fatal(err)
		}
		open.Store(true)
		time.Sleep(20 * time.Millisecond)
	}
	closeAll(t, o)
	i := 0
	for _, m := range s.Messages(key) {
		if m == "foreign" {
			continue
		}
		if want := fmt.Sprintf("line %d", i); m != want {
			t.Fatalf("%q, want %q", m, want)
		}
		i++
	}
	if i != n {
		t.Errorf("%d entries of ours, want %d", i, n)
	}
	if len(said(s, "another writer")) == 0 {
		t.Errorf("status: %q", s.Messages(logstream.Keys("t")[logstream.Status]))
	}
}

// TestDeadLetters writes to a key that is no stream: the entries are set aside, and the other
// streams go on.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	keys := logstream.Keys("t")
	if _, err := s.Dial(1).Do("SET", keys[logstream.Info], "no stream"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	number(o, 0, 5000)
	o.Say(logstream.Status, "still here")
	closeAll(t, o)
	if got := said(s, "still here"); len(got) != 1 {
		t.Error("the status is not there")
	}
	text, err := os.ReadFile(filepath.Join(dir, spool.DeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 5000 || !strings.Contains(lines[4999], `"message":"line 4999"`) || !strings.Contains(lines[0], `"reply":"WRONGTYPE `) {
		t.Errorf("%d letters, the last %s", len(lines), lines[len(lines)-1])
	}
	if got := s.Messages(keys[logstream.Error]); len(got) != 1 || !strings.Contains(got[0], dir) {
		t.Errorf("error: %q", got)
	}
}

// TestAdoptLate adopts a spool after entries of this process have landed: those in the spool are
// delivered, although they have the same ordinals and the app writes nothing more.
func TestAdoptLate(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	store, left := leave(t, NewWriter(), 10, 20, 1)

	var free atomic.Bool
	o := open(t, s, func(opts *Options) {
		opts.SpoolSize = 64 << 20
		opts.OpenSpool = func() (*spool.Spool, *spool.Left, error) {
			if !free.Load() {
				return nil, nil, spool.ErrInUse
			}
			return store, left, nil
		}
	})
	add(o, "new")
	key := logstream.Keys("t")[logstream.Info]
	eventually(t, "the new entry", func() bool { return len(s.Messages(key)) == 1 })
	free.Store(true)
	eventually(t, "the old entries", func() bool { return len(s.Messages(key)) == 11 })
	closeAll(t, o)
}

// TestAdoptLateAndEnd adopts a spool while Redis is away and entries of this process wait before
// those in it, and ends: the next process delivers all.
func TestAdoptLateAndEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	first := openSpooled(t, s, dir, 64<<20, nil)
	number(first, 0, 1000)
	second := open(t, s, func(opts *Options) {
		opts.SpoolSize = 64 << 20
		opts.OpenSpool = func() (*spool.Spool, *spool.Left, error) { return spool.Open(dir, 64<<20, opts.Writer) }
	})
	number(second, 1000, 1010)
	end := func(o *Outbox, least int) {
		if lost, kept, _ := o.Close(time.Hour); lost != 0 || kept < least {
			t.Errorf("%d entries lost, %d kept", lost, kept)
		}
	}
	end(first, 1000)
	eventually(t, "the spool is adopted", func() bool { return second.q.spool() != nil })
	end(second, 1010)
	s.Up()
	third := openSpooled(t, s, dir, 64<<20, nil)
	closeAll(t, third)
	checkNumbered(t, s, 1010)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool is still there: %v", err)
	}
}

// TestAdoptLateAndRefused adopts a spool while Redis refuses entries, after this process has delivered
// some of its own, and ends: the spool counts as delivered only once its entries have landed.
func TestAdoptLateAndRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dir := filepath.Join(t.TempDir(), "spool")
	first := openSpooled(t, s, dir, 64<<20, func(opts *Options) {
		opts.Dial = func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") }
	})
	number(first, 1, 1000)
	second := open(t, s, func(opts *Options) {
		opts.SpoolSize = 64 << 20
		opts.OpenSpool = func() (*spool.Spool, *spool.Left, error) { return spool.Open(dir, 64<<20, opts.Writer) }
	})
	number(second, 0, 1)
	eventually(t, "the second has delivered", second.q.empty)
	c := s.Dial(0)
	do(t, c, "CONFIG", "SET", "maxmemory", "1")
	first.Close(short)
	untilOOM(t, second)
	eventually(t, "the spool is read", func() (read bool) {
		second.q.withLock(func(q *queue) { read = q.store != nil && q.unloaded == 0 })
		return read
	})
	if _, kept, _ := second.Close(short); kept != 999 {
		t.Errorf("%d kept", kept)
	}
	do(t, c, "CONFIG", "SET", "maxmemory", "0")
	closeAll(t, openSpooled(t, s, dir, 64<<20, nil))
	checkNumbered(t, s, 1000)
	if got := said(s, "delivered from the spool"); len(got) != 1 {
		t.Errorf(":status has %q", got)
	}
}

// TestNotRemoved has a segment that cannot be removed when all in it has landed: the next process
// finds nothing to deliver in it.
func TestNotRemoved(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t)
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	number(o, 0, 1000)
	allSpooled(t, o)
	file, aside := segments(t, dir)[0], filepath.Join(dir, "aside")
	if err := errors.Join(os.Rename(file, aside), os.MkdirAll(filepath.Join(file, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	s.Up()
	closeAll(t, o)
	checkNumbered(t, s, 1000)
	if err := errors.Join(os.RemoveAll(file), os.Rename(aside, file)); err != nil {
		t.Fatal(err)
	}
	store, left, err := spool.Open(dir, 64<<20, NewWriter())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if len(left.Extents) > 0 {
		t.Errorf("%v left, by %v", left.Extents, left.Notes)
	}
}

// leave returns a spool in which an earlier process left entries of size bytes each, in as many
// extents as given.
func leave(t *testing.T, writer uint64, entries, size, extents int) (*spool.Spool, *spool.Left) {
	t.Helper()
	dir := t.TempDir()
	store, _, err := spool.Open(dir, 64<<20, writer)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		message := fmt.Appendf(nil, "%*d", size, i)
		r := make(record, spool.Size(message, nil))
		r.Fill(uint64(i+1), entry.ID{Ms: uint64(i + 1)}, logstream.Info, 0, 0, message, nil)
		if _, err := store.Append(r, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store, left, err := spool.Open(dir, 64<<20, writer)
	if err != nil || len(left.Extents) != extents {
		t.Fatal(left, err)
	}
	return store, left
}

// TestLetterSynced checks that an entry set aside is synced without other writes.
func TestLetterSynced(t *testing.T) {
	t.Parallel()
	store, _ := leave(t, 1, 1, 10, 1)
	t.Cleanup(func() { store.Close() })
	o := &Outbox{q: newQueue(4<<20, true, 1), opts: Options{Keys: logstream.Keys("t"), Log: slog.New(slog.DiscardHandler)}}
	o.q.store = store
	r := make(record, spool.Size(nil, nil))
	r.Fill(1, entry.ID{Ms: 1}, logstream.Info, 0, 0, nil, nil)
	if o.refuse(r, "WRONGTYPE"); len(o.q.sync) != 1 {
		t.Error("no sync is due")
	}
}

// TestFillBatch checks that a batch takes entries that only the spool has from as many slabs as
// it has room for.
func TestFillBatch(t *testing.T) {
	t.Parallel()
	store, left := leave(t, 1, 3, spool.ExtentSize/2, 3)
	t.Cleanup(func() { store.Close() })
	o := &Outbox{q: newQueue(4<<20, true, 1)}
	o.q.mu.Lock()
	o.q.adopt(store, 64<<20, left)
	o.q.mu.Unlock()
	for _, limit := range []int{2, pipelineRecords} {
		o.q.next = o.q.head
		b := batch{limit: limit}
		if o.fillBatch(&b, 0); b.records != min(limit, 3) {
			t.Errorf("a batch of %d entries, want %d", b.records, min(limit, 3))
		}
	}
}
