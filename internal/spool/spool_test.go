package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// writer is the process whose records the tests write.
const writer = 0x0123456789abcdef

// make1 makes the record with an ordinal, which determines its content.
func make1(ordinal uint64) []byte {
	message := fmt.Appendf(nil, "line %d %s", ordinal, strings.Repeat("x", int(ordinal*7%90)))
	var fields []string
	if ordinal%5 == 0 {
		fields = []string{"kind", "signal", "run", fmt.Sprint(ordinal)}
	}
	r := make(Record, Size(message, fields))
	state := byte(Skip)
	if ordinal%11 == 0 {
		state |= Own
	}
	r.Fill(ordinal, entry.ID{Ms: 1000 + ordinal/3, Seq: ordinal % 3}, logstream.Stream(ordinal%uint64(logstream.Count)), entry.Flags(ordinal%4), state, message, fields)
	return r
}

// fill appends the records [from, upto) in extents of ExtentSize, as an outbox does.
func fill(t testing.TB, s *Spool, from, upto uint64) {
	t.Helper()
	var extent []byte
	flush := func() {
		if len(extent) > 0 {
			if _, err := s.Append(extent, true); err != nil {
				t.Fatal(err)
			}
		}
		extent = extent[:0]
	}
	for i := from; i < upto; i++ {
		r := make1(i)
		if len(extent)+len(r) > ExtentSize {
			flush()
		}
		extent = append(extent, r...)
	}
	flush()
}

func open(t testing.TB, dir string) (*Spool, *Left) {
	t.Helper()
	s, left, err := Open(dir, 4<<20, writer)
	if err != nil {
		t.Fatal(err)
	}
	return s, left
}

// upTo are notes of which records of writer are done.
func upTo(ordinal uint64) Notes { return Notes{Done: map[uint64]uint64{writer: ordinal}} }

