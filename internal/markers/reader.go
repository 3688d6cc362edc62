package markers

import (
	"bytes"
	"time"
)

// blockLimit is the most that is held of a block, in bytes.
const blockLimit = 10 << 20

var (
	blockOpens  = []byte(">>|")
	blockCloses = []byte("|<<")
)

// A Reader reads the lines of one pipe: it takes markers out of them, and makes one
// text of everything between ">>|" and "|<<", over however many lines. What stands
// before and behind a block on its lines are texts of their own.
//
// If only blanks remain after markers and the ends of blocks are removed, there is no text. A
// block longer than 10 MiB is given as it stands, and what follows is ordinary
// text again.
type Reader struct {
	NoMarkers bool // {{…}} is text
	NoBlocks  bool // >>| and |<< are text
	// Now is when the lines that come next were read: a block that they open is as old.
	Now time.Time

	mark  func(Marker)
	text  func(text []byte, partial bool)
	limit int // bytes of a block

	begun bool      // the line goes on of which pieces were given
	open  bool      // in a block
	inset bool      // in a block, the line goes on
	block []byte    // of the block
	since time.Time // the block was opened
}

// NewReader returns a Reader that calls mark for each marker, and text for each
// text or piece of one; partial says that the text goes on with the next call. The
// bytes are the Reader's, and of use during the call only.
func NewReader(mark func(Marker), text func(text []byte, partial bool)) *Reader {
	return &Reader{mark: mark, text: text, limit: blockLimit}
}

// Line reads one line, or a piece of one that goes on if partial is true. It
// changes the bytes of line.
func (r *Reader) Line(line []byte, partial bool) {
	if r.NoBlocks {
		r.ordinary(line, partial, false)
		return
	}
	cut := false // line is what a block has left of it
	for {
		if r.open {
			i := bytes.Index(line, blockCloses)
			segment := line
			if i >= 0 {
				segment = line[:i]
			}
			if !r.add(segment, i < 0 && partial) {
				r.give()
				cut = true
				continue // the rest is ordinary text
			}
			if i < 0 {
				return
			}
			r.give()
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

// Overwritten reads what a "\r" has overwritten in a line that goes on: its markers
// count, and blocks begin and end in it, but nothing of its text is given. It
// changes the bytes of text.
func (r *Reader) Overwritten(text []byte) {
	for !r.NoBlocks {
		end := blockOpens
		if r.open {
			end = blockCloses
		}
		before, after, found := bytes.Cut(text, end)
		r.take(before)
		switch {
		case !found:
			return
		case r.open:
			r.give()
		default:
			r.ordinary(nil, false, true)
			r.opens()
		}
		text = after
	}
	r.take(text)
}

// OpenSince returns when the block that is open was opened; zero if none is.
func (r *Reader) OpenSince() time.Time {
	if !r.open {
		return time.Time{}
	}
	return r.since
}

// End gives what an open block has, at the end of the input or when the block has been
// open for too long. What follows is ordinary text.
func (r *Reader) End() {
	if r.open {
		r.give()
	}
}

func (r *Reader) opens() { r.open, r.inset, r.since = true, true, r.Now }

// take takes the markers out of text.
func (r *Reader) take(text []byte) (rest []byte, found bool) {
	if r.NoMarkers {
		return text, false
	}
	return Take(text, r.mark)
}

// ordinary gives text outside of blocks. cut says that a block stands beside it.
func (r *Reader) ordinary(text []byte, partial, cut bool) {
	text, marked := r.take(text)
	if (marked || cut) && !partial && !r.begun && blank(text) {
		text = text[:0]
	}
	// The pieces of a line end with one that is not partial, even if nothing is
	// left for it.
	if len(text) > 0 || r.begun && !partial {
		r.begun = partial
		r.text(text, partial)
	}
}

// add adds a segment of a line to the block; goes on says that the line does. It
// returns false, and adds nothing, if that would be too much.
func (r *Reader) add(segment []byte, goesOn bool) bool {
	size := len(r.block) + len(segment)
	if !r.inset {
		size++
	}
	if size > r.limit {
		return false
	}
	text, marked := r.take(segment)
	if !marked || !blank(text) || r.inset {
		if !r.inset {
			r.block = append(r.block, '\n')
		}
		r.block = append(r.block, text...)
	}
	r.inset = goesOn
	return true
}

// give gives the block, and ends it.
func (r *Reader) give() {
	r.open, r.inset = false, false
	if !blank(r.block) {
		r.text(r.block, false)
	}
	if r.block = r.block[:0]; cap(r.block) > longest {
		r.block = nil
	}
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }
