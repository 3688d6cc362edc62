package command

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestDebugSilent has clients connect that are no debuggers. The app stays paused for the
// debugger that connects later.
func TestDebugSilent(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d, file, letEnd := waiting(t, s)
	dial := func(says string) net.Conn {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+d.port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	for _, says := range []string{"", "+", "GET / HTTP/1.1\r\n\r\n"} {
		conn := dial(says)
		conn.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	}
	// The connection also ends after more bytes than a packet has, without its first character.
	long := dial(strings.Repeat("x", 4<<10))
	if _, err := io.ReadAll(long); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	dial("") // stays to the end
	saysNone(t, d.said(), `connected`)
	atTheFirst(t, file, d.debug(file, "info auxv", "print/x $pc", "detach"))
	d.runs(letEnd)
	saysNone(t, d.said(), `turned away`)
}

// TestDebugAgain connects again right after it has left, while the last session is still
// ending.
func TestDebugAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d, _, letEnd := waiting(t, s)
	for range 3 {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+d.port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "+$?#3f"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len("+$T"))
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "+$T" {
			t.Errorf("%q, %v", answer, err)
		}
		conn.Close()
	}
	d.runs(letEnd)
	saysNone(t, d.said(), `turned away`)
}

// TestDebugDeaf has a client leave that sends and does not read, so that all buffers between
// it and gdbserver are full in both directions.
func TestDebugDeaf(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d, _, letEnd := waiting(t, s)
	conn, err := net.Dial("tcp4", "127.0.0.1:"+d.port)
	if err != nil {
		t.Fatal(err)
	}
	questions := "+" + strings.Repeat("$?#3f", 10_000)
	for err == nil {
		conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		_, err = io.WriteString(conn, questions)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	conn.Close()
	d.runs(letEnd)
}

// TestDebugHalf stops wrapp when one client has sent half a packet, and another nothing.
func TestDebugHalf(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, says := range map[string]string{"nothing": "", "half a packet": "+$qSupp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _, _ := waiting(t, s, "--stop-timeout", "40s")
			conn, err := net.Dial("tcp4", "127.0.0.1:"+d.port)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, says); err != nil {
				t.Fatal(err)
			}
			if says != "" {
				d.eventuallyState("t")
			}
			d.term()
			d.ends(128 + 15)
		})
	}
}
