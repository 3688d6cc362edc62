package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const damagedPrefix = "damaged-"

// maxDamaged is how many damaged segments are kept for inspection; more if one process found more.
const maxDamaged = 4

// recover reads the segments that earlier processes left.
func (s *Spool) recover() error {
	names, err := os.ReadDir(s.dir) // in the order of the names, which is that of the numbers
	if err != nil {
		return err
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := segmentNumber(name.Name()); ok {
			numbers = append(numbers, n)
			s.next = max(s.next, n+1)
		}
		if strings.HasSuffix(name.Name(), ".new") { // a file whose writing was not finished: a journal or, by older versions, a segment
			os.Remove(filepath.Join(s.dir, name.Name()))
		}
	}
	var buf bytes.Buffer
	for i, n := range numbers {
		if err := s.recoverSegment(n, i == len(numbers)-1, &buf); err != nil {
			return err
		}
	}
	return nil
}

// recoverSegment reads one segment. newest: it was written to last, so bytes behind its last
// whole record are an unfinished write. It reads the file into buf. An error says that the file
// must stay as it is: its version is not known, or we may not open it, perhaps only for now.
func (s *Spool) recoverSegment(number uint64, newest bool, buf *bytes.Buffer) error {
	file := s.segmentFile(number)
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	data, err := readAll(f, buf)
	f.Close()
	if err == nil && newest && len(data) < fileHeaderSize {
		s.discard(number) // its creation was not finished
		return nil
	}
	var seed uint32
	var writer uint64
	if err == nil {
		seed, writer, err = readHeader(data, segmentMagic)
	}
	var version *versionError
	if errors.As(err, &version) {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	if err != nil {
		s.found("%s of the spool: %v; it is set aside as %s", filepath.Base(file), err, s.keepDamaged(file, true))
		s.hole = true
		return nil
	}
	s.left.Notes.Done[writer] = s.notes.Done[writer] // of writers without a segment nothing is kept
	extents, end := len(s.left.Extents), fileHeaderSize
	damaged, tail := scan(data, seed, func(at int, r Record) {
		most := uint64(at-end) / HeaderSize
		if s.hole { // the end of a segment may have been cut off
			most = math.MaxUint64
		}
		x := Extent{Place: Place{number, int64(at)}, Bytes: len(r), Class: r.Class(), Ordinal: r.Ordinal(), Writer: writer}
		s.recoverRecord(r, x, most, data[8] == 1)
		s.hole, end = false, at+len(r)
	})
	size := int64(len(data))
	if newest {
		size -= int64(tail)
	} else {
		damaged += tail
	}
	s.hole = s.hole || size != int64(end)
	if damaged > 0 {
		s.found("%s of the spool: %d bytes are damaged; a copy is set aside as %s", filepath.Base(file), damaged, s.keepDamaged(file, false))
	}
	if len(s.left.Extents) == extents {
		s.discard(number) // all its records are done
		return nil
	}
	if newest && damaged == 0 && tail > 0 {
		os.Truncate(file, size) // if it fails, the next process takes the rest for damage
	}
	s.segments[number] = &segment{number: number, seed: seed, size: size, synced: size}
	s.size += size
	return nil
}

// discard removes a segment that has nothing to deliver.
func (s *Spool) discard(number uint64) {
	if err := s.unlink(number); err != nil {
		s.found("%v", err)
	}
}

// readAll reads a file into buf and returns its bytes.
func readAll(f *os.File, buf *bytes.Buffer) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	buf.Reset()
	buf.Grow(int(info.Size()) + bytes.MinRead)
	_, err = buf.ReadFrom(f)
	return buf.Bytes(), err
}

// recoverRecord adds a record to s.left, unless it is done; x is its extent. most bounds how many
// records damage has cost between this record and the one before; 0 without damage. old: its segment
// is of version 1.
func (s *Spool) recoverRecord(r Record, x Extent, most uint64, old bool) {
	l := s.left
	ordinal, id := r.Ordinal(), r.ID()
	if l.Last.Less(id) {
		l.Last = id
	}
	next, done := s.nexts[x.Writer], s.notes.Done[x.Writer]
	if ordinal < next {
		return // a copy of an earlier record, or bytes that only look like a record
	}
	// Ordinals leap without damage, too: over dropped records, and where another spool was adopted.
	if known := max(next, min(ordinal, done)); known > 0 {
		l.Missing += min(most, ordinal-known)
	}
	s.nexts[x.Writer] = ordinal + 1
	l.Next = max(l.Next, ordinal+1)
	if ordinal < done || old && slices.ContainsFunc(s.done, func(s span) bool { return s.from <= ordinal && ordinal < s.upto }) {
		return
	}
	if n := len(l.Extents); n > 0 {
		before := &l.Extents[n-1]
		if before.Segment == x.Segment && before.Offset+int64(before.Bytes) == x.Offset && before.Bytes+len(r) <= ExtentSize && before.Class == x.Class {
			before.Bytes += len(r)
			before.Counts[r.Stream()]++
			return
		}
	}
	x.Counts[r.Stream()]++
	l.Extents = append(l.Extents, x)
}

// keepDamaged keeps a damaged segment for inspection, and returns its new name. If move, it
// renames the file; else it links it, so that the segment stays. Of those that earlier processes
// kept, only the newest stay.
func (s *Spool) keepDamaged(file string, move bool) string {
	name := damagedPrefix + filepath.Base(file)
	to := filepath.Join(s.dir, name)
	var err error
	if move {
		err = os.Rename(file, to)
	} else {
		os.Remove(to)
		err = os.Link(file, to)
	}
	if err != nil {
		name = "nothing: " + err.Error()
	}
	s.kept = append(s.kept, name)
	names, _ := os.ReadDir(s.dir) // the oldest first
	var earlier []string
	for _, n := range names {
		if strings.HasPrefix(n.Name(), damagedPrefix) && !slices.Contains(s.kept, n.Name()) {
			earlier = append(earlier, n.Name())
		}
	}
	for len(earlier) > max(0, maxDamaged-len(s.kept)) {
		os.Remove(filepath.Join(s.dir, earlier[0]))
		earlier = earlier[1:]
	}
	return name
}
