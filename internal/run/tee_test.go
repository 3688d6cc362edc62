package run

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A slowWriter needs some of the bubble's time for each write, and stops after some bytes.
type slowWriter struct {
	mu   sync.Mutex
	buf  []byte
	each time.Duration
	most int           // bytes until it stops; 0: never
	stop chan struct{} // a write after that waits for stop
}

func (w *slowWriter) Write(b []byte) (int, error) {
	if w.most > 0 && len(w.written())+len(b) > w.most {
		<-w.stop
		return len(b), nil
	}
	time.Sleep(w.each)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	return len(b), nil
}

func (w *slowWriter) written() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf
}

func teeTo(w *slowWriter, said *bytes.Buffer) *tee {
	t := &tee{to: w, name: "out", log: slog.New(slog.NewTextHandler(said, nil)), done: make(chan struct{})}
	t.cond.L = &t.mu
	go t.run()
	return t
}

// TestSlowTee has a reader of 8 KiB/s: the writer waits for it, and only bytes that still wait
// when close has waited long enough are left out.
func TestSlowTee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		w := &slowWriter{each: teePiece * time.Second / (8 << 10)}
		tee := teeTo(w, &said)
		var all []byte
		for i := range 64 {
			b := bytes.Repeat([]byte{byte(i)}, 64<<10)
			all = append(all, b...)
			tee.write(b)
		}
		begun := time.Now()
		tee.close()
		if took := time.Since(begun); took > teeLast+teeStall {
			t.Errorf("the end took %v", took)
		}
		written := w.written()
		if !bytes.HasPrefix(all, written) || len(written) < len(all)-2*teeRoom-teePiece {
			t.Errorf("%d bytes of %d, or other ones", len(written), len(all))
		}
		if !strings.Contains(said.String(), "was not read") {
			t.Errorf("%q", said.String())
		}
		tee.mu.Lock()
		left := tee.left
		tee.mu.Unlock()
		if missing := len(all) - len(written); left < missing-teePiece || left > missing+teePiece {
			t.Errorf("%d bytes left out, but %d written of %d", left, len(written), len(all))
		}
		<-tee.done
	})
}

// TestStoppedTee has a reader that stops for good: the writer waits once, and bytes that do not
// fit are counted.
func TestStoppedTee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		w := &slowWriter{most: 100 << 10, stop: make(chan struct{})}
		tee := teeTo(w, &said)
		begun, total := time.Now(), 0
		for range 100 {
			tee.write(make([]byte, 64<<10))
			total += 64 << 10
		}
		if took := time.Since(begun); took > 2*teeStall {
			t.Errorf("the app was held for %v", took)
		}
		tee.close()
		if left := total - len(w.written()); tee.left != left {
			t.Errorf("%d bytes left out, want %d", tee.left, left)
		}
		close(w.stop)
		<-tee.done
	})
}
