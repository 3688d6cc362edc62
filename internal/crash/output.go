package crash

import (
	"bytes"
	"strings"
	"sync"
)

// A tail holds a copy of the last bytes of the app's output, and their order across the two
// pipes. New bytes overwrite the oldest. Adding copies at most len(ring) bytes, so it is
// cheap enough for every read.
type tail struct {
	mu     sync.Mutex
	ring   []byte
	total  int64    // bytes ever added
	chunks []chunk  // oldest first
	from   int64    // start of the first chunk, counted like total; the order of older bytes is lost
	wrote  [2]int64 // bytes ever added, by pipe
}

// A chunk is a stretch of output from one pipe.
type chunk struct {
	pipe int
	end  int64 // counted like total
}

const (
	maxChunks = 4096
	lineRoom  = 512       // bytes for each line of the report
	leastRoom = 16 << 10  // bytes
	mostRoom  = 192 << 10 // bytes: more would not fit into a report
	longLine  = 4 << 10   // bytes of one line
)

// newTail returns a tail with room for some lines, or nil for none.
func newTail(lines int) *tail {
	if lines <= 0 {
		return nil
	}
	return &tail{ring: make([]byte, min(max(lines*lineRoom, leastRoom), mostRoom))}
}

// add appends bytes read from a pipe: 0 is standard output, 1 standard error.
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

// lines returns the last n lines, in the order in which they ended. A line whose beginning
// was overwritten begins with "…".
func (t *tail) lines(n int) []string {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	var lines []string
	var texts [2][]byte // each pipe's unfinished line
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

// clean makes valid UTF-8 without control characters out of arbitrary bytes: control
// characters would reach the reader's terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
}
