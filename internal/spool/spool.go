// Package spool keeps entries on disk that Redis does not take yet: small
// segment files of checksummed records, and a journal of what has become of
// them. It survives its process's death at any instant and, as far as Sync had
// returned, a power cut.
//
// A spool is a directory of its own:
//
//	lock                   held by the process that uses it
//	0000000000000001.seg…  records, oldest first; see Record and segment.go
//	journal                what has become of them; see journal.go
//	damaged-….seg          segments that were found damaged, kept for a look
//	dead-letters.jsonl     entries that Redis refused for good
package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// RunSize is the size in bytes up to which consecutive records are kept
// together; a larger record is a run of its own. It has room for a message of
// 64 KiB, the longest by default.
const RunSize = 72 << 10

// A Place is where a run of records begins on disk.
type Place struct {
	Segment uint64 // from 1; 0 is nowhere
	Offset  int64
}

// A Run is consecutive records of one segment that an earlier process left.
type Run struct {
	Place
	Bytes, Records int
	Ordinal        uint64   // of the first record
	First          entry.ID // as it stands on disk
}

// Left is what an earlier process left.
type Left struct {
	Runs    []Run // oldest first
	Notes   Notes
	Last    entry.ID // the largest ID among the records
	Next    uint64   // above every ordinal
	Missing uint64   // records that are lost to damage
	Found   []string // what was found wrong, a sentence each
}

// A Spool is an open spool. One goroutine may append while others read, sync,
// note and remove.
type Spool struct {
	dir         string
	segmentSize int64 // a segment this large takes no further run
	lock        *os.File
	left        *Left // while it is being opened

	mu       sync.Mutex
	segments map[uint64]*segment
	last     *segment   // the one to append to, nil if there is none
	next     uint64     // number of the next segment
	dirty    []*segment // written to since the last Sync
	newNames bool       // the directory has entries that no Sync has covered
	size     int64      // bytes of all segments
	reading  *segment   // whose file was read last; its file stays open

	noting      sync.Mutex // guards the journal, so that reading need not wait for its disk
	journal     *os.File
	journalSalt uint32
	journalSize int64
	journalNew  bool // its name is not durable yet
	notes       Notes

	dead deadLetters
}

type segment struct {
	number uint64
	salt   uint32
	size   int64
	file   *os.File // nil while it is not open
	gone   bool
}

// Open opens the spool in dir, which must exist, and reads what an earlier
// process left. The spool is to hold about size bytes: that decides how large
// segments are, and nothing here; the caller is to keep to it.
func Open(dir string, size int64) (*Spool, *Left, error) {
	s := &Spool{dir: dir, segments: make(map[uint64]*segment), next: 1}
	s.segmentSize = min(max(size/64, RunSize), 4<<20)
	s.dead.open(dir, size)
	s.left = &Left{Next: 1}
	var err error
	if s.lock, err = lockDir(dir); err != nil {
		return nil, nil, err
	}
	if err = s.openJournal(); err == nil {
		err = s.recover()
	}
	if err != nil {
		s.lock.Close()
		return nil, nil, fmt.Errorf("open the spool %s: %w", dir, err)
	}
	left := s.left
	left.Notes = s.notes // with arrays of its own: Note changes ours
	left.Notes.Renumbered, left.Notes.Settled = slices.Clone(s.notes.Renumbered), slices.Clone(s.notes.Settled)
	left.Next = max(left.Next, s.notes.Done)
	for _, n := range s.notes.Renumbered {
		left.Next = max(left.Next, n.Upto)
	}
	for _, n := range s.notes.Settled {
		left.Next = max(left.Next, n.Upto)
	}
	s.left = nil
	return s, left, nil
}

// Dir is the directory of the spool.
func (s *Spool) Dir() string { return s.dir }

// SegmentSize is the size in bytes of a full segment, about.
func (s *Spool) SegmentSize() int64 { return s.segmentSize }

func (s *Spool) found(format string, args ...any) {
	s.left.Found = append(s.left.Found, fmt.Sprintf(format, args...))
}

