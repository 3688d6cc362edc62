//go:build !race

package sysio

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoAllocations checks that reads and writes do not allocate, nor do reads that find
// nothing. The race detector itself allocates.
func TestNoAllocations(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	line, buf := []byte("a line\n"), make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := Write(fds[1], line); err != nil {
			t.Error(err)
		}
		if n, err := Read(fds[0], buf); n != len(line) || err != nil {
			t.Error(n, err)
		}
		if _, err := Read(fds[0], buf); err != unix.EAGAIN {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoAllocationsConn checks that reads and writes of a connection do not allocate, whether
// they wait or not.
func TestNoAllocationsConn(t *testing.T) {
	a, b := pair(t)
	from, to := Conn(a), Conn(b)
	there, back := make([]byte, 10), make([]byte, 10)
	go func() { // echoes, so that the reads below wait
		buf := make([]byte, 10)
		for {
			if _, err := to.Read(buf); err != nil {
				return
			}
			to.Write(buf)
		}
	}()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := from.Write(there); err != nil {
			t.Error(err)
		}
		if _, err := from.Read(back); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a write and a read", n)
	}
}
