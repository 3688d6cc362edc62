package outbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// TestLargerThanSpool adds an entry larger than the whole spool, among others, without a
// server: it is dropped and counted, no caller waits, and the entries behind it are kept,
// even if the run ends before there is a server.
func TestLargerThanSpool(t *testing.T) {
	t.Parallel()
	drop := func(opts *Options) { opts.Block = false }
	for _, n := range []int{100, 120_000} {
		for _, nextRun := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d lines, next run %v", n, nextRun), func(t *testing.T) {
				t.Parallel()
				s := redistest.Prepare(t)
				dir := filepath.Join(t.TempDir(), "spool")
				o := openSpooled(t, s, dir, 2<<20, drop)
				o.Say(logstream.Info, "run marker")
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
				got := s.Messages(logstream.Keys("t")[logstream.Info])
				if got[0] != "run marker" || got[len(got)-1] != fmt.Sprint("line ", n-1) {
					t.Errorf("from %.20q to %.20q", got[0], got[len(got)-1])
				}
				if told := toldDropped(s); told != 1+n-(len(got)-1) || len(said(s, "damage")) > 0 {
					t.Errorf("%d entries of %d; status: %q", len(got), n+2, s.Messages(logstream.Keys("t")[logstream.Status]))
				}
			})
		}
	}
}

// TestTooLarge sends an entry larger than the server accepts, so that it ends the
// connection: the entries behind it come all the same.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2 << 20, 8 << 20} { // Redis ends the connection while more than 2 MiB is written
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, "--proto-max-bulk-len", "1mb")
			dir := filepath.Join(t.TempDir(), "spool")
			o := openSpooled(t, s, dir, 64<<20, nil)
			add(o, "before", strings.Repeat("x", size), "after")
			closeAll(t, o)
			if got := s.Messages(logstream.Keys("t")[logstream.Info]); fmt.Sprint(got) != "[before after]" {
				t.Errorf("%d entries", len(got))
			}
			if info, err := os.Stat(filepath.Join(dir, spool.DeadLetters)); err != nil || info.Size() < int64(size) {
				t.Errorf("the dead letters: %v", err)
			}
		})
	}
}

// TestSizes sends messages of several sizes, alone and many in one batch.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			t.Parallel()
			var s *redistest.Server
			var o *Outbox
			if secure {
				a := redistest.NewAuthority(t)
				s = redistest.StartTLS(t, a, false, time.Now().Add(time.Hour), "127.0.0.1")
				o = open(t, s, func(opts *Options) {
					redis := s.Config().Redis
					redis.TLS = &config.TLS{CAFile: a.File}
					opts.Dial = func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &redis, 1) }
				})
			} else {
				s = redistest.Start(t)
				o = open(t, s, nil)
			}
			var want []string
			for i, size := range []int{16 << 10, 1, 32 << 10, 64 << 10, 0} {
				for range 20 {
					n := fmt.Sprint(len(want))
					want = append(want, strings.Repeat(string(rune('a'+i)), max(0, size-len(n)))+n)
				}
			}
			add(o, want...)
			closeAll(t, o)
			if got := s.Messages(logstream.Keys("t")[logstream.Info]); !slices.Equal(got, want) {
				t.Errorf("%d entries, or their text, are not the %d that were added", len(got), len(want))
			}
		})
	}
}
