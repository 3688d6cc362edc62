// Package spool keeps entries on disk that Redis does not take yet: in small segment files
// of checksummed records, with a journal that says which are done. It survives its
// process's death at any instant. Records written before a Sync survive a power cut.
//
// A spool is a directory of its own, which Prepare finds (dir_linux.go):
//
//	lock                   held by the process that uses it; see lock_linux.go
//	0000000000000001.seg…  records, oldest first; see Record and segment.go
//	journal                which records are done; see journal.go
//	damaged-….seg          damaged segments, kept for inspection
//	dead-letters.jsonl     entries that Redis refused for good
package spool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// ExtentSize is the largest size of an extent of several records, in bytes; a larger record is
// an extent of its own. The longest line by default, 64 KiB, fits; a block may not.
const ExtentSize = 72 << 10

// A Place is where an extent begins on disk.
type Place struct {
	Segment uint64 // Segment: number, from 1; 0 means no place
	Offset  int64
}

// An Extent is consecutive records of one class and one segment that an earlier process left.
type Extent struct {
	Place
	Bytes   int
	Class   Class
	Counts  Counts
	Ordinal uint64 // Ordinal: of the first record
	Writer  uint64 // Writer: the process that numbered them; in version 1 the salt of the segment
}

// Counts are numbers of records by stream.
type Counts [logstream.Count]int

// Sum returns the number of records of all streams.
func (c *Counts) Sum() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

// Left is what an earlier process left.
type Left struct {
	Extents []Extent // Extents: oldest first
	Notes   Notes    // Notes: Done has every writer of a segment, and no other
	Last    entry.ID // Last: the largest ID among the records
	Next    uint64   // Next: above every ordinal
	Missing uint64   // Missing: how many records at most are lost to damage
	Found   []string // Found: problems, a sentence each
}

// A Spool is an open spool. One goroutine may append while others read, sync, remove and
// write the journal.
type Spool struct {
	dir         string
	writer      uint64
	segmentSize int64 // segmentSize: a segment this large takes no further extent
	fileLimit   int64 // fileLimit: the largest allowed file
	lock        *os.File

	// Only while the spool is being opened:
	left  *Left
	hole  bool              // hole: the bytes behind the last whole record are damaged
	nexts map[uint64]uint64 // nexts: by writer: above the ordinals of its records
	kept  []string          // kept: names of the damaged segments that this process has kept

	done []span // done: ordinals of records that are done, by a journal of version 1; set by Open

	mu       sync.Mutex
	segments map[uint64]*segment
	last     *segment // last: the one to append to; nil: the next extent begins one
	next     uint64   // next: number of the next segment
	newNames bool     // newNames: the directory has entries that no Sync has covered
	size     int64    // size: bytes of all segments
	stays    bool     // stays: the file of a segment could not be removed

	journalMu   sync.Mutex // journalMu: guards the journal, so that reading need not wait for its disk
	journal     *os.File
	journalSeed uint32
	journalSize int64
	journalNew  bool // journalNew: its name is not durable yet
	notes       Notes

	dead deadLetters
}

type segment struct {
	number uint64
	seed   uint32
	class  Class // class: of its records; set only in segments that this process made
	size   int64
	synced int64    // synced: a Sync has covered the file up to here
	file   *os.File // file: to write to; nil in segments of an earlier process
}

// Open opens the spool in dir, which must exist, and reads what an earlier process left.
// writer identifies the process whose records will be appended. size is the intended size of the
// spool, in bytes: it sets the size of segments and of the dead letters' file; the caller
// enforces it.
func Open(dir string, size int64, writer uint64) (*Spool, *Left, error) {
	s := &Spool{dir: dir, writer: writer, segments: make(map[uint64]*segment), next: 1, nexts: make(map[uint64]uint64)}
	s.segmentSize = min(max(size/64, ExtentSize), 4<<20)
	s.left = &Left{Next: 1, Notes: Notes{Done: make(map[uint64]uint64)}}
	var err error
	if s.fileLimit, err = fileLimit(); err != nil {
		return nil, nil, err
	}
	if s.segmentSize+ExtentSize > s.fileLimit {
		s.found("files may have %d bytes at most (ulimit -f): the spool has smaller ones, and cannot keep an entry that is larger", s.fileLimit)
	}
	s.dead.open(dir, min(size, 4*s.fileLimit))
	if s.lock, err = lockDir(dir); err != nil {
		return nil, nil, err
	}
	if err = s.openJournal(); err == nil {
		err = s.recover()
	}
	if err != nil {
		unlock(s.lock)
		return nil, nil, fmt.Errorf("open the spool %s: %w", dir, err)
	}
	left := s.left
	left.Notes.Dropped = s.notes.Dropped
	s.notes, s.left, s.nexts = left.Notes, nil, nil
	return s, left, nil
}

// minFile is the smallest usable RLIMIT_FSIZE, in bytes: the journal fits, with room to spare.
const minFile = 2 * maxJournal

// fileLimit returns the largest allowed file size (RLIMIT_FSIZE), in bytes, or an error if
// that is too small for a spool.
func fileLimit() (int64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil || limit.Cur > math.MaxInt64/8 {
		return math.MaxInt64 / 8, nil
	}
	if limit.Cur < minFile {
		return 0, fmt.Errorf("files may have %d bytes at most (ulimit -f), and the spool needs %d", limit.Cur, minFile)
	}
	return int64(limit.Cur), nil
}

// Dir is the directory of the spool.
func (s *Spool) Dir() string { return s.dir }

func (s *Spool) found(format string, args ...any) {
	s.left.Found = append(s.left.Found, fmt.Sprintf(format, args...))
}

