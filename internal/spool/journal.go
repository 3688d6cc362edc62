package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// The journal is a file beside the segments that says which of their records are done: landed,
// or refused for good. A note is
//
//	0  uint32  CRC32C; covers the file's salt and writer and everything behind the CRC
//	4  uint32  size of the whole note, in bytes
//	8  uint8   kind
//	9          values of that kind, uint64 each
//
// A note whose CRC is wrong ends the journal. Of notes about the same, the last one holds.
const (
	// Notes of version 1. They hold for the segments of version 1 only; of the others, Redis
	// has the position. We write none but copies of spans.
	noteBelow = 1 // ordinal: every record below it is done
	noteSpan  = 3 // from, upto: records with these ordinals are done
	// 2 is about IDs; we skip it.

	noteDropped = 4 // a count for each stream: records dropped and not reported yet
	noteDone    = 5 // writer, ordinal: every record of the writer below the ordinal is done
)

const journalName = "journal"

// maxJournal is the size at which the journal is rewritten, in bytes.
const maxJournal = 256 << 10

// A span is a range of ordinals, [from, upto).
type span struct{ from, upto uint64 }

// Notes are the content of a journal.
type Notes struct {
	Done    map[uint64]uint64 // by writer: each of its records with a lower ordinal is done
	Dropped Counts            // records dropped to make room and not reported yet
}

func appendNote(b []byte, seed uint32, kind byte, values ...uint64) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(9+8*len(values)))
	b = append(b, kind)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	binary.LittleEndian.PutUint32(b[at:], crc32.Update(seed, castagnoli(), b[at+4:]))
	return b
}

// append appends n in the journal's format.
func (n *Notes) append(b []byte, seed uint32) []byte {
	for writer, ordinal := range n.Done {
		b = appendNote(b, seed, noteDone, writer, ordinal)
	}
	var dropped [logstream.Count]uint64
	for s, n := range n.Dropped {
		dropped[s] = uint64(n)
	}
	return appendNote(b, seed, noteDropped, dropped[:]...)
}

// readNotes reads a journal's bytes. done is of version 1. The error says why it stopped early;
// notes and done have what it read before.
func readNotes(data []byte) (notes Notes, done []span, err error) {
	notes.Done = make(map[uint64]uint64)
	seed, _, err := readHeader(data, journalMagic)
	if err != nil {
		return notes, done, err
	}
	for b := data[fileHeaderSize:]; len(b) > 0; {
		if len(b) < 9 {
			return notes, done, errors.New("the last note is cut off")
		}
		size := uint64(binary.LittleEndian.Uint32(b[4:]))
		if size < 9 || size > uint64(len(b)) || size%8 != 1 ||
			binary.LittleEndian.Uint32(b) != crc32.Update(seed, castagnoli(), b[4:size]) {
			return notes, done, fmt.Errorf("damaged %d bytes before its end", len(b))
		}
		kind := b[8]
		v := make([]uint64, 0, 5)
		for at := uint64(9); at < size; at += 8 {
			v = append(v, binary.LittleEndian.Uint64(b[at:]))
		}
		b = b[size:]
		switch {
		case kind == noteBelow && len(v) == 1:
			if n := len(done); n > 0 && done[n-1].from == 0 { // there are many
				done = done[:n-1]
			}
			done = append(done, span{0, v[0]})
		case kind == noteSpan && len(v) == 2:
			done = append(done, span{v[0], v[1]})
		case kind == noteDone && len(v) == 2:
			notes.Done[v[0]] = v[1]
		case kind == noteDropped && len(v) == int(logstream.Count):
			for s, n := range v {
				notes.Dropped[s] = int(n)
			}
		}
	}
	return notes, done, nil
}

// openJournal reads the journal, if there is one. An error says that the version is not known.
func (s *Spool) openJournal() error {
	data, err := os.ReadFile(filepath.Join(s.dir, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		s.journalSize = int64(len(data))
		s.notes, s.done, err = readNotes(data)
	}
	var version *versionError
	if errors.As(err, &version) {
		return fmt.Errorf("%s: %w", journalName, err)
	}
	if err != nil {
		s.found("the journal of the spool is not whole: %v", err)
	}
	return nil
}

// WriteJournal writes notes into the journal, unless it has them. durable also syncs it. notes.Done
// must not change afterwards.
func (s *Spool) WriteJournal(notes Notes, durable bool) error {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	s.mu.Lock()
	if s.empty() {
		notes.Done = nil
	}
	s.mu.Unlock()
	var err error
	same := notes.Dropped == s.notes.Dropped && maps.Equal(notes.Done, s.notes.Done)
	switch {
	case same && (s.journal != nil || !durable):
	case s.journal == nil || s.journalSize > maxJournal:
		err = s.rewriteJournal(&notes)
	default:
		var n int
		n, err = s.journal.Write(notes.append(nil, s.journalSeed))
		s.journalSize += int64(n)
		if err != nil {
			s.journalSize = maxJournal + 1 // it may end with half a note: rewrite it next time
		}
	}
	if err != nil {
		return fmt.Errorf("write the spool's journal: %w", err)
	}
	s.notes = notes
	if !durable {
		return nil
	}
	err = s.journal.Sync()
	if err == nil && s.journalNew {
		err = syncDir(s.dir)
		s.journalNew = err != nil
	}
	return err
}

// rewriteJournal replaces the journal. The caller holds journalMu.
func (s *Spool) rewriteJournal(notes *Notes) error {
	if err := s.Present(); err != nil {
		return err
	}
	header := newHeader(journalMagic, 0)
	seed, _, err := readHeader(header, journalMagic)
	if err != nil {
		return err
	}
	name := filepath.Join(s.dir, journalName)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	data := notes.append(header, seed)
	for _, d := range s.done {
		data = appendNote(data, seed, noteSpan, d.from, d.upto)
	}
	_, err = f.Write(data)
	if err == nil && s.journalSize > 0 {
		err = f.Sync() // the journal that it replaces may be durable
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		f.Close()
		return err
	}
	if s.journal != nil {
		s.journal.Close()
	}
	s.journal, s.journalSeed, s.journalSize = f, seed, int64(len(data))
	s.journalNew = true
	return nil
}
