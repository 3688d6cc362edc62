package sysio

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A socket takes what fits, which may end anywhere in any of the texts.
func TestWriteAll(t *testing.T) {
	t.Parallel()
	own, plain := func(c net.Conn) net.Conn { return Conn(c) }, func(c net.Conn) net.Conn { return c }
	for name, wrap := range map[string]func(net.Conn) net.Conn{"own": own, "another": plain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			for round := range 20 {
				from, to := pair(t)
				var texts [][]byte
				for range random.IntN(60) {
					text := make([]byte, random.IntN(1<<random.IntN(18)))
					for i := range text {
						text[i] = byte(random.Uint32())
					}
					texts = append(texts, text)
				}
				want := bytes.Join(texts, nil)
				failed := make(chan error, 1)
				go func() {
					failed <- WriteAll(wrap(from), texts)
					from.Close()
				}()
				var got []byte
				for buf := make([]byte, 1+random.IntN(9000)); ; {
					n, err := to.Read(buf)
					got = append(got, buf[:n]...)
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := <-failed; err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("round %d: %d bytes came, not the %d that were written", round, len(got), len(want))
				}
				to.Close()
			}
		})
	}
}

// A connection that the other side has closed is an error of the package net's form.
func TestWriteAllToNobody(t *testing.T) {
	t.Parallel()
	from, to := pair(t)
	to.Close()
	var err error
	for range 2 { // the first may still be taken
		if err = WriteAll(Conn(from), [][]byte{make([]byte, 10), make([]byte, 1<<20)}); err != nil {
			break
		}
	}
	if _, ok := err.(*net.OpError); !ok {
		t.Fatalf("the error is %v (%T)", err, err)
	}
}

// pair returns the ends of a socket that holds little.
func pair(t *testing.T) (from, to net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/socket")
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
