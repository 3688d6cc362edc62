package crash

import (
	"bytes"
	"strings"
	"sync"
)

// A tail is the end of the app's output: as many bytes as it has room for,
// copied in as they are read, and in which order they came from which pipe. What
// is older is overwritten. Adding is a copy of at most its room, so that it may be
// done for every read.
type tail struct {
	mu     sync.Mutex
	ring   []byte
	total  int64    // bytes ever added
	chunks []chunk  // of what is in the ring, oldest first
	from   int64    // where the first chunk begins; before it the order is forgotten
	wrote  [2]int64 // of each pipe, bytes ever added
}

// A chunk is what one read brought.
type chunk struct {
	pipe int
	end  int64 // of the chunk, counted as total
}

const (
	maxChunks = 4096
	lineRoom  = 512       // bytes for each line that is to be told
	leastRoom = 16 << 10  // bytes
	mostRoom  = 192 << 10 // bytes: more would not fit into a report
	longLine  = 4 << 10   // bytes of one line
)

// newTail returns a tail for so many lines; nil if they are none.
func newTail(lines int) *tail {
	if lines <= 0 {
		return nil
	}
	return &tail{ring: make([]byte, min(max(lines*lineRoom, leastRoom), mostRoom))}
}

// add takes what was read from a pipe, 0 for standard output and 1 for standard
// error.
func (t *tail) add(pipe int, b []byte) {
	t.mu.Lock()
	t.wrote[pipe] += int64(len(b))
	t.total += int64(len(b))
	b = b[max(0, len(b)-len(t.ring)):]
	at := int((t.total - int64(len(b))) % int64(len(t.ring)))
	n := copy(t.ring[at:], b)
	copy(t.ring, b[n:])
	if n := len(t.chunks); n > 0 && t.chunks[n-1].pipe == pipe {
		t.chunks[n-1].end = t.total
	} else {
		if n == maxChunks {
			t.from = t.chunks[maxChunks/2-1].end
			t.chunks = t.chunks[:copy(t.chunks, t.chunks[maxChunks/2:])]
		}
		t.chunks = append(t.chunks, chunk{pipe, t.total})
	}
	t.mu.Unlock()
}

// lines are the last n lines, in the order in which they ended. A line of which
// the beginning is not there any more begins with "…".
func (t *tail) lines(n int) []string {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	var lines []string
	var texts [2][]byte // what each pipe's unfinished line has
	var cut [2]bool
	start := max(t.from, t.total-int64(len(t.ring)))
	finish := func(pipe int) {
		text := string(texts[pipe])
		if cut[pipe] {
			text = "…" + text
			cut[pipe] = false
		}
		if len(text) > longLine {
			text = text[:longLine/2] + " … " + text[len(text)-longLine/2:]
		}
		lines = append(lines, clean(strings.TrimSuffix(text, "\r")))
		texts[pipe] = nil
	}
	missing, at := t.wrote, start
	for _, c := range t.chunks {
		missing[c.pipe] -= max(0, c.end-at)
		at = max(at, c.end)
	}
	for pipe := range cut {
		cut[pipe] = missing[pipe] > 0
	}
	at = start
	for _, c := range t.chunks {
		for at < c.end {
			from := int(at % int64(len(t.ring)))
			piece := t.ring[from:min(int64(len(t.ring)), int64(from)+c.end-at)]
			if i := bytes.IndexByte(piece, '\n'); i >= 0 {
				texts[c.pipe] = append(texts[c.pipe], piece[:i]...)
				at += int64(i) + 1
				finish(c.pipe)
				continue
			}
			texts[c.pipe] = append(texts[c.pipe], piece...)
			at += int64(len(piece))
		}
	}
	for pipe, text := range texts {
		if len(text) > 0 {
			finish(pipe)
		}
	}
	t.mu.Unlock()
	return lines[max(0, len(lines)-n):]
}

// clean makes text out of bytes that may be anything: valid UTF-8 without
// control characters, which would reach the reader's terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
}
