// Package outbox delivers entries to Redis Streams: in order and each once. Callers wait only
// while the memory for entries is full; see queue.makeRoom.
//
// Entries are copied into a bounded queue and numbered. The sender calls a script in Redis,
// which adds the entries that the stream lacks and stores, in the same step, the number of the
// last one: the position. So entries that are sent again after a lost connection are added
// once. While Redis is away or slow the queue goes to a spool on
// disk, if there is one, and is sent from there. The next process that opens the spool
// delivers the rest.
//
// The goroutines, all ended by Close:
//
//	sender     sends to Redis; it alone changes sender.landed (sender.go)
//	fillAhead  prepares the sender's next batch while one is on its way (sender.go)
//	watchAll   changes the mode when Redis becomes slow or has caught up (mode.go)
//	spillAll   writes slabs to the spool, drops from a full one, removes what has landed (spool.go)
//	syncAll    syncs the spool (spool.go)
//	openSpool  waits for a spool that another process uses
//
// queue.mu guards the queue and everything in it. A record is an entry in bytes, a slab is records
// in memory, an extent is a slab in a segment of the spool. On the way to Redis records are in
// calls of the script, and calls in a batch.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// Options say what an Outbox delivers, and where to. Log and the fields below it are
// optional.
type Options struct {
	Keys       [logstream.Count]string
	Writer     uint64 // tells this process's entries from those of others; see NewWriter
	MaxEntries int    // XADD MAXLEN ~
	Limit      int    // bytes of entries that may wait in memory
	Block      bool   // when there is no room, wait even if Redis is away
	Dial       func(context.Context) (*redisconn.Client, error)
	Log        *slog.Logger

	Spool     *spool.Spool // nil: memory only; the outbox closes it
	Left      *spool.Left  // what an earlier process left in it
	SpoolSize int64        // limit of all its segments together, in bytes

	// Dropped, if not nil, gets the number of dropped entries and the text of the :status
	// entry. An earlier process may have dropped them. It is called with the queue's lock
	// held: it must not wait, nor call the Outbox.
	Dropped func(entries int, text string)

	// OpenSpool, if not nil, is called again and again while another process uses the
	// spool.
	OpenSpool func() (*spool.Spool, *spool.Left, error)

	renewEvery time.Duration // renewEvery: 0: the constant; another for tests
}

// NewWriter returns the identity of a process, and of all runs of its app.
func NewWriter() uint64 { return rand.Uint64() }

// An Outbox takes entries from any goroutine and delivers them.
type Outbox struct {
	opts   Options
	q      *queue
	ctx    context.Context // until Close gives up
	cancel context.CancelFunc

	done    chan struct{} // closed when the sender has returned
	why     error         // error of the last connection or dial; read it after done
	reached chan struct{} // closed at the first connection that worked
	closing chan struct{} // closed by Close

	workers      sync.WaitGroup // watchAll, spillAll, syncAll, openSpool
	stop         chan struct{}  // closed to end the workers
	chunk        []byte         // records on their way to the spool; only spillAll uses it
	diskReported time.Time      // when a disk error was last reported; the queue's lock guards it
	loading      atomic.Int64   // LOADING replies so far
}

// New returns a running Outbox. Its first connection is client, unless that is nil.
// Close ends it.
func New(opts Options, client *redisconn.Client) *Outbox {
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	opts.renewEvery = cmp.Or(opts.renewEvery, renewEvery)
	o := &Outbox{
		opts:    opts,
		q:       newQueue(opts.Limit, opts.Block, opts.Writer),
		done:    make(chan struct{}),
		reached: make(chan struct{}),
		closing: make(chan struct{}),
		stop:    make(chan struct{}),
	}
	if client != nil {
		o.q.away = ""
	}
	o.q.dropped = opts.Dropped
	if opts.Spool != nil {
		o.adopt(opts.Spool, opts.Left)
	} else if opts.OpenSpool != nil {
		o.workers.Go(func() { o.openSpool(o.stop) })
	}
	o.workers.Go(func() { o.spillAll(o.stop) })
	o.workers.Go(func() { o.syncAll(o.stop) })
	o.workers.Go(func() { o.watchAll(o.stop) })
	o.ctx, o.cancel = context.WithCancel(context.Background())
	go newSender(o).run(client)
	return o
}

// adopt starts to use a spool.
func (o *Outbox) adopt(store *spool.Spool, left *spool.Left) {
	q := o.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, found := range left.Found {
		o.opts.Log.Warn(found)
	}
	if records := q.adopt(store, o.opts.SpoolSize, left); records > 0 {
		o.opts.Log.Info("an earlier run left entries in the spool; they go first", "entries", records, "spool", store.Dir())
	}
	q.watched()
	q.signal()
}

// Pauses between attempts to open a spool that another process uses: doubled from the
// first to the last.
const (
	firstOpen = 100 * time.Millisecond
	lastOpen  = 5 * time.Second
)

// openSpool opens the spool as soon as the other process has ended, and adopts it.
func (o *Outbox) openSpool(stop <-chan struct{}) {
	for pause := firstOpen; ; pause = min(2*pause, lastOpen) {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		store, left, err := o.opts.OpenSpool()
		if errors.Is(err, spool.ErrInUse) || errors.Is(err, fs.ErrNotExist) {
			continue // the other process is just removing it
		}
		if err != nil {
			o.opts.Log.Warn("no spool; entries wait in memory only", "error", err)
			return
		}
		o.adopt(store, left)
		o.opts.Log.Info("the other wrapp has ended; its spool is in use here", "spool", store.Dir())
		return
	}
}

// Add copies a line that was read at the given time. While the memory is full it waits if the disk
// or Redis is about to make room, or Options.Block is set; else the oldest entries are dropped.
// Call Send after the last line of a read.
func (o *Outbox) Add(at time.Time, stream logstream.Stream, flags entry.Flags, message []byte) {
	o.q.mu.Lock()
	o.q.add(stream, flags, milliseconds(at), message, nil, 0)
	o.q.mu.Unlock()
}

// Send wakes the sender.
func (o *Outbox) Send() { o.q.signal() }

// Say adds an entry of wrapp's own, which is dropped after all lines; see spool.Class. fields
// are names and values, in turn, besides `message`. It returns the ID that Redis gives the entry, unless the
// stream has a newer one by then.
func (o *Outbox) Say(stream logstream.Stream, message string, fields ...string) entry.ID {
	o.q.mu.Lock()
	o.q.add(stream, 0, milliseconds(time.Now()), []byte(message), fields, spool.Own)
	id := o.q.last
	o.q.mu.Unlock()
	o.q.signal()
	return id
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// endOutage lets entries go to Redis again and reports what was dropped since it went away;
// since is zero if the first attempt of all worked. logged: the log mentions the outage.
func (o *Outbox) endOutage(since time.Time, logged bool) {
	gone := time.Since(since).Round(time.Millisecond)
	why := fmt.Sprintf("Redis was away for %v", gone)
	if since.IsZero() {
		why = "Redis was away"
	}
	o.q.setAway("")
	o.q.mu.Lock()
	if began := o.q.episode.began; !began.IsZero() && began.Before(since) {
		why = o.q.awayOrSlow() // Redis did not take entries before it went away
	}
	dropped, _ := o.q.reportDropped(why)
	o.q.mu.Unlock()
	if logged {
		o.opts.Log.Info("redis is back", "after", gone, "dropped", dropped)
	}
	o.q.signal()
}
