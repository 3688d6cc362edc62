package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// The journal is one file beside the segments that says what has become of
// their records. A note is
//
//	0  uint32  CRC32C over the file's salt and everything behind the CRC
//	4  uint32  size of the whole note, in bytes
//	8  uint8   kind
//	9          what the kind says, uint64 each
//
// A note whose CRC is wrong ends the journal.
const (
	noteDone     = 1 // ordinal: every record below it is settled
	noteRenumber = 2 // stream, from, upto, milliseconds, sequence number; see Renumbering
	noteSettled  = 3 // from, upto: records with these ordinals are in their streams, or were dropped
	noteDropped  = 4 // one count for each stream: dropped and not told yet
)

const journalName = "journal"

// maxJournal is the size in bytes at which the journal is written anew.
const maxJournal = 256 << 10

// A Renumbering gives the records of a stream with ordinals in [From, Upto) the
// IDs that begin with Base, where theirs are not larger already. It depends on
// nothing but a record itself, so it comes out the same in every run.
type Renumbering struct {
	Stream     entry.Stream
	From, Upto uint64
	Base       entry.ID
}

// Apply is the ID that a record with this ordinal and ID has.
func (n Renumbering) Apply(ordinal uint64, id entry.ID) entry.ID {
	if ordinal < n.From || ordinal >= n.Upto {
		return id
	}
	if to := (entry.ID{Ms: n.Base.Ms, Seq: n.Base.Seq + (ordinal - n.From)}); id.Less(to) {
		return to
	}
	return id
}

// A Span is the ordinals in [From, Upto).
type Span struct{ From, Upto uint64 }

// Merge sorts spans and joins those that touch.
func Merge(spans []Span) []Span {
	sort.Slice(spans, func(i, j int) bool { return spans[i].From < spans[j].From })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.From <= merged[n-1].Upto {
			merged[n-1].Upto = max(merged[n-1].Upto, s.Upto)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// Covers says whether merged spans have an ordinal in them.
func Covers(merged []Span, ordinal uint64) bool {
	i := sort.Search(len(merged), func(i int) bool { return merged[i].From > ordinal })
	return i > 0 && ordinal < merged[i-1].Upto
}

// added are those of now that are not in before.
func added[T comparable](now, before []T) (news []T) {
	for _, t := range now {
		if !slices.Contains(before, t) {
			news = append(news, t)
		}
	}
	return news
}

// Notes are what a journal says.
type Notes struct {
	Done       uint64 // every record below it is settled
	Renumbered []Renumbering
	Settled    []Span                // merged
	Dropped    [entry.Streams]uint64 // records dropped to make room, by stream, and not told yet
}

func appendNote(b []byte, salt uint32, kind byte, values ...uint64) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(9+8*len(values)))
	b = append(b, kind)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	binary.LittleEndian.PutUint32(b[at:], crc32.Update(salt, castagnoli, b[at+4:]))
	return b
}

// append appends notes that say what n says.
func (n *Notes) append(b []byte, salt uint32) []byte {
	if n.Done > 0 {
		b = appendNote(b, salt, noteDone, n.Done)
	}
	for _, r := range n.Renumbered {
		if r.Upto > n.Done {
			b = appendNote(b, salt, noteRenumber, uint64(r.Stream), r.From, r.Upto, r.Base.Ms, r.Base.Seq)
		}
	}
	for _, l := range n.Settled {
		if l.Upto > n.Done {
			b = appendNote(b, salt, noteSettled, l.From, l.Upto)
		}
	}
	if n.Dropped != [entry.Streams]uint64{} {
		b = appendNote(b, salt, noteDropped, n.Dropped[:]...)
	}
	return b
}

// forget lets go of what is about records that are settled.
func (n *Notes) forget() {
	renumbered := n.Renumbered[:0]
	for _, r := range n.Renumbered {
		if r.Upto > n.Done {
			renumbered = append(renumbered, r)
		}
	}
	n.Renumbered = renumbered
	settled := n.Settled[:0]
	for _, l := range n.Settled {
		if l.Upto > n.Done {
			settled = append(settled, l)
		}
	}
	n.Settled = settled
}

