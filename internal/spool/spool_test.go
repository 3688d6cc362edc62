package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// make1 makes the record with an ordinal; everything in it follows from that.
func make1(ordinal uint64) []byte {
	message := fmt.Appendf(nil, "line %d %s", ordinal, strings.Repeat("x", int(ordinal*7%90)))
	var fields []string
	if ordinal%5 == 0 {
		fields = []string{"kind", "signal", "run", fmt.Sprint(ordinal)}
	}
	r := make(Record, Size(message, fields))
	state := byte(Resent)
	if ordinal%11 == 0 {
		state |= Kept
	}
	r.Fill(ordinal, entry.ID{Ms: 1000 + ordinal/3, Seq: ordinal % 3}, entry.Stream(ordinal%uint64(entry.Streams)), entry.Flags(ordinal%4), state, message, fields)
	return r
}

// fill appends the records [from, upto) in runs of RunSize, as an outbox does.
func fill(t testing.TB, s *Spool, from, upto uint64) {
	t.Helper()
	var run []byte
	flush := func() {
		if len(run) > 0 {
			if _, err := s.Append(run, true); err != nil {
				t.Fatal(err)
			}
		}
		run = run[:0]
	}
	for i := from; i < upto; i++ {
		r := make1(i)
		if len(run)+len(r) > RunSize {
			flush()
		}
		run = append(run, r...)
	}
	flush()
}

func open(t testing.TB, dir string) (*Spool, *Left) {
	t.Helper()
	s, left, err := Open(dir, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	return s, left
}

// ordinals reads everything that was left, and fails unless each record is what
// make1 makes, and they come in order.
func ordinals(t testing.TB, s *Spool, left *Left) (got []uint64) {
	t.Helper()
	for _, run := range left.Runs {
		data, err := s.Read(run.Place, run.Bytes, run.Ordinal, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for at := 0; at < len(data); n++ {
			r := At(data, at)
			at += len(r)
			o := r.Ordinal()
			if len(got) > 0 && o <= got[len(got)-1] {
				t.Fatalf("ordinal %d behind %d", o, got[len(got)-1])
			}
			got = append(got, o)
			want := Record(make1(o))
			want.Clear(Resent)
			if !bytes.Equal(r[4:], want[4:]) {
				t.Fatalf("record %d is %q, want %q", o, r[4:], want[4:])
			}
		}
		if n != run.Records {
			t.Fatalf("%d records in a run of %d", n, run.Records)
		}
	}
	return got
}

func check(t testing.TB, got []uint64, from, upto uint64) {
	t.Helper()
	var want []uint64
	for i := from; i < upto; i++ {
		want = append(want, i)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d records, want [%d, %d): %v", len(got), from, upto, got[:min(len(got), 20)])
	}
}

func TestLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, left := open(t, dir)
	if len(left.Runs) > 0 || left.Next != 1 {
		t.Errorf("a new spool has %+v", left)
	}
	fill(t, s, 1, 20_000)
	err := s.Note(true, func(n *Notes) {
		n.Renumbered = append(n.Renumbered, Renumbering{entry.Info, 19_990, 20_000, entry.ID{Ms: 1 << 40}})
		n.Settled = append(n.Settled, Span{7, 9})
		n.Dropped[entry.Error] = 3
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, left = open(t, dir)
	check(t, ordinals(t, s, left), 1, 20_000)
	if left.Next != 20_000 || left.Missing != 0 || len(left.Found) > 0 {
		t.Errorf("next %d, missing %d, found %q", left.Next, left.Missing, left.Found)
	}
	if want := (entry.ID{Ms: 1 << 40, Seq: 6}); left.Last != want {
		t.Errorf("the last ID is %v, want %v", left.Last, want)
	}
	if left.Notes.Dropped != [entry.Streams]uint64{entry.Error: 3} || len(left.Notes.Settled) != 1 || len(left.Notes.Renumbered) != 1 {
		t.Errorf("notes: %+v", left.Notes)
	}
	// What is done is not left any more, and goes on where it ended.
	if err := s.Note(true, func(n *Notes) { n.Done = 10_000 }); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 20_000, 21_000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, left = open(t, dir)
	check(t, ordinals(t, s, left), 10_000, 21_000)
	if len(left.Notes.Settled) > 0 {
		t.Errorf("notes about what is done: %+v", left.Notes)
	}
	for n := range s.segments {
		s.Remove(n)
	}
	if s.Bytes() != 0 {
		t.Errorf("%d bytes in no segments", s.Bytes())
	}
	s.Note(true, func(n *Notes) { *n = Notes{Done: 21_000} })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of an empty spool is there: %v", err)
	}
}

// TestTorn cuts the newest segment at every byte of its last two records: what
// is whole is there, nothing is told as damage, and writing goes on.
func TestTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 10)
	s.Close()
	file := s.segmentFile(1)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last, before := len(make1(9)), len(make1(8))
	for cut := 0; cut <= last+before; cut++ {
		if err := os.WriteFile(file, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := uint64(10)
		if cut > 0 {
			want--
		}
		if cut > last {
			want--
		}
		if cut == last+before {
			want = 8
		}
		s, left := open(t, dir)
		check(t, ordinals(t, s, left), 1, want)
		if len(left.Found) > 0 {
			t.Errorf("cut by %d: %q", cut, left.Found)
		}
		fill(t, s, want, 12)
		s.Close()
		s, left = open(t, dir)
		check(t, ordinals(t, s, left), 1, 12)
		s.Close()
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		at      func(size int) int
		missing uint64
		left    int
	}{
		{"a record", func(size int) int { return size / 2 }, 1, 9998},
		{"a length", func(int) int { return fileHeaderSize + 4 }, 1, 9998},
		{"the header", func(int) int { return 20 }, 0, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, _ := open(t, dir)
			fill(t, s, 1, 10_000)
			s.Close()
			file := s.segmentFile(1)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[test.at(len(data))] ^= 0x10
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, left := open(t, dir)
			got := ordinals(t, s, left)
			if test.left >= 0 && len(got) != test.left {
				t.Errorf("%d records, want %d", len(got), test.left)
			}
			if got[0] == 1 && left.Missing != test.missing {
				t.Errorf("%d missing, want %d", left.Missing, test.missing)
			}
			if len(left.Found) != 1 || !strings.Contains(left.Found[0], damagedPrefix) {
				t.Errorf("found %q", left.Found)
			}
			if _, err := os.Stat(filepath.Join(dir, damagedPrefix+filepath.Base(file))); err != nil {
				t.Error(err)
			}
			s.Close()
		})
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	if _, _, err := Open(dir, 1<<20); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	s.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, dir)
	s.Close()
}

