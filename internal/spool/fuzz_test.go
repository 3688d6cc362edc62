package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// FuzzFlipped flips bits of a segment and of the journal, and cuts the segment: every
// record read back is as it was written, in order, and none comes twice.
func FuzzFlipped(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0, 0, 4, 1}, uint32(0))
	f.Add([]byte{0, 1, 0, 0xff, 0x80, 40, 2, 8}, uint32(13))
	f.Add([]byte{0, 36, 1, 0x40, 0, 80, 0, 1}, uint32(200))
	f.Fuzz(func(t *testing.T, flips []byte, cut uint32) {
		dir := t.TempDir()
		s, _ := open(t, dir)
		const n = 60
		fill(t, s, 1, n)
		fill(t, s, n, 2*n)
		if err := s.WriteJournal(Notes{Dropped: Counts{5}}, false); err != nil {
			t.Fatal(err)
		}
		s.Close()
		segment, journal := s.segmentFile(1), filepath.Join(dir, journalName)
		data, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		notes, err := os.ReadFile(journal)
		if err != nil {
			t.Fatal(err)
		}
		whole := len(data)
		for ; len(flips) >= 4; flips = flips[4:] {
			at := int(binary.BigEndian.Uint16(flips) &^ 0x8000)
			if flips[0]&0x80 != 0 {
				notes[at%len(notes)] ^= flips[3]
			} else {
				data[at%len(data)] ^= flips[3]
			}
		}
		data = data[:len(data)-int(cut)%len(data)]
		os.WriteFile(segment, data, 0o600)
		os.WriteFile(journal, notes, 0o600)
		s, left, err := Open(dir, 4<<20, writer)
		if err != nil {
			return // Open refuses the spool
		}
		got := ordinals(t, s, left)
		if len(got) < 2*n-1 && len(left.Found) == 0 && len(data) == whole {
			t.Errorf("%d of %d records are left, and nothing is told", len(got), 2*n-1)
		}
		s.Close()
	})
}

// FuzzSegment reads any bytes as a segment and a journal: no panic, and the ordinals rise.
func FuzzSegment(f *testing.F) {
	header := newHeader(segmentMagic, writer)
	start, _, _ := readHeader(header, segmentMagic)
	r := Record(make1(5))
	r.seal(start)
	f.Add(append(header, r...), []byte{})
	f.Add([]byte{}, appendNote(newHeader(journalMagic, 0), 0, noteDone, writer, 7))
	f.Fuzz(func(t *testing.T, data, notes []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{"0000000000000001.seg": data, "0000000000000002.seg": data, journalName: notes} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, left, err := Open(dir, 1<<20, writer)
		if err != nil {
			return
		}
		before := uint64(0)
		for _, x := range left.Extents {
			b, err := s.Read(x.Place, x.Bytes, x.Ordinal, nil)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(b); {
				r := At(b, at)
				at += len(r)
				r.Fields()
				if r.Ordinal() <= before {
					t.Fatalf("%d behind %d", r.Ordinal(), before)
				}
				before = r.Ordinal()
			}
		}
		s.Close()
	})
}
