package run

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// passes reports whether output is copied to f under a logs.passthrough setting.
func passes(setting string, f *os.File) bool {
	return setting == "always" || setting == "auto" && IsTerminal(f)
}

const (
	teeRoom  = 1 << 20         // bytes that may wait, besides the batch that is being written
	teePiece = 4 << 10         // bytes of one write, which a pipe or a terminal accepts at once
	teeStall = 1 * time.Second // a reader that accepts no piece for this long has stopped
	teeLast  = 5 * time.Second // how long close waits for the rest to be written
)

// A tee copies the app's output to a file unchanged. A slow reader of that file slows the
// app down, as with any pipe. A stopped reader does not: the tee leaves out bytes that do not
// fit, counts them and reports the count. The streams have them all the same.
type tee struct {
	to   io.Writer
	name string // of the file
	log  *slog.Logger
	mu   sync.Mutex
	cond sync.Cond // something was written or added, or closed changed

	buf     []byte // waiting bytes
	writing int    // bytes of the batch that are not written yet
	written int    // bytes ever written; its change is progress
	stalled bool   // leave out bytes that do not fit, until buf is empty again
	left    int    // bytes left out
	closed  bool
	broken  bool // a write failed: nothing more is copied
	done    chan struct{}
}

// copies are the tees of standard output and error; nil: not copied. They outlive the runs of
// the app, so that the output of two runs stays in order.
type copies [2]*tee

// newCopies returns the copies that a logs.passthrough setting asks for. close ends them.
func newCopies(setting string, std Streams, log *slog.Logger) (c copies) {
	for i, f := range []*os.File{std.Stdout, std.Stderr} {
		if passes(setting, f) {
			c[i] = newTee(f, log)
		}
	}
	return c
}

func (c copies) close() {
	for _, t := range c {
		if t != nil {
			t.close()
		}
	}
}

func newTee(to *os.File, log *slog.Logger) *tee {
	t := &tee{to: process.Terminal(to), name: to.Name(), log: log, done: make(chan struct{})}
	t.cond.L = &t.mu
	go t.run()
	return t
}

// run writes the waiting bytes until close.
func (t *tee) run() {
	defer close(t.done)
	var batch []byte
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.buf) == 0 {
			t.stalled = false
			if t.closed {
				return
			}
			t.cond.Wait()
		}
		batch, t.buf = t.buf, batch[:0]
		for at := 0; at < len(batch); {
			t.writing = len(batch) - at
			piece := batch[at:min(at+teePiece, len(batch))]
			t.mu.Unlock()
			_, err := t.to.Write(piece)
			t.mu.Lock()
			if err != nil && !t.broken {
				t.broken = true
				t.log.Warn("output is not copied any more", "to", t.name, "error", err)
			}
			at += len(piece)
			t.written += len(piece)
			t.cond.Broadcast()
		}
		t.writing = 0
	}
}

// write copies b, or leaves it out.
func (t *tee) write(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken {
		return
	}
	if len(t.buf) > 0 && len(t.buf)+len(b) > teeRoom && !t.stalled {
		t.waitForRoom(len(b))
	}
	if len(t.buf) > 0 && len(t.buf)+len(b) > teeRoom {
		t.stalled = true
		t.left += len(b)
		return
	}
	t.buf = append(t.buf, b...)
	t.cond.Broadcast()
}

// waitForRoom waits until n bytes fit or buf is empty, as long as there is progress.
func (t *tee) waitForRoom(n int) {
	expired := false
	for len(t.buf) > 0 && len(t.buf)+n > teeRoom && !t.broken && !expired {
		written := t.written
		timer := time.AfterFunc(teeStall, func() {
			t.mu.Lock()
			expired = t.written == written
			t.mu.Unlock()
			t.cond.Broadcast()
		})
		t.cond.Wait()
		timer.Stop()
	}
}

// close waits until everything is written, as long as there is progress and for teeLast at
// most.
func (t *tee) close() {
	until := time.Now().Add(teeLast)
	t.mu.Lock()
	t.closed = true
	t.cond.Broadcast()
	t.mu.Unlock()
	for written := -1; ; {
		select {
		case <-t.done:
		case <-time.After(teeStall):
			t.mu.Lock()
			now := t.written
			t.mu.Unlock()
			if now != written && time.Now().Before(until) {
				written = now
				continue
			}
		}
		break
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.broken {
		t.left += t.writing + len(t.buf)
	}
	if t.left > 0 {
		t.log.Warn("the copied output was not read; the streams have all of it", "of", t.name, "bytes left out", t.left)
	}
}
