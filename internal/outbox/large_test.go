package outbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// TestLargerThanSpool has an entry among others that is larger than the whole
// spool, and no server: it is dropped and counted, nobody waits, and what comes
// behind it is kept, also where the run ends before there is a server.
func TestLargerThanSpool(t *testing.T) {
	t.Parallel()
	drop := func(opts *Options) { opts.Block = false }
	for _, n := range []int{100, 300_000} {
		for _, nextRun := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d lines, next run %v", n, nextRun), func(t *testing.T) {
				t.Parallel()
				s := redistest.Prepare(t)
				dir := filepath.Join(t.TempDir(), "spool")
				o := openSpooled(t, s, dir, 2<<20, drop)
				o.Say(entry.Info, "run marker")
				add(o, strings.Repeat("x", 3<<20))
				number(o, 0, n) // would never return
				if nextRun {
					if lost, kept, _ := o.Close(time.Hour); lost != 0 || kept == 0 {
						t.Errorf("%d lost, %d kept", lost, kept)
					}
				}
				s.Up()
				if nextRun {
					o = openSpooled(t, s, dir, 2<<20, drop)
				}
				eventually(t, "all is delivered", o.q.empty)
				closeAll(t, o)
				got := s.Messages(entry.Keys("t")[entry.Info])
				if got[0] != "run marker" || got[len(got)-1] != fmt.Sprint("line ", n-1) {
					t.Errorf("from %.20q to %.20q", got[0], got[len(got)-1])
				}
				if told := toldDropped(s); told != 1+n-(len(got)-1) || len(said(s, "damage")) > 0 {
					t.Errorf("%d entries of %d; status: %q", len(got), n+2, s.Messages(entry.Keys("t")[entry.Status]))
				}
			})
		}
	}
}

// TestTooLarge sends an entry that is larger than the server takes, which then
// ends the connection: what follows comes all the same.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--proto-max-bulk-len", "1mb")
	dir := filepath.Join(t.TempDir(), "spool")
	o := openSpooled(t, s, dir, 64<<20, nil)
	add(o, "before", strings.Repeat("x", 2<<20), "after")
	closeAll(t, o)
	if got := s.Messages(entry.Keys("t")[entry.Info]); fmt.Sprint(got) != "[before after]" {
		t.Errorf("%d entries", len(got))
	}
	if info, err := os.Stat(filepath.Join(dir, spool.DeadLetters)); err != nil || info.Size() < 2<<20 {
		t.Errorf("the dead letters: %v", err)
	}
}