// ordinals reads everything that was left, and fails unless the records are those of make1,
// those of each writer in order.
func ordinals(t testing.TB, s *Spool, left *Left) (got []uint64) {
	t.Helper()
	nexts := make(map[uint64]uint64)
	for _, x := range left.Extents {
		data, err := s.Read(x.Place, x.Bytes, x.Ordinal, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for at := 0; at < len(data); n++ {
			r := At(data, at)
			at += len(r)
			o := r.Ordinal()
			if o < nexts[x.Writer] {
				t.Fatalf("ordinal %d, want %d or more", o, nexts[x.Writer])
			}
			nexts[x.Writer] = o + 1
			got = append(got, o)
			want := Record(make1(o))
			want[14] &^= Skip
			if !bytes.Equal(r[4:], want[4:]) {
				t.Fatalf("record %d is %q, want %q", o, r[4:], want[4:])
			}
		}
		if n != x.Counts.Sum() {
			t.Fatalf("%d records in an extent of %d", n, x.Counts.Sum())
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
	if len(left.Extents) > 0 || left.Next != 1 {
		t.Errorf("a new spool has %+v", left)
	}
	fill(t, s, 1, 20_000)
	if err := s.WriteJournal(Notes{Dropped: Counts{logstream.Error: 3}}, true); err != nil {
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
	if want := (entry.ID{Ms: 1000 + 19_999/3, Seq: 19_999 % 3}); left.Last != want {
		t.Errorf("the last ID is %v, want %v", left.Last, want)
	}
	for _, x := range left.Extents {
		if x.Writer != writer {
			t.Fatalf("an extent of %016x, want %016x", x.Writer, uint64(writer))
		}
	}
	if left.Notes.Dropped != (Counts{logstream.Error: 3}) || !maps.Equal(left.Notes.Done, map[uint64]uint64{writer: 0}) {
		t.Errorf("notes: %+v", left.Notes)
	}
	// Records below Done are not left any more, and the ordinals go on.
	if err := s.WriteJournal(upTo(10_000), true); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 20_000, 21_000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, left = open(t, dir)
	check(t, ordinals(t, s, left), 10_000, 21_000)
	for n := range s.segments {
		s.Remove(n)
	}
	if s.Bytes() != 0 {
		t.Errorf("%d bytes in no segments", s.Bytes())
	}
	if err := s.WriteJournal(upTo(21_000), true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of an empty spool is there: %v", err)
	}
}

// TestTorn cuts the newest segment at every byte of its last two records: whole records are
// there, none is reported as damaged, and writing goes on.
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
		s.Remove(2)
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

// corrupt changes the bytes of the first segment.
func corrupt(t *testing.T, s *Spool, change func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(s.segmentFile(1))
	if err == nil {
		err = os.WriteFile(s.segmentFile(1), change(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnreadable has a segment and a journal that cannot be read: the other segments are there.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	for i := range uint64(3) {
		fill(t, s, 100*i+1, 100*i+101)
		s.last = nil
	}
	s.Close()
	for _, file := range []string{s.segmentFile(2), filepath.Join(dir, journalName)} {
		if err := errors.Join(os.RemoveAll(file), os.Mkdir(file, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	s, left := open(t, dir)
	defer s.Close()
	got := ordinals(t, s, left)
	check(t, got[:100], 1, 101)
	check(t, got[100:], 201, 301)
	if len(left.Found) != 2 || !strings.Contains(left.Found[1], "it is set aside as "+damagedPrefix) || left.Missing != 100 {
		t.Errorf("%d missing, found %q", left.Missing, left.Found)
	}
}

// TestNotOpened has a segment that cannot be opened, perhaps only for now: it stays.
func TestNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "0000000000000001.seg")
	if err := os.Symlink(file, file); err != nil {
		t.Fatal(err)
	}
	_, _, err := Open(dir, 4<<20, writer)
	if _, there := os.Lstat(file); err == nil || there != nil {
		t.Errorf("%v; %v", err, there)
	}
}

// bulky makes a record whose message looks like lengths everywhere.
func bulky(ordinal uint64) Record {
	message := bytes.Repeat([]byte{0, 0, 1}, 20<<10)
	r := make(Record, Size(message, nil))
	r.Fill(ordinal, entry.ID{Ms: ordinal}, logstream.Info, 0, 0, message, nil)
	return r
}

// TestSearch damages a record whose message looks like lengths everywhere: all behind it are found.
func TestSearch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.segmentSize = 1 << 20 // as with the default spool.size
	for i := range uint64(15) {
		if _, err := s.Append(bulky(i+1), true); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	corrupt(t, s, func(data []byte) []byte {
		data[fileHeaderSize+len(bulky(1))+100] ^= 1
		return data
	})
	s, left := open(t, dir)
	defer s.Close()
	n := 0
	for _, x := range left.Extents {
		n += x.Counts.Sum()
	}
	if n != 14 || left.Missing == 0 || len(left.Found) != 1 {
		t.Errorf("%d of 14 records, up to %d missing, found %q", n, left.Missing, left.Found)
	}
}

// TestSearchGivesUp has more bytes that look like records than are searched: what is behind them
// is told as damage, and kept.
func TestSearchGivesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 10)
	s.Close()
	size := 0
	corrupt(t, s, func(data []byte) []byte {
		const huge = 2 << 20
		for i := range 100 {
			r := make(Record, HeaderSize)
			r.Fill(10, entry.ID{Ms: 10}, logstream.Info, 0, 0, nil, nil)
			binary.LittleEndian.PutUint32(r[4:], uint32(huge-i*HeaderSize))
			binary.LittleEndian.PutUint32(r[8:], uint32(huge-(i+1)*HeaderSize))
			data = append(data, r...)
		}
		data = append(data, make([]byte, huge)...)
		size = len(data)
		return data
	})
	s, left := open(t, dir)
	defer s.Close()
	check(t, ordinals(t, s, left), 1, 10)
	info, err := os.Stat(filepath.Join(dir, damagedPrefix+filepath.Base(s.segmentFile(1))))
	if err != nil || info.Size() != int64(size) || len(left.Found) != 1 {
		t.Errorf("%v; found %q", err, left.Found)
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	if _, _, err := Open(dir, 1<<20, writer); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Open: %v", err)
	}
	s.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, dir)
	s.Close()
}

// TestInheritedLock closes a spool whose lock a child has, as one does while it is being forked: the
// next Open succeeds.
func TestInheritedLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 10) // so that the lock file stays
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{s.lock}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, left := open(t, dir)
	defer s.Close()
	check(t, ordinals(t, s, left), 1, 10)
}

// TestClasses appends records of every class: each segment has only one class.
func TestClasses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	var segments []uint64
	for ordinal, r := range []struct {
		stream logstream.Stream
		state  byte
	}{
		{logstream.Info, 0}, {logstream.Error, 0}, {logstream.Status, Own}, {logstream.Error, Own}, {logstream.Crash, Own}, {logstream.Info, 0},
	} {
		b := make(Record, Size([]byte("x"), nil))
		b.Fill(uint64(ordinal+1), entry.ID{Ms: 5}, r.stream, 0, r.state, []byte("x"), nil)
		place, err := s.Append(b, true)
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, place.Segment)
	}
	if want := []uint64{1, 1, 2, 2, 3, 4}; !slices.Equal(segments, want) {
		t.Errorf("segments %v, want %v", segments, want)
	}
	s.Close()
	s, left := open(t, dir)
	defer s.Close()
	var classes []Class
	for _, x := range left.Extents {
		classes = append(classes, x.Class)
	}
	if want := []Class{Lines, Words, Reports, Lines}; !slices.Equal(classes, want) {
		t.Errorf("classes %v, want %v", classes, want)
	}
	if got := left.Extents[0].Counts; got != (Counts{logstream.Info: 1, logstream.Error: 1}) {
		t.Errorf("counts %v", got)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	defer s.Close()
	message := []byte("a\xff\n\"")
	r := make(Record, Size(message, []string{"kind", "hang"}))
	r.Fill(1, entry.ID{Ms: 5}, logstream.Crash, entry.Stderr, 0, message, []string{"kind", "hang"})
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
	// The user moves the full file away, and later removes the next one.
	if err := os.Rename(filepath.Join(dir, DeadLetters), filepath.Join(dir, "kept")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.SetAside("logs:app:t:crash", r, "WRONGTYPE x"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, DeadLetters))
		if err != nil || strings.Count(string(text), "\n") != 1 {
			t.Errorf("%q, %v", text, err)
		}
		if err := os.Remove(filepath.Join(dir, DeadLetters)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornLetter sets an entry aside behind half a line, which a kill has left.
func TestTornLetter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, DeadLetters)
	if err := os.WriteFile(file, []byte(`{"time":"2026`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, dir)
	defer s.Close()
	for range 2 {
		if err := s.SetAside("x", make1(1), "no"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 4 || lines[0] != `{"time":"2026` || lines[1][:9] != `{"time":"` {
		t.Errorf("%q, %v", text, err)
	}
}

// TestFileLimit appends an extent that finds no room behind the others under ulimit -f.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.segmentSize, s.fileLimit = 1<<20, 1<<20
	var last Place
	for i := range uint64(18) { // 60 KiB each
		var err error
		if last, err = s.Append(bulky(i+1), true); err != nil {
			t.Fatal(err)
		}
	}
	if last != (Place{2, fileHeaderSize}) {
		t.Errorf("the last extent is at %v", last)
	}
	s.Close()
}

// TestKept finds damage in segments with lower numbers than those that are kept already.
func TestKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range maxDamaged {
		name := fmt.Sprintf("%s%016x%s", damagedPrefix, 100+i, segmentSuffix)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, segments := range []uint64{1, maxDamaged + 1} {
		s, _ := open(t, dir)
		first := s.next
		for i := range segments {
			fill(t, s, i+1, i+2)
			s.last = nil
		}
		s.Close()
		for i := range segments {
			if err := os.WriteFile(s.segmentFile(first+i), make([]byte, 100), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, left := open(t, dir)
		s.Close()
		kept, _ := filepath.Glob(filepath.Join(dir, damagedPrefix+"*"))
		if len(left.Found) != int(segments) || len(kept) != max(maxDamaged, int(segments)) || !strings.HasSuffix(kept[0], "0001.seg") {
			t.Errorf("found %q, kept %q", left.Found, kept)
		}
	}
}

func TestPrepare(t *testing.T) {
	base := t.TempDir()
	t.Setenv("WRAPP_SPOOL_DIR", filepath.Join(base, "env"))
	if dir, _, err := Prepare("", "app"); err != nil || dir != filepath.Join(base, "env", "app") {
		t.Errorf("%q, %v", dir, err)
	}
	if dir, _, err := Prepare(filepath.Join(base, "said"), "app"); err != nil || dir != filepath.Join(base, "said", "app") {
		t.Errorf("%q, %v", dir, err)
	}
	dir := filepath.Join(base, "said", "app")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Prepare(filepath.Join(base, "said"), "app"); err == nil {
		t.Error("a directory that others can write to is accepted")
	}
	if err := os.Symlink(base, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Prepare(base, "link"); err == nil {
		t.Error("a link is accepted as the directory")
	}
	if os.Geteuid() == 0 {
		os.Chmod(dir, 0o700)
		if err := os.Chown(dir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Prepare(filepath.Join(base, "said"), "app"); err == nil {
			t.Error("another user's directory is accepted")
		}
	}
}

// TestPassedOver prepares a spool where the app's directory at the first of two places cannot
// be used: the second is used, and the reason has what mends the first.
func TestPassedOver(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(dir string) error
		want []string // nil: nothing to tell
	}{
		"nothing": {func(string) error { return nil }, nil},
		"mode": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o772))
		}, []string{"mode 0772", "chmod go-w "}},
		"file": {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, []string{"not a directory"}},
		"owner": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o750), os.Chown(dir, 12345, 12345))
		}, []string{"user 12345 (mode 0750)", "runs as 0", "as root: chown -R 0:0 "}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "owner" && os.Geteuid() != 0 {
				t.Skip("only root gives a directory away")
			}
			first, second := t.TempDir(), t.TempDir()
			if tt.want == nil {
				first = "/proc/none"
			} else if err := tt.make(filepath.Join(first, "app")); err != nil {
				t.Fatal(err)
			}
			path, passed, err := firstUsable([]string{first, second}, "app")
			if err != nil || path != filepath.Join(second, "app") {
				t.Errorf("%q, %v", path, err)
			}
			if (passed != nil) != (tt.want != nil) {
				t.Fatalf("passed over: %v", passed)
			}
			for _, want := range tt.want {
				if text := passed.Error(); !strings.Contains(text, want) || !strings.Contains(text, first+"/app") {
					t.Errorf("no %q in %s", want, text)
				}
			}
		})
	}
}

