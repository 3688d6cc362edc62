// Package lines cuts the bytes of a pipe into lines. The bytes may be anything.
package lines

import (
	"bytes"
	"unicode/utf8"
)

// A Line is one line without its end ("\n", and any "\r" before it), or one piece
// of a line that is longer than the splitter's limit. Text is valid until the
// next call of Space.
//
// A "\r" within a line moves a terminal's cursor to the line's start, as progress bars do:
// the text before it is overwritten, and is not part of the line.
type Line struct {
	Text []byte
	// Partial: more pieces of the line follow.
	Partial bool
	// Overwritten: Text is not a line, but overwritten text up to a "\r". It comes before
	// its line, as soon as it is known to be overwritten.
	Overwritten bool
}

// readSize is the least room that Space offers, in bytes. 64 KiB measured 5 % slower with
// lines of 10 MB, and the same with ordinary lines (bench/).
const readSize = 128 << 10

// A Splitter turns the input from one pipe into lines. It owns its buffer. The caller reads
// into Space, reports the number of bytes with Filled, and calls Next until there is no
// further line. At the end of the input, it calls Last instead of Next. The pieces of a line,
// joined, are the line's bytes. The sizes of the reads make no difference.
//
// A line of up to max bytes is one piece. A longer one is cut after max bytes, or earlier to
// keep a UTF-8 sequence whole, or the bytes that tail names. So a Splitter holds little more
// than max bytes plus one read, however long the line.
type Splitter struct {
	max     int
	tail    func(piece []byte) int // see NewSplitter; may be nil
	buf     []byte
	start   int // first byte not returned yet
	scanned int // buf[start:scanned] holds no "\n"
	clean   int // buf[start:clean] holds no "\r"
	end     int // end of the input read so far
}

// NewSplitter returns a Splitter that cuts lines longer than max bytes; max is
// at least utf8.UTFMax. tail, which may be nil, returns how many bytes at the end of a piece
// belong into the next one.
func NewSplitter(max int, tail func(piece []byte) int) *Splitter {
	return &Splitter{max: max, tail: tail, buf: make([]byte, 2*readSize)}
}

// Space returns the buffer to read into, at least readSize bytes behind the held ones. It
// invalidates earlier lines. It moves the held bytes only when the room behind them is used
// up.
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

// Filled says that n bytes were read into Space.
func (s *Splitter) Filled(n int) { s.end += n }

// Held returns the number of bytes read but not returned yet: the beginning of a line.
func (s *Splitter) Held() int { return s.end - s.start }

// window is how many bytes of a line decide where to cut it: a full piece, and the rest of a
// UTF-8 sequence at its end.
func (s *Splitter) window() int { return s.max + utf8.UTFMax - 1 }

// Next returns the next line, or false if more input is needed.
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

// overwritten removes and returns the text that a "\r" before stop overwrites, or nil. A "\r"
// with nothing behind it overwrites nothing yet.
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

// Last is Next at the end of the input: it also returns a line without its end. A "\r" at the
// very end is no text.
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

// cut returns the first piece of a line longer than max.
func (s *Splitter) cut() Line {
	stop := s.start + s.max
	// Step back over an unfinished UTF-8 sequence, but only if the next bytes complete it:
	// binary data is cut after max bytes.
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