// readNotes reads a journal's bytes. The error says why not all of it was read;
// what was is in notes.
func readNotes(data []byte) (notes Notes, err error) {
	defer func() { notes.Settled = Merge(notes.Settled) }()
	salt, err := salt(data, journalMagic)
	if err != nil {
		return notes, err
	}
	for b := data[fileHeaderSize:]; len(b) > 0; {
		if len(b) < 9 {
			return notes, errors.New("the last note is cut off")
		}
		size := uint64(binary.LittleEndian.Uint32(b[4:]))
		if size < 9 || size > uint64(len(b)) || size%8 != 1 ||
			binary.LittleEndian.Uint32(b) != crc32.Update(salt, castagnoli, b[4:size]) {
			return notes, fmt.Errorf("damaged %d bytes before its end", len(b))
		}
		kind := b[8]
		v := make([]uint64, 0, 5)
		for at := uint64(9); at < size; at += 8 {
			v = append(v, binary.LittleEndian.Uint64(b[at:]))
		}
		b = b[size:]
		switch {
		case kind == noteDone && len(v) == 1:
			notes.Done = max(notes.Done, v[0])
		case kind == noteRenumber && len(v) == 5 && v[0] < uint64(entry.Streams):
			n := Renumbering{entry.Stream(v[0]), v[1], v[2], entry.ID{Ms: v[3], Seq: v[4]}}
			if !slices.Contains(notes.Renumbered, n) {
				notes.Renumbered = append(notes.Renumbered, n)
			}
		case kind == noteSettled && len(v) == 2:
			notes.Settled = append(notes.Settled, Span{v[0], v[1]})
		case kind == noteDropped && len(v) == int(entry.Streams):
			copy(notes.Dropped[:], v)
		}
	}
	return notes, nil
}

// openJournal reads the journal, if there is one.
func (s *Spool) openJournal() error {
	data, err := os.ReadFile(filepath.Join(s.dir, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.journalSize = int64(len(data))
	s.notes, err = readNotes(data)
	var version *versionError
	if errors.As(err, &version) {
		return fmt.Errorf("%s: %w", journalName, err)
	}
	if err != nil {
		s.found("the journal of the spool is not whole: %v", err)
	}
	return nil
}

// Note changes what the journal says and makes that durable if durable is true.
func (s *Spool) Note(durable bool, change func(*Notes)) error {
	s.noting.Lock()
	defer s.noting.Unlock()
	before := s.notes
	before.Renumbered, before.Settled = slices.Clone(before.Renumbered), slices.Clone(before.Settled)
	change(&s.notes)
	s.notes.Settled = Merge(s.notes.Settled)
	if before.Done != s.notes.Done {
		s.notes.forget()
	}
	if s.journal == nil || s.journalSize > maxJournal {
		if err := s.rewriteJournal(); err != nil {
			return fmt.Errorf("write the spool's journal: %w", err)
		}
	} else {
		// Only what changed: the whole is small, but this is written often.
		news := Notes{
			Dropped: s.notes.Dropped, Renumbered: added(s.notes.Renumbered, before.Renumbered), Settled: added(s.notes.Settled, before.Settled),
		}
		if before.Done != s.notes.Done {
			news.Done = s.notes.Done
		}
		if before.Dropped == s.notes.Dropped {
			news.Dropped = [entry.Streams]uint64{}
		}
		var b []byte
		b = news.append(b, s.journalSalt)
		if before.Dropped != s.notes.Dropped && s.notes.Dropped == [entry.Streams]uint64{} {
			b = appendNote(b, s.journalSalt, noteDropped, make([]uint64, entry.Streams)...)
		}
		n, err := s.journal.Write(b)
		s.journalSize += int64(n)
		if err != nil {
			s.journalSize = maxJournal + 1 // it may end with half a note: begin anew
			return fmt.Errorf("write the spool's journal: %w", err)
		}
	}
	if !durable {
		return nil
	}
	err := s.journal.Sync()
	if s.journalNew {
		s.journalNew = false
		err = errors.Join(err, syncDir(s.dir))
	}
	return err
}

// rewriteJournal writes the whole journal anew. The caller holds noting.
func (s *Spool) rewriteJournal() error {
	header := newHeader(journalMagic)
	salt, err := salt(header, journalMagic)
	if err != nil {
		return err
	}
	name := filepath.Join(s.dir, journalName)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	data := s.notes.append(header, salt)
	_, err = f.Write(data)
	if err == nil && s.journalSize > 0 {
		err = f.Sync() // before it takes the place of one that has been synced
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
	s.journal, s.journalSalt, s.journalSize = f, salt, int64(len(data))
	s.journalNew = true
	return nil
}
