package journal

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestGroupCrashes reads more reports than one page has, with sums, entries of an older wrapp
// and fields that make no sense.
func TestGroupCrashes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	ms := 1700000000000
	add := func(fields ...any) {
		t.Helper()
		ms++
		if _, err := c.Do("XADD", append([]any{"logs:app:app:crash", fmt.Sprint(ms)}, fields...)...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 * reportsAtOnce {
		add("message", fmt.Sprintf("app crashed: %d", i), "kind", "signal", "signal", "SIGSEGV", "signature", "aaaaaaaaaaaa", "frame", "f at f.c:1", "build", fmt.Sprint("b", i/4))
	}
	add("message", "app wrote a traceback and went on: Python: KeyError: "+strings.Repeat("k", 300), "kind", "traceback", "signature", "bbbbbbbbbbbb")
	add("message", "and 1,299 more of these", "kind", "traceback", "signature", "bbbbbbbbbbbb", "count", "1299")
	add("message", "app crashed: SIGABRT", "kind", "signal", "signal", "SIGABRT", "count", "many")
	cfg := s.Config()
	client, err := redisconn.Dial(context.Background(), &cfg.Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	groups, err := GroupCrashes(context.Background(), client, "app")
	if err != nil || len(groups) != 3 {
		t.Fatalf("%+v, %v", groups, err)
	}
	old, python, segv := groups[0], groups[1], groups[2]
	if old.Signature != "" || old.Times != 1 || old.What != "SIGABRT" {
		t.Errorf("%+v", old)
	}
	if python.Times != 1300 || !strings.HasPrefix(python.What, "Python: KeyError: kkk") || len(python.What) > mostWhat+len("…") {
		t.Errorf("%+v", python)
	}
	if segv.Times != 3*reportsAtOnce || len(segv.Builds) != mostBuilds || segv.Builds[mostBuilds-1] != "b11" || segv.Frame != "f at f.c:1" || segv.Last.Sub(segv.First) != (3*reportsAtOnce-1)*time.Millisecond {
		t.Errorf("%+v", segv)
	}
	report, err := Report(context.Background(), client, "app", segv.Newest)
	if err != nil || report == nil || string(report.Message) != fmt.Sprintf("app crashed: %d", 3*reportsAtOnce-1) || report.Field("signal") != "SIGSEGV" {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := Report(context.Background(), client, "app", segv.Newest.Next()); err != nil || report != nil {
		t.Errorf("%+v, %v", report, err)
	}
	if groups, err := GroupCrashes(context.Background(), client, "nobody"); err != nil || len(groups) != 0 {
		t.Errorf("%+v, %v", groups, err)
	}
}
