package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// patience bounds the wait for anything that must happen.
const patience = 2 * time.Minute

// A leash controls the app: the app writes up to the line that the leash allows, and reports
// its progress.
type leash struct {
	l    net.Listener
	conn net.Conn

	mu    sync.Mutex
	at    int // lines that the app has written
	gone  bool
	moved chan struct{} // readable when at or gone has changed
}

func newLeash() (*leash, error) {
	l, err := net.Listen("unix", "") // the kernel chooses an abstract name
	if err != nil {
		return nil, err
	}
	return &leash{l: l, moved: make(chan struct{}, 1)}, nil
}

func (h *leash) addr() string { return h.l.Addr().String() }

// catch waits for the app of a new run.
func (h *leash) catch() error {
	h.l.(*net.UnixListener).SetDeadline(time.Now().Add(patience))
	conn, err := h.l.Accept()
	if err != nil {
		return fmt.Errorf("the app does not begin: %w", err)
	}
	h.mu.Lock()
	h.conn, h.at, h.gone = conn, 0, false
	h.mu.Unlock()
	go h.listen(conn)
	return nil
}

func (h *leash) listen(conn net.Conn) {
	defer conn.Close()
	words := bufio.NewScanner(conn)
	for more := true; more; {
		more = words.Scan()
		h.mu.Lock()
		if h.conn == conn {
			fmt.Sscanf(words.Text(), "at %d", &h.at)
			h.gone = !more
		}
		h.mu.Unlock()
		select {
		case h.moved <- struct{}{}:
		default:
		}
	}
}

// write lets the app write up to line upto.
func (h *leash) write(upto int) error {
	_, err := fmt.Fprintf(h.conn, "write %d\n", upto)
	return err
}

// exit makes the app end with a status.
func (h *leash) exit(status int) error {
	_, err := fmt.Fprintf(h.conn, "exit %d\n", status)
	return err
}

// reached waits until the app has written n lines.
func (h *leash) reached(n int) error {
	late := time.After(patience)
	for {
		at, gone := h.wrote()
		switch {
		case at >= n:
			return nil
		case gone:
			return fmt.Errorf("the app is gone after %d lines of %d", at, n)
		}
		select {
		case <-h.moved:
		case <-late:
			return fmt.Errorf("the app waits: it has written %d lines of %d in %v", at, n, patience)
		}
	}
}

func (h *leash) wrote() (lines int, gone bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, h.gone
}

func (h *leash) close() {
	h.l.Close()
	if h.conn != nil {
		h.conn.Close()
	}
}

// until waits until happened returns true, or fails after patience.
func until(what string, happened func() (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ok, err := happened()
		if ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return errors.New("in vain: waiting until " + what)
		}
	}
}
