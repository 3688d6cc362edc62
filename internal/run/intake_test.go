package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/values"
)

const patience = time.Minute

// TestIntakeOrder writes to one pipe that trickles, and so has pauses, and to the other: lines
// are delivered in the order in which they were written.
func TestIntakeOrder(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dial := func(ctx context.Context) (*redisconn.Client, error) {
		return redisconn.Dial(ctx, &s.Config().Redis, 1)
	}
	out := outbox.New(outbox.Options{Keys: logstream.Keys("order"), Writer: outbox.NewWriter(), MaxEntries: 1_000_000, Limit: memoryLimit, Dial: dial}, nil)
	vals := values.New(values.Options{Name: "order", Dial: dial})
	in, stdout, stderr, err := newIntake(intakeOptions{logs: &config.Default().Logs}, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{}), new(record)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	in.pause = func(time.Time) time.Duration { return longest }
	go in.run()
	var want []string
	say := func(f *os.File, line string) {
		want = append(want, line)
		if _, err := unix.Write(int(f.Fd()), []byte(line+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	// Without pauses there are as many reads as lines, with pauses fewer. A slow machine needs
	// several attempts, because lines must follow each other quickly.
	redistest.Eventually(t, "lines are read together", func() bool {
		lines, reads := len(want), in.reads.Load()
		for i := range 200 {
			say(stdout, fmt.Sprint("trickle ", i))
			if i%10 == 9 {
				time.Sleep(longest / 8) // mostly into the middle of a pause
				say(stdout, fmt.Sprint("before ", i))
				say(stderr, fmt.Sprint("after ", i))
				in.catchUp(time.Minute, nil)
				continue
			}
			time.Sleep(longest / 8)
		}
		return 4*int(in.reads.Load()-reads) < 3*(len(want)-lines)
	})
	stdout.Close()
	stderr.Close()
	<-in.done
	if lost, _, err := out.Close(time.Minute); lost > 0 {
		t.Fatal(err)
	}
	vals.Close(patience)
	var got []string
	for _, e := range s.Stream(logstream.Keys("order")[logstream.Info]) {
		got = append(got, e.Message())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestIntakeWaits makes the outbox wait for a Redis that is away: catchUp reports no progress
// until there is room.
func TestIntakeWaits(t *testing.T) {
	t.Parallel()
	dial := func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") }
	out := outbox.New(outbox.Options{Keys: logstream.Keys("waits"), MaxEntries: 1000, Limit: 64 << 10, Block: true, Dial: dial}, nil)
	defer out.Close(patience)
	vals := values.New(values.Options{Name: "waits", Dial: dial})
	defer vals.Close(patience)
	in, stdout, stderr, err := newIntake(intakeOptions{logs: &config.Default().Logs}, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{}), new(record)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	go in.run()
	if !in.catchUp(time.Minute, nil) {
		t.Error("catchUp times out while nothing is to be read")
	}
	if _, err := unix.Write(int(stdout.Fd()), bytes.Repeat([]byte("a line\n"), 20_000)); err != nil {
		t.Fatal(err)
	}
	for in.catchUp(10*time.Millisecond, nil) {
		// The intake still reads until it has to wait.
	}
	ended := make(chan struct{})
	close(ended)
	if in.catchUp(time.Hour, ended) { // an hour is more than the test may take
		t.Error("catchUp has read although the intake waits")
	}
	out.Unblock()
	for !in.catchUp(10*time.Millisecond, nil) {
		// The intake notices the room after a while.
	}
	stdout.Close()
	stderr.Close()
	<-in.done
}

// TestBlocksWhileIntakeWaits makes the outbox wait for Redis for longer than a block may stay open: the
// blocks whose ends are in the pipe meanwhile stay whole.
func TestBlocksWhileIntakeWaits(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	up := make(chan struct{})
	dial := func(ctx context.Context) (*redisconn.Client, error) {
		select {
		case <-up:
			return redisconn.Dial(ctx, &s.Config().Redis, 1)
		default:
			return nil, errors.New("away")
		}
	}
	out := outbox.New(outbox.Options{Keys: logstream.Keys("blocks"), Writer: outbox.NewWriter(), MaxEntries: 1_000_000, Limit: 64 << 10, Block: true, Dial: dial}, nil)
	vals := values.New(values.Options{Name: "blocks", Dial: dial})
	defer vals.Close(patience)
	logs := config.Default().Logs
	logs.BlockTimeout = config.Duration(5 * longestRead)
	in, stdout, stderr, err := newIntake(intakeOptions{logs: &logs}, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{}), new(record)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	const blocks = 3000 // some 600 KB, which the pipe holds
	var text bytes.Buffer
	for i := range blocks {
		fmt.Fprintf(&text, ">>|block %d\n%s\nend %d|<<\n", i, strings.Repeat("some text\n", 15), i)
	}
	if n, err := unix.Write(int(stdout.Fd()), text.Bytes()); n != text.Len() || err != nil {
		t.Fatalf("%d bytes fit: %v", n, err)
	}
	stdout.Close()
	stderr.Close()
	go in.run()
	redistest.Eventually(t, "the intake waits", func() bool {
		reads := in.reads.Load()
		time.Sleep(2 * time.Duration(logs.BlockTimeout)) // the time that must pass
		return in.reads.Load() == reads
	})
	close(up)
	<-in.done
	if lost, _, err := out.Close(patience); lost > 0 {
		t.Fatal(err)
	}
	got := s.Messages(logstream.Keys("blocks")[logstream.Info])
	for i, m := range got {
		if !strings.HasPrefix(m, fmt.Sprintf("block %d\n", i)) || !strings.HasSuffix(m, fmt.Sprintf("\nend %d", i)) {
			t.Fatalf("entry %d is not whole: %q", i, m)
		}
	}
	if len(got) != blocks {
		t.Errorf("%d entries for %d blocks", len(got), blocks)
	}
}

// TestPass stops the intake for longer than it was to wait.
func TestPass(t *testing.T) {
	t.Parallel()
	in := &intake{passed: time.Now().Add(-time.Hour)}
	in.pass(time.Second)
	if passed := in.clock.Sub(time.Time{}); passed != time.Second {
		t.Errorf("the clock went on by %v", passed)
	}
}

// TestIntakeFinishes asks for the pipes' content without an answer, and then ends the intake
// while a process still holds the pipes: the ask does not hide the end.
func TestIntakeFinishes(t *testing.T) {
	t.Parallel()
	for range 20 {
		in, stdout, stderr := unread(t, "no")
		defer stdout.Close()
		defer stderr.Close()
		in.catchUp(0, nil)
		close(in.ended)
		in.ring()
		if !in.answer() {
			t.Fatal("the intake goes on")
		}
	}
}

// TestIntakeLetsGo reads a huge block in the JSON format: its buffer is released.
func TestIntakeLetsGo(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dial := func(ctx context.Context) (*redisconn.Client, error) {
		return redisconn.Dial(ctx, &s.Config().Redis, 1)
	}
	out := outbox.New(outbox.Options{Keys: logstream.Keys("huge"), MaxEntries: 10_000, Limit: memoryLimit, Dial: dial}, nil)
	vals := values.New(values.Options{Name: "huge", Dial: dial})
	defer vals.Close(patience)
	in, stdout, stderr, err := newIntake(intakeOptions{logs: &config.Default().Logs}, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{}), new(record)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	in.json = entry.NewJSON(entry.Context{Service: "huge", Run: "r", PID: 7})
	go in.run()
	line := strings.Repeat("x", 1<<10) + "\n"
	for _, text := range []string{">>|", strings.Repeat(line, 2*textKept/len(line)), "|<<\nlast\n"} {
		if _, err := stdout.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	stdout.Close()
	stderr.Close()
	<-in.done
	if lost, _, err := out.Close(time.Minute); lost > 0 {
		t.Fatal(err)
	}
	got := s.Stream(logstream.Keys("huge")[logstream.Info])
	if len(got) != 2 || len(got[0].Message()) < 2*textKept || !strings.Contains(got[1].Message(), `"msg":"last"`) {
		t.Errorf("%d entries", len(got))
	}
	if cap(in.text) > textKept {
		t.Errorf("%d bytes are kept", cap(in.text))
	}
}

// BenchmarkIntake takes lines of 92 bytes from a pipe to a real Redis; allocations
// are those of everything on the way.
func BenchmarkIntake(b *testing.B) {
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			s := redistest.Start(b)
			dial := func(ctx context.Context) (*redisconn.Client, error) {
				return redisconn.Dial(ctx, &s.Config().Redis, 1)
			}
			conn, err := dial(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			out := outbox.New(outbox.Options{Keys: logstream.Keys("bench"), MaxEntries: 1000, Limit: memoryLimit, Dial: dial}, conn)
			vals := values.New(values.Options{Name: "bench", Dial: dial})
			in, stdout, stderr, err := newIntake(intakeOptions{logs: &config.Default().Logs}, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{Crash: config.Crash{ContextLines: 50}}), new(record)})
			if err != nil {
				b.Fatal(err)
			}
			defer in.close()
			stderr.Close()
			if format == "json" {
				in.json = entry.NewJSON(entry.Context{Service: "bench", Run: "2026-11-23_20-15-01", PID: 7})
			}
			go in.run()
			line := append(bytes.Repeat([]byte("a line of 92 bytes "), 5)[:92], '\n')
			const group = 500
			lines := bytes.Repeat(line, group)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += group {
				if _, err := unix.Write(int(stdout.Fd()), lines[:len(line)*min(group, b.N-i)]); err != nil {
					b.Fatal(err)
				}
			}
			stdout.Close()
			<-in.done
			if lost, _, err := out.Close(patience); lost > 0 {
				b.Fatal(fmt.Errorf("%d entries not delivered: %w", lost, err))
			}
			b.StopTimer()
			vals.Close(patience)
		})
	}
}
