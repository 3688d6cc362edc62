// Package outbox delivers entries to Redis Streams: in order, each once, and
// without making whoever adds them wait for Redis.
//
// What is added is copied into a bounded queue. One goroutine sends from the
// queue as a pipeline of XADD commands with explicit IDs and another collects
// the answers. An entry leaves the queue when Redis has answered for it, or when
// a look into the stream has shown that it landed. While Redis is away or slow
// the queue goes to a spool on disk, if there is one, and is sent from there;
// what is left there at the end is for the next process that opens the spool.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// Options say what an Outbox delivers where. All fields but those of the spool
// are needed.
type Options struct {
	Keys       [entry.Streams]string
	MaxEntries int  // XADD MAXLEN ~
	Limit      int  // bytes of entries that may wait in memory
	Block      bool // when there is no room, wait even if Redis is away
	Dial       func(context.Context) (*redisconn.Conn, error)
	Log        *eventlog.Logger

	Spool     *spool.Spool // nil: memory only; the outbox closes it
	Left      *spool.Left  // what was in it
	SpoolSize int64        // bytes that it may have
}

// An Outbox takes entries from any goroutine and delivers them.
type Outbox struct {
	opts   Options
	q      *queue
	enc    *encoder
	ctx    context.Context // until Close gives up
	cancel context.CancelFunc
	done   chan struct{} // closed when deliver has returned

	lost     [entry.Streams]int    // entries that Redis will never take; only collect counts
	lostKept [entry.Streams]int    // of them, among the dead letters
	leap     [entry.Streams]uint64 // milliseconds; see blind
	spent    [entry.Streams]bool   // no ID is left above what the stream has; as seen
	deadTold bool                  // that not all of them are

	told [entry.Streams]bool // that we cannot look into the stream; only reconcile says it
	seen sightings

	chunk    []byte    // what is being written to the spool
	noted    uint64    // how far its journal says that we are
	diskTold time.Time // that it cannot be written
	untold   atomic.Bool
	keepers  sync.WaitGroup // watchAll, spillAll, syncAll
	stop     chan struct{}  // ends them

	why error // the end of the last connection, or why there was none; read it after done

	reached chan struct{} // closed at the first connection that worked
	closing chan struct{} // closed by Close
}

// New returns an Outbox that delivers, beginning with the connection conn if it
// is not nil. Close ends it.
func New(opts Options, conn *redisconn.Conn) *Outbox {
	o := &Outbox{
		opts:    opts,
		q:       newQueue(opts.Limit, opts.Block),
		enc:     newEncoder(opts.Keys, opts.MaxEntries),
		done:    make(chan struct{}),
		reached: make(chan struct{}),
		closing: make(chan struct{}),
		stop:    make(chan struct{}),
	}
	o.q.away = conn == nil
	if opts.Spool != nil {
		o.inherit()
		o.keepers.Go(func() { o.spillAll(o.stop) })
		o.keepers.Go(func() { o.syncAll(o.stop) })
	}
	o.keepers.Go(func() { o.watchAll(o.stop) })
	o.ctx, o.cancel = context.WithCancel(context.Background())
	go o.deliver(conn)
	return o
}

// inherit takes over what an earlier process left in the spool.
func (o *Outbox) inherit() {
	left := o.opts.Left
	records := o.q.inherit(o.opts.Spool, o.opts.SpoolSize, left)
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for _, found := range left.Found {
		o.opts.Log.Warn(found)
		o.q.say(found)
	}
	if left.Missing > 0 {
		o.q.say(fmt.Sprintf("%d entries in the spool are lost to damage", left.Missing))
	}
	if records > 0 {
		o.opts.Log.Info("an earlier run left entries in the spool; they go first", "entries", records, "spool", o.opts.Spool.Dir())
		// This stands behind them: when it can be read they have been delivered.
		o.q.say(fmt.Sprintf("%d entries delivered from the spool, where an earlier run left them", records))
	}
}

// A Batch adds entries that were read at one instant. It holds the outbox's
// lock from Begin to End.
type Batch struct {
	o  *Outbox
	ms uint64
}

