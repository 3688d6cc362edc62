package sysio

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestConn writes much through a connection whose reader begins late, and ends it by a
// deadline and by the other side.
func TestConn(t *testing.T) {
	t.Parallel()
	from, to := pair(t)
	from, to = Conn(from), Conn(to)
	want := bytes.Repeat([]byte("0123456789"), 1<<20)
	failed := make(chan error, 1)
	go func() {
		_, err := from.Write(want)
		failed <- err
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes arrived: %v", err)
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
	to.SetReadDeadline(time.Unix(1, 0))
	if _, err := to.Read(got); !os.IsTimeout(err) {
		t.Errorf("a read after the deadline: %v", err)
	}
	to.SetReadDeadline(time.Time{})
	from.Close()
	if n, err := to.Read(got); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// pair returns the ends of a socket with small buffers.
func pair(t *testing.T) (from, to net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", redistest.SocketDir(t)+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if from, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if to, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	raw, err := from.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4096) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, to
}