func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 10_000)
	place, err := s.Replace(1, slices.Concat(make1(11), make1(22)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(place, len(make1(11))+len(make1(22)), 11, nil); err != nil {
		t.Error(err)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := s.Note(true, func(n *Notes) { n.Settled = append(n.Settled, Span{23, 1_000_000}) }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, left := open(t, dir)
	defer s.Close()
	got := ordinals(t, s, left)
	if got[0] != 11 || got[1] != 22 || got[2] < 500 || got[len(got)-1] != 9999 || len(left.Found) > 0 {
		t.Errorf("%v..., found %q", got[:3], left.Found)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	defer s.Close()
	message := []byte("a\xff\n\"")
	r := make(Record, Size(message, []string{"kind", "hang"}))
	r.Fill(1, entry.ID{Ms: 5}, entry.Crash, entry.Stderr, 0, message, []string{"kind", "hang"})
	if err := s.SetAside("logs:app:t:crash", r, "WRONGTYPE x"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, DeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ",")
	if want := `"stream":"logs:app:t:crash","id":"5-0","reply":"WRONGTYPE x","message_base64":"Yf8KIg==","fields":{"kind":"hang","source":"stderr"}}` + "\n"; rest != want {
		t.Errorf("%s\nwant %s", rest, want)
	}
	for i := 0; err == nil; i++ {
		err = s.SetAside("x", make1(uint64(i)), "no")
	}
	info, _ := os.Stat(filepath.Join(dir, DeadLetters))
	if !errors.Is(err, errDeadFull) || info.Size() > 1<<20 || info.Size() < 1<<19 {
		t.Errorf("%d bytes: %v", info.Size(), err)
	}
}

func TestPrepare(t *testing.T) {
	base := t.TempDir()
	t.Setenv("WRAPP_SPOOL_DIR", filepath.Join(base, "env"))
	if dir, err := Prepare("", "app"); err != nil || dir != filepath.Join(base, "env", "app") {
		t.Errorf("%q, %v", dir, err)
	}
	if dir, err := Prepare(filepath.Join(base, "said"), "app"); err != nil || dir != filepath.Join(base, "said", "app") {
		t.Errorf("%q, %v", dir, err)
	}
	dir := filepath.Join(base, "said", "app")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(filepath.Join(base, "said"), "app"); err == nil {
		t.Error("others can write there, and it is taken")
	}
	if err := os.Symlink(base, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(base, "link"); err == nil {
		t.Error("a link is taken for a directory")
	}
	if os.Geteuid() == 0 {
		os.Chmod(dir, 0o700)
		if err := os.Chown(dir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, err := Prepare(filepath.Join(base, "said"), "app"); err == nil {
			t.Error("another user's directory is taken")
		}
	}
}

// TestReaders has readers of different segments, of which one file stays open.
func TestReaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 3000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, left := open(t, dir)
	var readers sync.WaitGroup
	for from := range 4 {
		readers.Go(func() {
			space := make([]byte, RunSize)
			for i := range 2000 {
				run := left.Runs[(from+i)%len(left.Runs)]
				if _, err := s.Read(run.Place, len(make1(run.Ordinal)), run.Ordinal, space); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	readers.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOtherVersion leaves alone what a wrapp of another version has written.
func TestOtherVersion(t *testing.T) {
	for _, name := range []string{journalName, "0000000000000001.seg"} {
		dir := t.TempDir()
		s, _ := open(t, dir)
		fill(t, s, 1, 100)
		if err := s.Note(true, func(n *Notes) { n.Done = 5 }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint32(data[8:], formatVersion+1)
		binary.LittleEndian.PutUint32(data[28:], crc32.Checksum(data[:28], castagnoli))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, 4<<20); err == nil || !strings.Contains(err.Error(), name+": format version 2, and this wrapp knows 1") {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, data) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
}