// Append writes a run of records and returns where it is. fresh says that what
// comes begins a run; what does not begin one goes right behind what was written
// before, or fails. On an error nothing of the run is in the spool. It changes the
// bytes of run, in place.
func (s *Spool) Append(run []byte, fresh bool) (Place, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if fresh && (last == nil || last.size >= s.segmentSize) {
		var err error
		if last, err = s.newSegment(); err != nil {
			return Place{}, fmt.Errorf("write to the spool: %w", err)
		}
	}
	if last == nil || last.gone {
		return Place{}, errors.New("write to the spool: the segment is gone")
	}
	sealAll(run, last.salt)
	if _, err := last.file.WriteAt(run, last.size); err != nil {
		if last.file.Truncate(last.size) != nil {
			s.mu.Lock()
			s.last = nil // it has half a record at its end; nothing may follow that
			s.mu.Unlock()
		}
		return Place{}, fmt.Errorf("write to the spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	place := Place{last.number, last.size}
	last.size += int64(len(run))
	s.size += int64(len(run))
	s.markDirty(last)
	return place, nil
}

// markDirty has the next Sync cover a segment. The caller holds mu.
func (s *Spool) markDirty(g *segment) {
	if n := len(s.dirty); n == 0 || s.dirty[n-1] != g {
		s.dirty = append(s.dirty, g)
	}
}

// newSegment makes the segment that is appended to from now on.
func (s *Spool) newSegment() (*segment, error) {
	s.mu.Lock()
	number := s.next
	s.mu.Unlock()
	header := newHeader(segmentMagic)
	start, err := salt(header, segmentMagic)
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
	g := &segment{number: number, salt: start, size: fileHeaderSize, file: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.segments[number] = g
	if old := s.last; old != nil && old != s.reading && !s.isDirty(old) && old.file != nil {
		old.file.Close()
		old.file = nil
	}
	s.last = g
	s.size += g.size
	s.newNames = true
	s.markDirty(g)
	return g, nil
}

// Sync makes durable what was written before it was called.
func (s *Spool) Sync() error {
	s.mu.Lock()
	dirty, newNames := s.dirty, s.newNames
	s.dirty, s.newNames = nil, false
	var files []*os.File
	var err error
	for _, g := range dirty {
		if g.gone || g.file == nil {
			continue
		}
		// A descriptor of our own: the segment may be removed meanwhile.
		fd, dupErr := unix.FcntlInt(g.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if dupErr != nil {
			err = dupErr
			continue
		}
		files = append(files, os.NewFile(uintptr(fd), g.file.Name()))
		if g != s.last && g != s.reading {
			g.file.Close() // Read opens it again
			g.file = nil
		}
	}
	s.mu.Unlock()
	for _, f := range files {
		if syncErr := unix.Fdatasync(int(f.Fd())); syncErr != nil {
			err = syncErr
		}
		f.Close()
	}
	if newNames {
		err = errors.Join(err, syncDir(s.dir))
	}
	if err != nil {
		return fmt.Errorf("sync the spool: %w", err)
	}
	return nil
}

func (s *Spool) isDirty(g *segment) bool {
	for _, d := range s.dirty {
		if d == g {
			return true
		}
	}
	return false
}

// Remove removes a segment: nothing in it is needed any more.
func (s *Spool) Remove(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[number]
	if g == nil {
		return nil
	}
	g.gone = true
	if g.file != nil {
		g.file.Close()
	}
	delete(s.segments, number)
	s.size -= g.size
	if s.last == g {
		s.last = nil
	}
	if s.reading == g {
		s.reading = nil
	}
	if err := os.Remove(s.segmentFile(number)); err != nil {
		return fmt.Errorf("remove a segment of the spool: %w", err)
	}
	return nil
}

// Replace replaces a segment that is not appended to by one that has only the
// records of run. It returns where they are.
func (s *Spool) Replace(number uint64, run []byte) (Place, error) {
	header := newHeader(segmentMagic)
	start, err := salt(header, segmentMagic)
	if err != nil {
		return Place{}, err
	}
	data := append(header, run...)
	sealAll(data[fileHeaderSize:], start)
	name := s.segmentFile(number)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		if f != nil {
			f.Close()
			os.Remove(name + ".new")
		}
		return Place{}, fmt.Errorf("rewrite a segment of the spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.segments[number]
	if old != nil {
		old.gone = true
		if old.file != nil {
			old.file.Close()
		}
		s.size -= old.size
		if s.last == old {
			s.last = nil
		}
		if s.reading == old {
			s.reading = nil
		}
	}
	g := &segment{number: number, salt: start, size: int64(len(data)), file: f}
	s.segments[number] = g
	s.size += g.size
	s.newNames = true
	s.markDirty(g)
	return Place{number, fileHeaderSize}, nil
}

// Bytes is the size of all segments.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Close ends the use of the spool. Where nothing is left in it, its directory
// goes too, unless somebody else has put something there.
func (s *Spool) Close() error {
	err := s.Sync()
	s.noting.Lock()
	defer s.noting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	empty := len(s.segments) == 0 && s.notes.Dropped == [entry.Streams]uint64{}
	for _, g := range s.segments {
		if g.file != nil {
			g.file.Close()
		}
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
	return errors.Join(err, s.lock.Close())
}
