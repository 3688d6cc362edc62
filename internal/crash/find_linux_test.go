package crash

import (
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestClockSetBack has the clock set back by an hour after the app's start: a core is newer than
// the start all the same, and a file from before it is older.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	const secondsAt = 30 // in the first word of a Time with a monotonic reading
	*(*uint64)(unsafe.Pointer(&began)) += 3600 << secondsAt
	if ahead := time.Until(began.Round(0)); ahead < 50*time.Minute || time.Since(began) < 0 {
		t.Fatalf("the clock was ahead by %v, and the app started %v ago", ahead, time.Since(began))
	}
	f := &finder{began: began}
	for age, want := range map[time.Duration]bool{0: true, time.Minute: false} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Stat(file, &stat); err != nil {
			t.Fatal(err)
		}
		if got := f.plausible(&stat); got != want {
			t.Errorf("a file %v old: %v, want %v", age, got, want)
		}
	}
}

// TestCoarseTimeStamps has a crash within the second of the app's start, on a file system whose
// time stamps are whole seconds.
func TestCoarseTimeStamps(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Hour).Truncate(time.Second).Add(900 * time.Millisecond)
	f := &finder{began: began}
	for _, row := range []struct {
		stamp time.Time
		want  bool
	}{
		{began.Truncate(time.Second), true},
		{began.Truncate(time.Second).Add(-time.Second), true}, // FAT
		{began.Truncate(time.Second).Add(-3 * time.Second), false},
		{began.Add(-clockSlack), true},
		{began.Add(-1800 * time.Millisecond), false},
	} {
		if got := f.plausible(&unix.Stat_t{Mode: unix.S_IFREG, Nlink: 1, Mtim: unix.NsecToTimespec(row.stamp.UnixNano())}); got != row.want {
			t.Errorf("%v before the start: %v, want %v", began.Sub(row.stamp), got, row.want)
		}
	}
}
