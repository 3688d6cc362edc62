package eventlog

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	mostQueued = 1000            // mostQueued: writes that may wait
	lastWait   = 5 * time.Second // lastWait: how long Close waits for the rest
)

// A Queue writes to another Writer in the background, in order. If that stops, as a pipe that
// is not read, no caller waits for it: writes that find no room are left out and counted.
type Queue struct {
	w     io.Writer
	queue chan queued
	done  chan struct{}

	mu   sync.Mutex
	left int // left: writes left out since the last one that was queued
}

type queued struct {
	text []byte
	last bool
}

// NewQueue returns a Queue that writes to w. Close ends it.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{w: w, queue: make(chan queued, mostQueued), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues a copy of b. It never fails.
func (q *Queue) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case q.queue <- queued{text: append(q.note(), b...)}:
		q.left = 0
	default:
		q.left++
	}
	return len(b), nil
}

// note returns what stands in the place of the writes that were left out. The caller holds mu.
func (q *Queue) note() []byte {
	if q.left == 0 {
		return nil
	}
	return fmt.Appendf(nil, "(%d messages are left out here: they came faster than they were read)\n", q.left)
}

func (q *Queue) run() {
	defer close(q.done)
	for m := range q.queue {
		q.w.Write(m.text)
		if m.last {
			return
		}
	}
}

// Close waits until everything is written, for lastWait at most.
func (q *Queue) Close() {
	timeout := time.After(lastWait)
	q.mu.Lock()
	last := queued{q.note(), true}
	q.mu.Unlock()
	select {
	case q.queue <- last:
	case <-timeout:
		return
	}
	select {
	case <-q.done:
	case <-timeout:
	}
}
