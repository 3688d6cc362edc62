// Package lines cuts the bytes of a pipe into lines, whatever those bytes are.
package lines

import (
	"bytes"
	"unicode/utf8"
)

// A Line is one line without its end ("\n", and any "\r" before it), or one piece
// of a line that is longer than the splitter's limit. Text is valid until the
// next call of Space.
//
// A "\r" inside of a line takes a terminal back to its beginning, as progress bars
// do: what stands before it is overwritten, and is no part of the line.
type Line struct {
	Text []byte
	// Partial says that this piece is not the last of its line.
	Partial bool
	// Overwritten says that this is no line, but what was just overwritten, up to a
	// "\r". It comes as soon as it is known, before the line does.
	Overwritten bool
}

// readSize is the least room that Space offers, in bytes. With lines of 10 MB, 64 KiB
// measured 5 % slower (bench/), with ordinary ones the same.
const readSize = 128 << 10

// A Splitter turns what is read from one pipe into lines. It owns its buffer:
// the caller reads into Space, says with Filled how much came, and takes lines
// with Next until it returns no more; at the end of the input Last gives what is
// left. The bytes of all pieces of a line, joined, are the line's bytes. It makes
// no difference in what portions the input comes.
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
	clean   int // buf[start:clean] holds no "\r"
	end     int // end of what was read
}

// NewSplitter returns a Splitter that cuts lines longer than max bytes; max is
// at least utf8.UTFMax. tail, which may be nil, says how many bytes at the end
// of a piece go with what follows rather than with it.
func NewSplitter(max int, tail func(piece []byte) int) *Splitter {
	return &Splitter{max: max, tail: tail, buf: make([]byte, 2*readSize)}
}

// Space returns where to read to: at least 128 KiB, past all that is held. It
// ends the validity of the lines given before. What is held is moved only when the
// room behind it is used up.
func (s *Splitter) Space() []byte {
	held := s.end - s.start
	if s.start > 0 && (held == 0 || len(s.buf)-s.end < readSize) {
		copy(s.buf, s.buf[s.start:s.end])
		s.start, s.scanned, s.clean, s.end = 0, s.scanned-s.start, max(0, s.clean-s.start), held
	}
	if len(s.buf)-s.end < readSize {
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

// window is how much of a line is looked at to decide where to cut it: a full
// piece, and what may make it a whole line, or the rest of a UTF-8 sequence.
func (s *Splitter) window() int { return s.max + utf8.UTFMax - 1 }

// Next returns the next line, or false when more input is needed for one.
func (s *Splitter) Next() (Line, bool) {
	newline := -1
	if i := bytes.IndexByte(s.buf[s.scanned:s.end], '\n'); i >= 0 {
		newline = s.scanned + i
		s.scanned = newline
	} else {
		s.scanned = s.end
	}
	whole := s.end
	if newline >= 0 {
		whole = newline
	}
	if text := s.overwritten(min(whole, s.start+s.window())); text != nil {
		return Line{Text: text, Overwritten: true}, true
	}
	if whole-s.start >= s.window() {
		return s.cut(), true
	}
	if newline < 0 {
		return Line{}, false
	}
	stop := s.start + len(bytes.TrimRight(s.buf[s.start:newline], "\r"))
	if stop-s.start > s.max {
		return s.cut(), true
	}
	line := Line{Text: s.buf[s.start:stop:stop]}
	s.start, s.scanned = newline+1, newline+1
	return line, true
}

// overwritten takes out what a "\r" before stop overwrites, nil if it is nothing. A "\r"
// that ends it overwrites nothing yet.
func (s *Splitter) overwritten(stop int) []byte {
	s.clean = max(s.clean, s.start)
	if s.clean >= stop {
		return nil
	}
	i := bytes.IndexByte(s.buf[s.clean:stop], '\r')
	if i < 0 {
		s.clean = stop
		return nil
	}
	s.clean += i
	text := bytes.TrimRight(s.buf[s.start:stop], "\r")
	if i = bytes.LastIndexByte(text, '\r'); i < 0 {
		return nil
	}
	s.start += i + 1
	return text[: i+1 : i+1]
}

// Last returns what is left at the end of the input, a piece at a time, or
// false when nothing is. A "\r" at the very end is no text either.
func (s *Splitter) Last() (Line, bool) {
	if line, ok := s.Next(); ok {
		return line, true
	}
	s.end = s.start + len(bytes.TrimRight(s.buf[s.start:s.end], "\r"))
	s.scanned, s.clean = s.end, s.end
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
