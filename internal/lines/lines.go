// Package lines cuts the bytes of a pipe into lines, whatever those bytes are.
package lines

import (
	"bytes"
	"unicode/utf8"
)

// A Line is one line without its end ("\n" or "\r\n"), or one piece of a line
// that is longer than the splitter's limit. Text is valid until the next call
// of Space.
type Line struct {
	Text []byte
	// Partial says that this piece is not the last of its line.
	Partial bool
}

// readSize is the least room that Space offers, in bytes. A pipe gives at most
// its capacity in one read; 64 KiB is Linux's default capacity, and larger
// reads measured no faster (bench/).
const readSize = 64 << 10

// A Splitter turns what is read from one pipe into lines. It owns its buffer:
// the caller reads into Space, says with Filled how much came, and takes lines
// with Next until there is none; at the end of the input Last gives what is
// left. The bytes of all pieces of a line, joined, are the line's bytes.
//
// A line of up to max bytes is one piece. A longer one is cut after max bytes,
// or earlier where that keeps something whole: a UTF-8 sequence, or what the
// caller says. So a Splitter holds little more than max bytes plus one read,
// however long the line.
type Splitter struct {
	max     int
	tail    func(piece []byte) int // nil: nothing more to keep whole
	buf     []byte
	start   int // first byte not given out
	scanned int // buf[start:scanned] holds no "\n"
	end     int // end of what was read
}

// NewSplitter returns a Splitter that cuts lines longer than max bytes; max is
// at least utf8.UTFMax. tail, which may be nil, says how many bytes at the end
// of a piece go with what follows rather than with it.
func NewSplitter(max int, tail func(piece []byte) int) *Splitter {
	return &Splitter{max: max, tail: tail, buf: make([]byte, 2*readSize)}
}

// Space returns where to read to: at least 64 KiB, past all that is held. It
// ends the validity of the lines given before.
func (s *Splitter) Space() []byte {
	held := s.end - s.start
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.start, s.scanned, s.end = 0, s.scanned-s.start, held
	}
	if len(s.buf)-held < readSize {
		grown := make([]byte, min(2*len(s.buf), s.max+utf8.UTFMax+readSize))
		copy(grown, s.buf[:held])
		s.buf = grown
	}
	return s.buf[s.end:]
}

// Filled says that n bytes were read into what Space returned.
func (s *Splitter) Filled(n int) { s.end += n }

// Held is the number of bytes read but not given out: the beginning of a line
// whose end has not come.
func (s *Splitter) Held() int { return s.end - s.start }

// Next returns the next line, or false when more input is needed for one.
func (s *Splitter) Next() (Line, bool) {
	if i := bytes.IndexByte(s.buf[s.scanned:s.end], '\n'); i >= 0 {
		newline := s.scanned + i
		stop := newline
		if stop > s.start && s.buf[stop-1] == '\r' {
			stop--
		}
		if stop-s.start > s.max {
			s.scanned = newline
			return s.cut(), true
		}
		line := Line{Text: s.buf[s.start:stop:stop]}
		s.start, s.scanned = newline+1, newline+1
		return line, true
	}
	s.scanned = s.end
	// Where to cut is known once the bytes after a full piece are: they may be
	// a "\r\n" that makes it a whole line, or the rest of a UTF-8 sequence.
	if s.Held() >= s.max+utf8.UTFMax-1 {
		return s.cut(), true
	}
	return Line{}, false
}

// Last returns what is left at the end of the input, a piece at a time, or
// false when nothing is. The end of a line that never came was never there, so
// a "\r" before it is text.
func (s *Splitter) Last() (Line, bool) {
	if line, ok := s.Next(); ok {
		return line, true
	}
	held := s.Held()
	if held == 0 {
		return Line{}, false
	}
	if held > s.max {
		return s.cut(), true
	}
	line := Line{Text: s.buf[s.start:s.end:s.end]}
	s.start = s.end
	return line, true
}

// cut gives out the first piece of a line longer than max.
func (s *Splitter) cut() Line {
	stop := s.start + s.max
	// Step back over an unfinished UTF-8 sequence, but only if the bytes that
	// follow finish it: binary data is cut where it is.
	for back := 1; back < utf8.UTFMax; back++ {
		at := stop - back
		if !utf8.RuneStart(s.buf[at]) {
			continue
		}
		if _, size := utf8.DecodeRune(s.buf[at:s.end]); size > back {
			stop = at
		}
		break
	}
	if s.tail != nil {
		if n := s.tail(s.buf[s.start:stop]); n < stop-s.start {
			stop -= n
		}
	}
	line := Line{Text: s.buf[s.start:stop:stop], Partial: true}
	s.start = stop
	return line
}