// TestPrepareSays prepares a spool in volumes that root owns: for each, the error names the
// owner and the command that helps. Root can write anywhere, so it skips the test.
func TestPrepareSays(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	t.Setenv("WRAPP_SPOOL_DIR", "")
	t.Setenv("XDG_STATE_HOME", "/proc/none")
	_, _, err := Prepare("", "app")
	if err == nil {
		t.Fatal("Prepare found a usable place")
	}
	for _, want := range []string{
		systemDir + "/app: permission denied (", "belongs to 0:0, mode 0", "as root: install -d -o " + strconv.Itoa(os.Geteuid()) + " ", "/proc/none/wrapp",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// TestReaders reads different segments at once.
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
			space := make([]byte, ExtentSize)
			for i := range 2000 {
				x := left.Extents[(from+i)%len(left.Extents)]
				if _, err := s.Read(x.Place, len(make1(x.Ordinal)), x.Ordinal, space); err != nil {
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

// TestOtherVersion opens a spool of an unknown format version: it stays untouched.
func TestOtherVersion(t *testing.T) {
	for _, name := range []string{journalName, "0000000000000001.seg"} {
		dir := t.TempDir()
		s, _ := open(t, dir)
		fill(t, s, 1, 100)
		if err := s.WriteJournal(upTo(5), true); err != nil {
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
		binary.LittleEndian.PutUint32(data[28:], crc32.Checksum(data[:28], castagnoli()))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, 4<<20, writer); err == nil || !strings.Contains(err.Error(), name+": format version 3, and this wrapp knows versions up to 2") {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, data) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
}

// TestVersionBefore reads a spool of format version 1: its undone records come, with the salt as
// their writer, and the journal's notes about IDs are skipped. Its notes say nothing of the records
// behind, of version 2.
func TestVersionBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const salt = 0xfeed
	header := func(magic string) []byte {
		h := newHeader(magic, salt)
		binary.LittleEndian.PutUint32(h[8:], 1)
		binary.LittleEndian.PutUint32(h[12:], 0)
		binary.LittleEndian.PutUint32(h[28:], crc32.Checksum(h[:28], castagnoli()))
		return h
	}
	segment := header(segmentMagic)
	seed := crc32.Checksum(segment[16:24], castagnoli())
	for i := uint64(1); i < 100; i++ {
		r := Record(make1(i))
		r.seal(seed)
		segment = append(segment, r...)
	}
	journal := header(journalMagic)
	seed = crc32.Checksum(journal[16:24], castagnoli())
	journal = appendNote(journal, seed, 2, 0, 1, 50, 1<<40, 0)
	journal = appendNote(journal, seed, noteBelow, 10)
	journal = appendNote(journal, seed, noteBelow, 20)
	journal = appendNote(journal, seed, noteSpan, 15, 23)
	journal = appendNote(journal, seed, noteSpan, 40, 41)
	for name, data := range map[string][]byte{"0000000000000001.seg": segment, journalName: journal} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, left := open(t, dir)
	got := ordinals(t, s, left)
	check(t, got[:17], 23, 40)
	check(t, got[17:], 41, 100)
	if len(left.Found) > 0 || left.Missing > 0 || left.Extents[0].Writer != salt || len(s.done) != 3 {
		t.Errorf("%+v, done %v", left, s.done)
	}
	fill(t, s, 1, 10)
	// A process that is killed after it has replaced the journal leaves the notes about spans.
	if err := s.WriteJournal(Notes{Done: map[uint64]uint64{salt: 30}}, true); err != nil {
		t.Fatal(err)
	}
	s.journal.Close()
	s.lock.Close()
	again, left := open(t, dir)
	defer again.Close()
	got = ordinals(t, again, left)
	check(t, got[:10], 30, 40)
	check(t, got[10:69], 41, 100)
	check(t, got[69:], 1, 10)
}

// TestDamageAfterDrops damages the first record behind dropped ones: those do not count as
// missing.
func TestDamageAfterDrops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 100)
	at := s.Bytes()
	fill(t, s, 5000, 5100) // 100 to 4999 were dropped
	s.Close()
	file := s.segmentFile(1)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[at+HeaderSize] ^= 0x10
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, left := open(t, dir)
	defer s.Close()
	if got := ordinals(t, s, left); len(got) != 99+99 {
		t.Errorf("%d records", len(got))
	}
	if most := uint64(len(make1(5000)) / HeaderSize); left.Missing < 1 || left.Missing > most {
		t.Errorf("%d missing, want 1 to %d", left.Missing, most)
	}
}

// TestLeap has a second process begin with much higher ordinals: none between counts as missing.
func TestLeap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 100)
	s.Close()
	s, _, err := Open(dir, 4<<20, writer+1)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1_000_000, 1_000_100)
	s.Close()
	s, left := open(t, dir)
	defer s.Close()
	if got := ordinals(t, s, left); len(got) != 99+100 || left.Missing != 0 || left.Extents[0].Writer != writer || left.Extents[len(left.Extents)-1].Writer != writer+1 {
		t.Errorf("%d records, %d missing, %+v", len(got), left.Missing, left.Extents)
	}
}