// Begin starts a Batch.
func (o *Outbox) Begin(at time.Time) Batch {
	o.q.mu.Lock()
	return Batch{o, milliseconds(at)}
}

// Add copies one entry into the outbox. It waits only when the outbox is full
// and Redis is taking entries, or when it was told to wait.
func (b Batch) Add(stream entry.Stream, flags entry.Flags, message []byte) {
	b.o.q.add(stream, flags, b.ms, message, nil, 0)
}

// End ends the Batch and sees to it that it is sent.
func (b Batch) End() {
	b.o.q.mu.Unlock()
	b.o.q.signal()
}

// Say adds an entry of wrapp's own, the last to be dropped. Fields are the names
// and values, in turn, of fields besides `message`.
func (o *Outbox) Say(stream entry.Stream, message string, fields ...string) {
	o.q.mu.Lock()
	o.q.add(stream, 0, milliseconds(time.Now()), []byte(message), fields, spool.Kept)
	o.q.mu.Unlock()
	o.q.signal()
}

// Back-off between attempts to connect: doubled from the first to the last,
// each with a random half of it added.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// deliver connects, serves the connection until it breaks, and so on.
func (o *Outbox) deliver(conn *redisconn.Conn) {
	defer close(o.done)
	var (
		backoff = firstBackoff
		away    time.Time // since when, zero while Redis is not away
		told    bool
		refused *refusedError // why the last connection ended, if that was why
	)
	for {
		closing := o.isClosing()
		var err error
		if conn == nil {
			conn, err = o.opts.Dial(o.ctx)
		}
		if err == nil {
			served := func() {
				if !o.everReached() {
					close(o.reached)
				}
				backoff = firstBackoff
				o.welcome(away, told)
				away, told = time.Time{}, false
			}
			err = o.serve(conn, refused != nil, served)
			conn.Close()
			conn = nil
		}
		o.q.setAway(true)
		if o.ctx.Err() == nil {
			o.why = err
		}
		if o.ctx.Err() != nil || closing && !o.everReached() {
			return
		}
		if away.IsZero() {
			away = time.Now()
		}
		refused = nil
		errors.As(err, &refused)
		// A connection that can be had again at once is not worth a word.
		if !told && backoff > firstBackoff {
			told = true
			o.opts.Log.Warn("redis is away; entries wait", "error", err)
		}
		wait := backoff/2 + rand.N(backoff)
		backoff = min(2*backoff, lastBackoff)
		select {
		case <-time.After(wait):
		case <-o.ctx.Done():
			return
		case <-o.onceClosing(closing):
		}
	}
}

// onceClosing is readable when Close begins, or never if it already has.
func (o *Outbox) onceClosing(already bool) <-chan struct{} {
	if already {
		return nil
	}
	return o.closing
}

func (o *Outbox) isClosing() bool   { return closed(o.closing) }
func (o *Outbox) everReached() bool { return closed(o.reached) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// welcome tells that Redis is back, and what that has cost.
func (o *Outbox) welcome(away time.Time, told bool) {
	gone := time.Since(away).Round(time.Millisecond)
	why := fmt.Sprintf("Redis was away for %v", gone)
	if away.IsZero() {
		why = "Redis was away"
	}
	o.q.mu.Lock()
	dropped := o.tellDropped(why)
	o.q.mu.Unlock()
	if told {
		o.opts.Log.Info("redis is back", "after", gone, "dropped", dropped)
	}
	o.q.signal()
}

// serve delivers over one connection until it breaks or Redis refuses entries
// for now. It calls ready when Redis takes entries: that is taken for granted
// once there is a connection, unless it has just refused some; then it has to
// take one first.
func (o *Outbox) serve(conn *redisconn.Conn, refused bool, ready func()) error {
	takes := func() {
		o.q.setAway(false)
		ready()
	}
	for again := false; ; again = true {
		if err := o.reconcile(conn, again); err != nil {
			return err
		}
		if takes != nil && !refused {
			takes()
			takes = nil
		}
		if err := o.pump(conn, takes); !errors.Is(err, errIDRefused) {
			return err
		}
	}
}
