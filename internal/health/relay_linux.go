package health

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// A relay forwards the app's sd_notify messages to wrapp's own NOTIFY_SOCKET, in order,
// and never blocks the caller. A nil relay forwards nothing.
type relay struct {
	socket string // socket: its path; with a leading "@" an abstract one
	log    *slog.Logger
	queue  chan string
	done   chan struct{}
	left   int // left: messages that found no room in queue

	mu  sync.Mutex
	end time.Time // end: when run gives up on the rest; zero before close
}

const (
	mostRelayed  = 256         // mostRelayed: messages that may wait
	relayTimeout = time.Second // relayTimeout: for one message, and for all that wait at the end
)

func newRelay(socket string, log *slog.Logger) *relay {
	if socket == "" {
		return nil
	}
	r := &relay{socket: socket, log: log, queue: make(chan string, mostRelayed), done: make(chan struct{})}
	go r.run()
	return r
}

// pass queues text. One goroutine at a time may call it.
func (r *relay) pass(text string) {
	if r == nil {
		return
	}
	select {
	case r.queue <- text:
	default:
		if r.left++; r.left == 1 {
			r.log.Warn("notifications of the app are not passed on: the receiver of NOTIFY_SOCKET does not read them; it is told once")
		}
	}
}

// close sends the queued messages, and ends the relay.
func (r *relay) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.end = time.Now().Add(relayTimeout)
	r.mu.Unlock()
	close(r.queue)
	<-r.done
}

func (r *relay) run() {
	defer close(r.done)
	var outcomes streak
	for text := range r.queue {
		outcomes.log(r.log, r.send(text), "cannot pass on the app's notifications", "the app's notifications are passed on again")
	}
}

func (r *relay) send(text string) error {
	conn, err := net.Dial("unixgram", r.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	until := time.Now().Add(relayTimeout)
	r.mu.Lock()
	if !r.end.IsZero() && r.end.Before(until) {
		until = r.end
	}
	r.mu.Unlock()
	conn.SetWriteDeadline(until)
	_, err = conn.Write([]byte(text))
	return err
}