// TestWriters has records of three processes, with the same ordinals: what is noted of one, or lost
// of one, says nothing of the others.
func TestWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range uint64(3) {
		s, _, err := Open(dir, 4<<20, writer+i)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, s, 1, 1001)
		s.Close()
	}
	s, left := open(t, dir)
	if left.Next != 1001 {
		t.Errorf("next %d", left.Next)
	}
	notes := Notes{Done: map[uint64]uint64{writer: 500, writer + 1: math.MaxUint64, 99: 1}}
	for range 2 { // the last note holds
		if err := s.WriteJournal(notes, false); err != nil {
			t.Fatal(err)
		}
		notes = Notes{Done: map[uint64]uint64{writer: 400, writer + 1: math.MaxUint64, 99: 1}}
	}
	s.Close()
	s, left = open(t, dir)
	defer s.Close()
	got := ordinals(t, s, left)
	check(t, got[:601], 400, 1001)
	check(t, got[601:], 1, 1001)
	if want := (map[uint64]uint64{writer: 400, writer + 1: math.MaxUint64, writer + 2: 0}); !maps.Equal(left.Notes.Done, want) || left.Missing > 0 {
		t.Errorf("%d missing, notes %v", left.Missing, left.Notes)
	}
}

// TestDamageAtDone damages the first record that is not done: the bound needs no record before it.
func TestDamageAtDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 100)
	if err := s.WriteJournal(upTo(5), true); err != nil {
		t.Fatal(err)
	}
	s.Close()
	corrupt(t, s, func(data []byte) []byte {
		at := fileHeaderSize
		for i := range uint64(4) {
			at += len(make1(i + 1))
		}
		data[at+HeaderSize] ^= 1
		return data
	})
	s, left := open(t, dir)
	defer s.Close()
	check(t, ordinals(t, s, left), 6, 100)
	if left.Missing != 1 {
		t.Errorf("%d missing, want 1", left.Missing)
	}
}

