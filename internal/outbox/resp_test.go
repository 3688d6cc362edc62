package outbox

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/spool"
	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// spoken is a connection on which a server has said a text, over and over if again.
type spoken struct {
	net.Conn
	text  string
	at    int
	again bool
}

func (s *spoken) SetReadDeadline(time.Time) error { return nil }

func (s *spoken) Read(b []byte) (int, error) {
	if s.at == len(s.text) {
		if !s.again {
			return 0, io.EOF
		}
		s.at = 0
	}
	n := copy(b, s.text[s.at:])
	s.at += n
	return n, nil
}

func TestReplies(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 1<<20)
	look := "*8\r\n$6\r\nlength\r\n:12\r\n$17\r\nlast-generated-id\r\n$3\r\n7-9\r\n" +
		"$6\r\ngroups\r\n:0\r\n$11\r\nfirst-entry\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$7\r\nmessage\r\n$1048576\r\n" + huge + "\r\n"
	p := newReplies(&spoken{text: "$3\r\n7-8\r\n-OOM no\r\n" + look + "-ERR no such key\r\n$3\r\n7-9\r\n"}, time.Second)
	for _, want := range []string{"", "OOM no"} {
		if refusal, err := p.next(); refusal != want || err != nil {
			t.Errorf("%q, %v, want %q", refusal, err, want)
		}
	}
	last, length, refusal, err := p.info()
	if (last != entry.ID{Ms: 7, Seq: 9}) || length != 12 || refusal != "" || err != nil {
		t.Errorf("%v, %d, %q, %v", last, length, refusal, err)
	}
	if _, _, refusal, err := p.info(); refusal != "ERR no such key" || err != nil {
		t.Errorf("%q, %v", refusal, err)
	}
	if refusal, err := p.next(); refusal != "" || err != nil {
		t.Errorf("%q, %v", refusal, err)
	}
	if _, err := p.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}

	for _, text := range []string{"", "\r\n", "x", "$\r\n", "$-1\r\n", "$3\r\nab", "$65\r\n" + huge, ":1\r\n", "+OK\r\n", "*1\r\n:1\r\n", "%1\r\n", "-", "-" + huge} {
		if refusal, err := newReplies(&spoken{text: text}, time.Second).next(); err == nil {
			t.Errorf("next: %.20q: %q", text, refusal)
		}
	}
	for _, text := range []string{
		"", "$3\r\nabc\r\n", ":1\r\n", "*0\r\n", "*-1\r\n", "*2\r\n$6\r\nlength\r\n:1\r\n", "*4\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$1\r\n7\r\n",
		"*4\r\n$6\r\nlength\r\n$1\r\nx\r\n$17\r\nlast-generated-id\r\n$3\r\n7-9\r\n", "*1\r\n*1000000000\r\n", strings.Repeat("*1\r\n", 1000),
	} {
		if last, _, refusal, err := newReplies(&spoken{text: text}, time.Second).info(); err == nil {
			t.Errorf("info: %.20q: %v, %q", text, last, refusal)
		}
	}
}

// TestOneCall writes the most that a batch has of large messages, and of small ones, in one
// call: to this socket each is a datagram of its own.
func TestOneCall(t *testing.T) {
	t.Parallel()
	l, err := net.ListenPacket("unixgram", t.TempDir()+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unixgram", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.SetDeadline(time.Now().Add(20 * time.Second))
	q := newQueue(1<<20, false)
	e := newEncoder(entry.Keys("t"), 1000)
	for range 2 * maxBatchBytes / directBytes {
		q.mu.Lock()
		q.add(entry.Info, 0, 1, make([]byte, directBytes), nil, 0)
		q.mu.Unlock()
	}
	spans, n, _, _, _ := q.take(nil, maxBatchBytes, maxBatchRecords)
	var out commands
	for _, s := range spans {
		for at := 0; at < len(s.buf); {
			r := spool.At(s.buf, at)
			at += len(r)
			e.add(&out, r)
		}
	}
	want := len(out.buf) + n*directBytes
	if err := out.write(sysio.Conn(c)); err != nil {
		t.Fatal(err)
	}
	if got, _, err := l.ReadFrom(make([]byte, 2*want)); got != want || n != maxBatchBytes/directBytes || err != nil {
		t.Errorf("%d of %d bytes, %d messages, %v", got, want, n, err)
	}
}

// BenchmarkReplies reads answers to XADD, which is to make nothing.
func BenchmarkReplies(b *testing.B) {
	p := newReplies(&spoken{text: strings.Repeat("$17\r\n1795477466374-123\r\n", 1000), again: true}, time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if refusal, err := p.next(); refusal != "" || err != nil {
			b.Fatal(refusal, err)
		}
	}
}
