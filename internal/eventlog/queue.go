package eventlog

import (
	"fmt"
	"io"
	"sync/atomic"
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
	queue chan []byte // queue: nil ends run
	left  atomic.Int64
	done  chan struct{}
}

// NewQueue returns a Queue that writes to w. Close ends it.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{w: w, queue: make(chan []byte, mostQueued), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues a copy of b. It never fails.
func (q *Queue) Write(b []byte) (int, error) {
	select {
	case q.queue <- append([]byte{}, b...):
	default:
		q.left.Add(1)
	}
	return len(b), nil
}

func (q *Queue) run() {
	defer close(q.done)
	for b := range q.queue {
		if b == nil {
			return
		}
		q.w.Write(b)
		if n := q.left.Swap(0); n > 0 {
			fmt.Fprintf(q.w, "(%d messages are left out here: they came faster than they were read)\n", n)
		}
	}
}

// Close waits until everything is written, for lastWait at most.
func (q *Queue) Close() {
	timeout := time.After(lastWait)
	select {
	case q.queue <- nil:
	case <-timeout:
		return
	}
	select {
	case <-q.done:
	case <-timeout:
	}
}
