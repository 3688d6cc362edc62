package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestLost checks how runs without an end marker ended.
func TestLost(t *testing.T) {
	t.Parallel()
	own := &Instance{Name: "app", Host: "h", PID: 100, Boot: "b"}
	at := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	before, after := at.Add(-10*time.Millisecond), at.Add(time.Hour)
	begun := func(host string, pid int, boot string) *marker {
		return &marker{RunMarker: entry.RunMarker{Begins: true, Stamp: "2026-11-29_10-00-00"}, at: at, host: host, pid: pid, boot: boot}
	}
	stopped := begun("h", 7, "a")
	stopped.stopping = true
	for _, row := range []struct {
		name    string
		past    Past
		started time.Time // of the wrapp that has the process ID now, if one has
		oom     bool
		want    string
	}{
		{"no run", Past{}, time.Time{}, false, ""},
		{"an end", Past{marker: &marker{}}, time.Time{}, false, ""},
		{"killed", Past{marker: begun("h", 7, "b")}, time.Time{}, false, LostKilled},
		{"killed just now", Past{marker: begun("h", 7, "b"), pid: 7}, time.Time{}, false, LostKilled},
		{"for lack of memory", Past{marker: begun("h", 7, "b"), pid: 7}, time.Time{}, true, LostOOM},
		{"it lives", Past{marker: begun("h", 7, "b"), pid: 7}, after, false, ""},
		{"it lives, without a lease yet", Past{marker: begun("h", 7, "b")}, before, false, ""},
		{"it lives, and the lease is a third one's", Past{marker: begun("h", 7, "b"), pid: 8}, before, false, ""},
		{"another one has its process ID", Past{marker: begun("h", 7, "b")}, after, false, LostKilled},
		{"a container, where all are process 1", Past{marker: begun("h", 100, "b"), pid: 100}, before, false, LostKilled},
		{"power", Past{marker: begun("h", 7, "a")}, time.Time{}, true, LostPower},
		{"restart", Past{marker: stopped}, time.Time{}, false, LostRestart},
		{"another machine", Past{marker: begun("i", 7, "a")}, time.Time{}, false, LostUnknown},
		{"another container", Past{marker: begun("i", 7, "b")}, time.Time{}, false, LostKilled},
		{"an older wrapp", Past{marker: begun("", 0, "")}, time.Time{}, false, LostUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			how, text := row.past.Lost(own, Host{
				Started: func(pid int) (time.Time, bool) {
					return row.started, !row.started.IsZero() && pid == row.past.marker.pid
				},
				OOM: func(int, time.Time) bool { return row.oom },
			})
			if how != row.want || (text == "") != (how == "") {
				t.Errorf("%q, %q, want %q", how, text, row.want)
			}
		})
	}
}

// TestUnanswered reads answers that say nothing of the past, for now or for good.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Dial(0)
	if _, err := admin.Do("ACL", "SETUSER", "u", "on", ">p", "-@all", "+hello", "+select", "+hget", "~*"); err != nil {
		t.Fatal(err)
	}
	cfg := s.Config()
	if err := cfg.Redis.SetURL("redis://u:p@" + s.Addr()); err != nil {
		t.Fatal(err)
	}
	client, err := redisconn.Dial(t.Context(), &cfg.Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	unknown := func() bool {
		values, logs := AskPast(client, "a", "b")
		p := ReadPast(client.DoMulti(t.Context(), values...), client.DoMulti(t.Context(), logs...))
		return p.Unknown()
	}
	if unknown() {
		t.Error("a refusal leaves the past open")
	}
	client.Close()
	if !unknown() {
		t.Error("no answer counts as no past")
	}
}

// TestLeaseEnds waits for a lease that runs out, and sees one that is renewed.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(2)
	cfg := s.Config()
	client, err := redisconn.Dial(context.Background(), &cfg.Redis, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	set := func(ms int) {
		if _, err := c.Do("SET", "wrapp-run:a:b", "x", "PX", ms); err != nil {
			t.Error(err)
		}
	}
	if ended, err := LeaseEnds(t.Context(), client, "wrapp-run:a:b"); err != nil || !ended {
		t.Errorf("%v, %v of none", ended, err)
	}
	set(600)
	if ended, err := LeaseEnds(t.Context(), client, "wrapp-run:a:b"); err != nil || !ended {
		t.Errorf("%v, %v of one that runs out", ended, err)
	}
	set(60_000)
	seen := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Each poll finds more time left than the one before.
		for ms := 61_000; ; ms += 1000 {
			set(ms)
			select {
			case <-seen:
				return
			case <-time.After(leasePoll / 4):
			}
		}
	}()
	if ended, err := LeaseEnds(t.Context(), client, "wrapp-run:a:b"); err != nil || ended {
		t.Errorf("%v, %v of one that is renewed", ended, err)
	}
	close(seen)
	<-done
}
