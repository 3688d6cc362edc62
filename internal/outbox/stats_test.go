package outbox

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestStats counts lines that Redis takes, and lines that find no room while it is away.
func TestStats(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cfg := s.Config()
	dial := func(ctx context.Context) (*redisconn.Client, error) { return redisconn.Dial(ctx, &cfg.Redis, 1) }
	client, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := New(Options{Keys: logstream.Keys("a"), Writer: NewWriter(), MaxEntries: 1000, Limit: 1 << 20, Dial: dial}, client)
	add := func(from, to int) {
		for i := from; i < to; i++ {
			o.Add(time.Now(), logstream.Info, 0, []byte(fmt.Sprint("line ", i)))
		}
		o.Send()
	}
	add(0, 100)
	o.Say(logstream.Status, "a word of our own")
	s.Wait("what was added", func() bool {
		return len(s.Messages("logs:app:a:info")) == 100 && len(s.Messages("logs:app:a:status")) == 1
	})
	s.Wait("the answers", func() bool { return o.q.empty() })
	if got := o.Stats(); got != (Stats{Lines: 100}) {
		t.Errorf("%+v", got)
	}
	o.Close(time.Second)

	o = New(Options{
		Keys: logstream.Keys("a"), Writer: NewWriter(), MaxEntries: 1000, Limit: 64 << 10,
		Dial: func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") },
	}, nil)
	add(0, 10_000)
	got := o.Stats()
	if got.Lines != 10_000 || got.Dropped == 0 || got.Waiting == 0 || got.Dropped+uint64(got.Waiting) != 10_000 || got.Refused != 0 {
		t.Errorf("%+v", got)
	}
	o.Close(time.Millisecond)
}
