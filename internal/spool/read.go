package spool

import (
	"errors"
	"fmt"
	"os"
)

// Read reads an extent of n bytes and checks that its records are whole and that their ordinals
// rise, from at least ordinal on. It reads into space if that is large enough.
func (s *Spool) Read(p Place, n int, ordinal uint64, space []byte) ([]byte, error) {
	buf := space[:0]
	if cap(buf) < n {
		buf = make([]byte, 0, max(n, ExtentSize))
	}
	buf = buf[:n]
	var seed uint32
	for {
		var file *os.File
		var err error
		if file, seed, err = s.openToRead(p.Segment); err != nil {
			return nil, fmt.Errorf("read from the spool: %w", err)
		}
		_, err = file.ReadAt(buf, p.Offset)
		if errors.Is(err, os.ErrClosed) {
			continue // another reader opened another segment meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read from the spool: %w", err)
		}
		break
	}
	for at := 0; at < n; {
		r := parse(buf[at:], seed)
		if r == nil || r.Ordinal() < ordinal {
			return nil, fmt.Errorf("read from the spool: %s is damaged at byte %d", s.segmentFile(p.Segment), p.Offset+int64(at))
		}
		ordinal = r.Ordinal() + 1
		at += len(r)
	}
	return buf, nil
}

// openToRead returns a segment's file and seed. The file stays open until another segment is
// read or this one is removed.
func (s *Spool) openToRead(number uint64) (*os.File, uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[number]
	if g == nil || g.gone {
		return nil, 0, errors.New("the segment is gone")
	}
	if g.file == nil {
		f, err := os.Open(s.segmentFile(number))
		if err != nil {
			return nil, 0, err
		}
		g.file = f
	}
	before := s.reading
	s.reading = g
	s.closeIdle(before)
	return g.file, g.seed, nil
}