// TestRemoveFails has a segment that cannot be removed after its records are done: Close keeps what
// is noted of it, and the next process removes it.
func TestRemoveFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, dir)
	fill(t, s, 1, 100)
	file, aside := s.segmentFile(1), filepath.Join(dir, "aside")
	if err := errors.Join(os.Rename(file, aside), os.MkdirAll(filepath.Join(file, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if s.Remove(1) == nil {
		t.Error("a directory with a file in it was removed")
	}
	if n := s.Bytes(); n > 0 {
		t.Errorf("%d bytes count towards the spool's size", n)
	}
	if err := errors.Join(s.WriteJournal(upTo(100), false), s.Close()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.RemoveAll(file), os.Rename(aside, file)); err != nil {
		t.Fatal(err)
	}
	s, left := open(t, dir)
	defer s.Close()
	if _, err := os.Stat(file); len(left.Extents) > 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%d extents are left, the file: %v", len(left.Extents), err)
	}
}

// TestFailedSync has a Sync that cannot reach a segment, or the dead letters: it fails until it
// has synced that.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	s, _ := open(t, t.TempDir())
	fill(t, s, 1, 100)
	if err := s.SetAside("x", make1(1), "no"); err != nil {
		t.Fatal(err)
	}
	for _, file := range []**os.File{&s.last.file, &s.dead.file} {
		name := (*file).Name()
		(*file).Close()
		for range 2 {
			if s.Sync() == nil {
				t.Errorf("a Sync without %s succeeds", name)
			}
		}
		var err error
		if *file, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil {
			t.Error(err)
		}
		if err := s.SetAside("x", make1(1), "no"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestGone removes the directory under an open spool. Another process makes it anew: its files
// are left alone.
func TestGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, dir)
	fill(t, s, 1, 100)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	other, _ := open(t, dir)
	fill(t, other, 1, 100)
	if err := s.Sync(); err == nil || !strings.Contains(err.Error(), dir+" has been removed") {
		t.Errorf("sync: %v", err)
	}
	if s.Remove(1) == nil || s.WriteJournal(upTo(100), true) == nil || s.Close() == nil {
		t.Error("no error without the directory")
	}
	if err := errors.Join(other.Present(), other.Close()); err != nil {
		t.Error(err)
	}
	other, left := open(t, dir)
	defer other.Close()
	check(t, ordinals(t, other, left), 1, 100)
}
