package markers

import (
	"bytes"
	"time"
)

const (
	blockLimit = 10 << 20 // the largest size of a block, in bytes
	blockKept  = 2 << 10  // the largest buffer that is kept for the next block, in bytes
)

var (
	blockOpens  = []byte(">>|")
	blockCloses = []byte("|<<")
)

// A Reader reads the lines of one pipe. It removes markers, and makes one text of everything
// between ">>|" and "|<<", over any number of lines. Text before and behind a block, on the
// same line, is a text of its own.
//
// If only blanks remain after markers and block delimiters are removed, there is no text. A
// block ends before the line, or piece of one, with which it would exceed 10 MiB: that is
// ordinary text.
type Reader struct {
	NoMarkers bool // {{…}} is text
	NoBlocks  bool // >>| and |<< are text
	// Now is when the lines were read. The caller sets it before Line and Overwritten, for
	// OpenSince.
	Now time.Time

	mark  func(Marker)
	text  func(text []byte, partial bool)
	limit int // bytes of a block

	begun bool      // the next ordinary text continues a text whose pieces were delivered
	open  bool      // in a block
	since time.Time // when the block was opened

	block  []byte // text of the block so far
	line   int    // where the block's last line begins, with the "\n" before it; -1: it is the first line
	marked bool   // that line had a marker
	inset  bool   // the next segment continues that line
}

// NewReader returns a Reader that calls mark for each marker, and text for each text or piece
// of one. partial: the next call continues the text. The bytes are valid only during the
// call.
func NewReader(mark func(Marker), text func(text []byte, partial bool)) *Reader {
	return &Reader{mark: mark, text: text, limit: blockLimit}
}

// Line reads one line, or a piece of one. partial: the next call continues the line. It
// changes the bytes of line.
func (r *Reader) Line(line []byte, partial bool) {
	if r.NoBlocks {
		r.ordinary(line, partial, false)
		return
	}
	cut := false // an earlier part of the line belonged to a block
	for {
		if r.open {
			i := bytes.Index(line, blockCloses)
			segment := line
			if i >= 0 {
				segment = line[:i]
			}
			if !r.add(segment, i < 0 && partial) {
				r.endBlock()
				cut = true
				continue // the rest is ordinary text
			}
			if i < 0 {
				return
			}
			r.endBlock()
			line, cut = line[i+len(blockCloses):], true
		}
		i := bytes.Index(line, blockOpens)
		if i < 0 {
			r.ordinary(line, partial, cut)
			return
		}
		r.ordinary(line[:i], false, true)
		line, cut = line[i+len(blockOpens):], true
		r.opens()
	}
}

// Overwritten reads text of a line that a "\r" has overwritten: its markers count, and blocks
// begin and end in it, but its text is dropped. It changes the bytes of text.
func (r *Reader) Overwritten(text []byte) {
	for !r.NoBlocks {
		end := blockOpens
		if r.open {
			end = blockCloses
		}
		before, after, found := bytes.Cut(text, end)
		r.extract(before)
		switch {
		case !found:
			return
		case r.open:
			r.endBlock()
		default:
			r.ordinary(nil, false, true) // ends a text whose pieces were delivered
			r.opens()
		}
		text = after
	}
	r.extract(text)
}

// OpenSince returns when the open block was opened, or zero without one.
func (r *Reader) OpenSince() time.Time {
	if !r.open {
		return time.Time{}
	}
	return r.since
}

// End ends an open block: at the end of the input, or when the block has been open for too
// long.
func (r *Reader) End() {
	if r.open {
		r.endBlock()
	}
}

func (r *Reader) opens() { r.open, r.line, r.inset, r.since = true, -1, true, r.Now }

func (r *Reader) extract(text []byte) (rest []byte, found bool) {
	if r.NoMarkers {
		return text, false
	}
	return Extract(text, r.mark)
}

// ordinary delivers text outside of blocks. cut: the text shares its line with a block.
func (r *Reader) ordinary(text []byte, partial, cut bool) {
	text, marked := r.extract(text)
	if (marked || cut) && !partial && !r.begun && blank(text) {
		text = text[:0]
	}
	// The last piece of a text must not be partial, even if it is empty.
	if len(text) > 0 || r.begun && !partial {
		r.begun = partial
		r.text(text, partial)
	}
}

// add adds a segment of a line to the block. goesOn: the next segment continues the line. It
// returns false, and adds nothing, if the block would exceed the limit.
func (r *Reader) add(segment []byte, goesOn bool) bool {
	size := len(r.block) + len(segment)
	if !r.inset {
		size++
	}
	if size > r.limit {
		return false
	}
	text, marked := r.extract(segment)
	if !r.inset {
		r.line, r.marked = len(r.block), false
		r.block = append(r.block, '\n')
	}
	r.block = append(r.block, text...)
	r.marked = r.marked || marked
	if r.inset = goesOn; !goesOn {
		r.endLine()
	}
	return true
}

// endLine removes the block's last line if its markers have left only blanks.
func (r *Reader) endLine() {
	if r.line >= 0 && r.marked && blank(r.block[r.line:]) {
		r.block = r.block[:r.line]
	}
}

// endBlock delivers the block's text.
func (r *Reader) endBlock() {
	r.endLine() // End may come within a line
	r.open, r.inset = false, false
	if !blank(r.block) {
		r.text(r.block, false)
	}
	if r.block = r.block[:0]; cap(r.block) > blockKept {
		r.block = nil
	}
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }
