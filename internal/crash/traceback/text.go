package traceback

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	headSize = 64 << 10
	tailSize = 192 << 10
)

var newline = []byte{'\n'}

// A text is lines of any length, of which it holds the first headSize bytes and
// the last tailSize bytes.
type text struct {
	head []byte
	tail []byte // once it is full, a ring that begins at at
	at   int
	cut  int // bytes between head and tail that are gone
}

func (t *text) reset() { *t = text{head: t.head[:0], tail: t.tail[:0]} }

func (t *text) add(b []byte) {
	n := min(len(b), headSize-len(t.head))
	t.head = append(t.head, b[:n]...)
	b = b[n:]
	if len(b) == 0 {
		return
	}
	if t.tail == nil {
		t.tail = make([]byte, 0, tailSize)
	}
	if beyond := len(b) - tailSize; beyond > 0 {
		t.cut += beyond
		b = b[beyond:]
	}
	n = min(len(b), tailSize-len(t.tail))
	t.tail = append(t.tail, b[:n]...)
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = copy(t.tail[t.at:], b)
		t.cut += n
		t.at = (t.at + n) % tailSize
	}
}

// bytes returns the text without its last newline, in memory of its own.
func (t *text) bytes() []byte {
	if t.cut == 0 {
		all := append(bytes.Clone(t.head), t.tail...)
		return bytes.TrimSuffix(all, newline)
	}
	// Whole lines, where a line is not longer than that.
	head := t.head
	if i := bytes.LastIndexByte(head, '\n'); i > headSize/2 {
		head = head[:i+1]
	}
	tail := append(bytes.Clone(t.tail[t.at:]), t.tail[:t.at]...)
	if i := bytes.IndexByte(tail, '\n'); i >= 0 && i < tailSize/2 {
		tail = tail[i+1:]
	}
	cut := t.cut + len(t.head) - len(head) + len(t.tail) - len(tail)
	all := bytes.Clone(head)
	if !bytes.HasSuffix(all, newline) {
		all = append(all, '\n')
	}
	all = fmt.Appendf(all, "[… %d bytes left out …]\n", cut)
	return bytes.TrimSuffix(append(all, tail...), newline)
}

// title makes a line that may go anywhere of what a form chose as the title.
func title(b []byte) string {
	s := strings.TrimSpace(strings.ToValidUTF8(string(b), "\uFFFD"))
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxTitle {
		s = strings.ToValidUTF8(s[:maxTitle-len("…")], "") + "…"
	}
	return s
}
