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
	s.mu.Lock()
	g := s.segments[p.Segment]
	s.mu.Unlock()
	if g == nil {
		return nil, errors.New("read from the spool: the segment is gone")
	}
	file, err := os.Open(s.segmentFile(p.Segment))
	if err != nil {
		return nil, fmt.Errorf("read from the spool: %w", err)
	}
	defer file.Close()
	if _, err := file.ReadAt(buf, p.Offset); err != nil {
		return nil, fmt.Errorf("read from the spool: %w", err)
	}
	for at := 0; at < n; {
		r := parse(buf[at:], g.seed)
		if r == nil || r.Ordinal() < ordinal {
			return nil, fmt.Errorf("read from the spool: %s is damaged at byte %d", s.segmentFile(p.Segment), p.Offset+int64(at))
		}
		ordinal = r.Ordinal() + 1
		at += len(r)
	}
	return buf, nil
}
