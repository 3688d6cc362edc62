package traceback

import (
	"bytes"
	"strconv"
	"strings"
)

const (
	headSize = 64 << 10
	tailSize = 192 << 10
)

var newline = []byte{'\n'}

// A text holds the first headSize and the last tailSize bytes of lines of any length.
type text struct {
	head  []byte
	tail  []byte // a ring of tailSize bytes; nil until it is needed
	after int    // bytes ever added after head
}

func (t *text) reset() { t.head, t.after = t.head[:0], 0 }

func (t *text) add(b []byte) {
	n := min(len(b), headSize-len(t.head))
	t.head = append(t.head, b[:n]...)
	b = b[n:]
	if len(b) == 0 {
		return
	}
	if t.tail == nil {
		t.tail = make([]byte, tailSize)
	}
	t.after += len(b)
	b = b[max(0, len(b)-tailSize):]
	n = copy(t.tail[(t.after-len(b))%tailSize:], b)
	copy(t.tail, b[n:])
}

// bytes returns a copy of the text without its last newline.
func (t *text) bytes() []byte {
	head, tail, between := t.head, t.tail[:min(t.after, tailSize)], ""
	if t.after > tailSize {
		at := t.after % tailSize
		tail = append(append(make([]byte, 0, tailSize), tail[at:]...), tail[:at]...)
		// Cut at line ends, unless a line is too long for that.
		if i := bytes.LastIndexByte(head, '\n'); i > headSize/2 {
			head = head[:i+1]
		}
		if i := bytes.IndexByte(tail, '\n'); i >= 0 && i < tailSize/2 {
			tail = tail[i+1:]
		}
		if !ends(head, "\n") {
			between = "\n"
		}
		between += "[… " + strconv.Itoa(len(t.head)+t.after-len(head)-len(tail)) + " bytes left out …]\n"
	}
	all := append(make([]byte, 0, len(head)+len(between)+len(tail)), head...)
	return bytes.TrimSuffix(append(append(all, between...), tail...), newline)
}

// title makes one valid line, of at most maxTitle bytes, of a form's title.
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