// Append writes records of one class and returns their place. If fresh, they begin an extent.
// Else they continue the last one: they go right behind it, or Append fails. A segment has
// records of one class, so that dropping them removes whole segments. Append changes the bytes of
// extent, in place. On an error the caller still owns the records. If the file cannot be cut then,
// some may be in it, too; recovery ignores copies.
func (s *Spool) Append(extent []byte, fresh bool) (Place, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if fresh {
		if err := s.Present(); err != nil {
			return Place{}, fmt.Errorf("write to the spool: %w", err)
		}
	}
	class, size := At(extent, 0).Class(), int64(len(extent))
	if fresh && (last == nil || last.class != class || last.size >= s.segmentSize ||
		last.size > fileHeaderSize && last.size+size > s.fileLimit) {
		var err error
		if last, err = s.newSegment(class); err != nil {
			return Place{}, fmt.Errorf("write to the spool: %w", err)
		}
	}
	if last == nil {
		return Place{}, errors.New("write to the spool: the segment is gone")
	}
	sealAll(extent, last.seed)
	if _, err := last.file.WriteAt(extent, last.size); err != nil {
		if last.file.Truncate(last.size) != nil {
			s.mu.Lock()
			s.last = nil // it ends with half a record; nothing may follow
			s.mu.Unlock()
		}
		return Place{}, fmt.Errorf("write to the spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	place := Place{last.number, last.size}
	last.size += size
	s.size += size
	return place, nil
}

// newSegment makes a segment; it becomes the last one.
func (s *Spool) newSegment(class Class) (*segment, error) {
	s.mu.Lock()
	number := s.next
	s.mu.Unlock()
	header := newHeader(segmentMagic, s.writer)
	seed, _, err := readHeader(header, segmentMagic)
	if err != nil {
		return nil, err
	}
	name := s.segmentFile(number)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(header); err != nil {
		f.Close()
		os.Remove(name)
		return nil, err
	}
	g := &segment{number: number, seed: seed, class: class, size: fileHeaderSize, file: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.segments[number] = g
	old := s.last
	s.last = g
	s.closeIdle(old)
	s.size += g.size
	s.newNames = true
	return g, nil
}

// Sync makes everything durable that was written before the call, dead letters, too. After an
// error the next Sync tries again.
func (s *Spool) Sync() error {
	type written struct {
		*segment
		upto int64
		file *os.File
	}
	var dirty []written
	s.mu.Lock()
	newNames := s.newNames
	s.newNames = false
	for _, g := range s.segments {
		if g.synced < g.size {
			dirty = append(dirty, written{g, g.size, g.file})
		}
	}
	s.mu.Unlock()
	err := errors.Join(s.Present(), s.dead.sync())
	for _, w := range dirty {
		syncErr := w.file.Sync()
		s.mu.Lock()
		switch {
		case s.segments[w.number] != w.segment || w.synced >= w.upto:
			// Remove or another Sync has closed the file.
		case syncErr != nil:
			err = errors.Join(err, syncErr)
		default:
			w.synced = w.upto
			s.closeIdle(w.segment)
		}
		s.mu.Unlock()
	}
	if newNames {
		err = errors.Join(err, syncDir(s.dir))
	}
	if err != nil {
		s.mu.Lock()
		s.newNames = s.newNames || newNames
		s.mu.Unlock()
		return fmt.Errorf("sync the spool: %w", err)
	}
	return nil
}

// closeIdle closes the file of a segment that is not the last one and has been synced. The
// caller holds mu.
func (s *Spool) closeIdle(g *segment) {
	if g != nil && g != s.last && g.synced == g.size {
		g.file.Close()
	}
}

// Remove removes a segment. Removing it again does nothing. If the file cannot be removed, the next
// process does it where the journal says that its records are done. Else, if they were dropped, it
// delivers them.
func (s *Spool) Remove(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[number]
	if g == nil {
		return nil
	}
	g.file.Close()
	delete(s.segments, number)
	s.size -= g.size
	if s.last == g {
		s.last = nil
	}
	return s.unlink(number)
}

// unlink removes the file of a segment. The caller holds mu.
func (s *Spool) unlink(number uint64) error {
	err := s.Present()
	if err == nil {
		err = os.Remove(s.segmentFile(number))
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	s.stays = true
	return fmt.Errorf("remove a segment of the spool: %w", err)
}

// empty reports whether there is no segment. The caller holds mu.
func (s *Spool) empty() bool { return len(s.segments) == 0 && !s.stays }

// Bytes returns the size of all segments.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Present returns an error if the directory that was opened has been removed or replaced:
// the open files have no names then, and no later process will find them. Files of these
// names may be another process's.
func (s *Spool) Present() error {
	ours, err := s.lock.Stat()
	if err != nil {
		return fmt.Errorf("check the spool's directory: %w", err)
	}
	there, err := os.Stat(filepath.Join(s.dir, lockName))
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(ours, there) {
		return fmt.Errorf("the spool's directory %s has been removed", s.dir)
	}
	if err != nil {
		return fmt.Errorf("check the spool's directory: %w", err)
	}
	return nil
}

// Close closes the spool. It removes an empty one, with its directory unless that has other
// files.
func (s *Spool) Close() error {
	err := s.Sync()
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	empty := s.Present() == nil && s.empty() && s.notes.Dropped == (Counts{})
	for _, g := range s.segments {
		g.file.Close()
	}
	if s.journal != nil {
		err = errors.Join(err, s.journal.Sync(), s.journal.Close())
	}
	if empty {
		os.Remove(filepath.Join(s.dir, journalName))
		os.Remove(filepath.Join(s.dir, lockName))
		os.Remove(s.dir)
	}
	s.dead.close()
	return errors.Join(err, unlock(s.lock))
}
