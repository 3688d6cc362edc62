package run

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/crash"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/outbox"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/values"
)

// BenchmarkIntake takes lines of 92 bytes from a pipe to a real Redis; allocations
// are those of everything on the way.
func BenchmarkIntake(b *testing.B) {
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			s := redistest.Start(b)
			dial := func(ctx context.Context) (*redisconn.Conn, error) {
				return redisconn.Dial(ctx, &s.Config().Redis, 1)
			}
			conn, err := dial(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			out := outbox.New(outbox.Options{Keys: entry.Keys("bench"), MaxEntries: 1000, Limit: memoryLimit, Dial: dial, Log: log}, conn)
			vals := values.New(values.Options{Name: "bench", Dial: dial, Log: log})
			in, stdout, stderr, err := newIntake(64<<10, sinks{out, vals, health.New(health.Options{}), crash.New(crash.Options{ContextLines: 50})})
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
			if n, err := out.Close(patience); n > 0 {
				b.Fatal(fmt.Errorf("%d entries not delivered: %w", n, err))
			}
			b.StopTimer()
			vals.Close(patience)
		})
	}
}
