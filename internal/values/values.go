// Package values writes to Redis what an app counts and sets with markers in its output,
// {{key}} and {{key:42}}. It adds counts up and writes in the background; each count arrives
// once, even if the answer to a write is lost.
package values

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Options say where Values are written.
type Options struct {
	Name string // of the app: keys are wrapp:<name>:<key>
	Dial func(context.Context) (*redisconn.Client, error)
	Log  *slog.Logger // nil: no log
	// Refused gets, once for each key, the reason why Redis refuses it, and the reason why
	// markers are not counted. It must not call Values back.
	Refused func(reason string)
	MaxKeys int // how many keys the app may use; 0: mostKeys
}

const (
	// gather is how long changes are added up before they are written.
	gather = 50 * time.Millisecond

	// mostKeys bounds the keys that wait to be written, and longestKey and longestValue their
	// sizes in bytes: an app must not fill our memory while Redis is away.
	mostKeys     = 10_000
	longestKey   = 256
	longestValue = 1 << 10
)

// Values takes counts and settings from any goroutine, never waits for Redis, and
// connects to it once there is something to write.
type Values struct {
	w writer

	mu      sync.Mutex
	waiting map[string]*change  // waiting: by name
	order   []*change           // order: those in waiting, the oldest first
	dropped int                 // dropped: counts and settings that found no room
	keys    map[string]struct{} // keys: seen so far, up to MaxKeys
	more    bool                // more: a key beyond MaxKeys was reported
	news    chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

// A change sets one key, if it has a value, and then increments it.
type change struct {
	name    string // name: the key without the prefix wrapp:<name>:
	set     string // set: "" does not set the key
	add     int64
	decimal bool // decimal: with plain commands, the value in Redis has a fraction
	single  bool // single: with plain commands, the user may only increment by 1
}

// New returns Values; Close ends them.
func New(opts Options) *Values {
	if opts.MaxKeys == 0 {
		opts.MaxKeys = mostKeys
	}
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	v := &Values{
		w:       writer{opts: opts, id: fmt.Sprintf("%016x", rand.Uint64()), refused: make(map[string]bool)},
		waiting: make(map[string]*change),
		keys:    make(map[string]struct{}),
		news:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	go v.run()
	return v
}

// Count increments a value by 1.
func (v *Values) Count(key []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.waitingChange(key); c != nil {
		c.add++
	}
}

// Set sets a value, as the app wrote it.
func (v *Values) Set(key, value []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(value) > longestValue {
		v.dropped++
	} else if c := v.waitingChange(key); c != nil {
		c.set, c.add = string(value), 0
	}
}

// waitingChange returns the waiting change of key, or a new one; nil if there is no
// room.
func (v *Values) waitingChange(key []byte) *change {
	if c := v.waiting[string(key)]; c != nil {
		return c
	}
	if len(v.order) >= mostKeys || len(key) > longestKey {
		v.dropped++
		return nil
	}
	if _, known := v.keys[string(key)]; !known {
		if most := v.w.opts.MaxKeys; len(v.keys) >= most {
			if !v.more { // reported here: the streams may be closed before run gets there
				v.more = true
				v.w.opts.Refused(fmt.Sprintf("the app's markers have named %d keys, the limit of logs.max_keys; further ones are not counted", most))
			}
			return nil
		}
		v.keys[string(key)] = struct{}{}
	}
	c := &change{name: string(key)}
	v.waiting[c.name] = c
	v.order = append(v.order, c)
	select {
	case v.news <- struct{}{}:
	default:
	}
	return c
}

// nextBatch removes and returns the oldest changes, and the number of changes dropped since
// the last call.
func (v *Values) nextBatch() (batch []change, dropped int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for size := 0; len(batch) < min(len(v.order), mostInBatch) && size < mostBytes; {
		c := v.order[len(batch)]
		batch = append(batch, *c)
		delete(v.waiting, c.name)
		size += v.w.size(c)
	}
	v.order = slices.Delete(v.order, 0, len(batch))
	dropped, v.dropped = v.dropped, 0
	return batch, dropped
}

// run writes waiting changes until quit is closed.
func (v *Values) run() {
	defer close(v.done)
	for {
		select {
		case <-v.quit:
			return
		case <-v.news:
		}
		select {
		case <-v.quit:
			return
		case <-time.After(gather):
		}
		v.write(v.quit, false)
	}
}

// write writes until nothing waits, or until quit is closed and an attempt fails or writes only a
// part of its batch. If last, a Redis that was never reached is tried only once.
func (v *Values) write(quit <-chan struct{}, last bool) {
	for {
		if len(v.w.batch) == 0 {
			batch, dropped := v.nextBatch()
			if dropped > 0 {
				v.w.opts.Refused(fmt.Sprintf("%d markers are not counted: Redis has taken no values while there were %d different keys, or a key was longer than %d bytes or a value than %d", dropped, mostKeys, longestKey, longestValue))
			}
			if len(batch) == 0 {
				return
			}
			v.w.begin(batch)
		}
		if err := v.w.write(); err == nil {
			select {
			case <-quit:
				if v.w.partly() {
					return
				}
			default:
			}
			continue
		}
		if last && !v.w.ever {
			return
		}
		select {
		case <-quit:
			return
		case <-time.After(v.w.wait()):
		}
	}
}

// Close writes the waiting changes. After patience it gives up when an attempt fails or writes
// only a part of its batch. If Redis was never reached, it tries once. unwritten is the number of
// keys whose last changes are lost, and why is the last error.
func (v *Values) Close(patience time.Duration) (unwritten int, why error) {
	close(v.quit)
	<-v.done
	late := make(chan struct{})
	timer := time.AfterFunc(patience, func() { close(late) })
	defer timer.Stop()
	v.w.ending = true
	v.write(late, true)
	v.w.expirePosition()
	v.w.hangUp()
	unwritten = len(v.order)
	for _, c := range slices.Concat(v.w.batch, v.w.rest) {
		if v.waiting[c.name] == nil {
			unwritten++
		}
	}
	if unwritten > 0 && v.w.why == nil {
		v.w.why = errors.New("the user may neither run scripts nor INCRBY: there was no time to send the counts one by one")
	}
	return unwritten, v.w.why
}
