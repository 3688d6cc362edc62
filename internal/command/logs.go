package command

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/pattern"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// lookBack is how many entries more than the last n are read to have the last n lines
// whole; those of other streams and pipes stand between their pieces.
const lookBack = 1000

// retry is how long `wrapp logs -f` waits before it connects again.
const retry = time.Second

const logsUsage = "wrapp logs [--config FILE | --redis URL] [-f] [-n N] [--since TIME] [--level LEVEL] [--grep REGEXP] [--json] NAME"

// logs prints the streams of an app.
func logs(args []string, std run.Streams) error {
	cfg := config.Default()
	fs := newFlagSet("wrapp logs")
	file := fs.String("config", "", "")
	follow := fs.Bool("f", false, "")
	n := fs.Int("n", -1, "")
	url := fs.String("redis", "", "")
	raw := fs.Bool("json", false, "")
	var since time.Time
	fs.Func("since", "", func(s string) (err error) {
		since, err = journal.ParseSince(s, time.Now())
		return err
	})
	var filter journal.Filter
	fs.Func("level", "", func(s string) (err error) {
		filter.Level, err = entry.ParseLevel(s)
		return err
	})
	fs.Func("grep", "", func(s string) (err error) {
		filter.Grep, err = pattern.Compile(s)
		return err
	})
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 1 {
		return &usageError{fmt.Sprintf("logs wants one name, and %q comes behind it", fs.Arg(1)), "flags come first: " + logsUsage}
	}
	if *file != "" {
		var err error
		if cfg, err = config.Load(*file); err != nil {
			return err
		}
	}
	if *url != "" {
		if err := cfg.Redis.SetURL(*url); err != nil {
			return err
		}
	}
	name := fs.Arg(0)
	if name == "" && *file != "" && cfg.CheckRun() == nil {
		name = cfg.Name()
	}
	if name == "" {
		return &usageError{"logs wants the name of an app", logsUsage}
	}

	ctx := untilSignal()
	conn, err := redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	if err != nil {
		return err
	}
	defer func() { conn.Close() }()
	reader := journal.NewReader(name)
	reader.Poll = conn.InCluster()
	printer := journal.NewPrinter(std.Stdout, run.IsTerminal(std.Stdout), *raw)
	var joiner journal.Joiner
	var lines []journal.Line
	found := false
	for more := 0; ; more = 4*more + 16 {
		ask := *n + more
		if *n < 0 || !filter.All() {
			ask = -1 // the last n that are wanted may be far back
		}
		entries, err := reader.Last(conn, ask, since)
		if err != nil {
			return err
		}
		found = len(entries) > 0
		joiner = journal.Joiner{Pieces: *raw}
		lines = joiner.Add(entries)
		if !*follow {
			lines = append(lines, joiner.Rest()...)
		}
		if *raw || ask < 0 || len(entries) < ask || more >= lookBack || journal.Whole(lines, *n) {
			break
		}
	}
	if !found && !*follow {
		if older, err := journal.NewReader(name).Last(conn, 1, time.Time{}); err != nil || len(older) > 0 {
			return err
		}
		return fmt.Errorf("%s has no entries in database %d of this Redis", name, cfg.Redis.LogsDB)
	}
	lines = filter.Keep(lines)
	if *n >= 0 && len(lines) > *n {
		lines = lines[len(lines)-*n:]
	}
	if err := printer.Print(lines); err != nil || !*follow {
		return quiet(err)
	}
	log := eventlog.New(std.Stderr, "wrapp", false)
	away := false
	for ctx.Err() == nil {
		entries, err := reader.Next(ctx, conn)
		if err == nil {
			if err := printer.Print(filter.Keep(joiner.Add(entries))); err != nil {
				return quiet(err)
			}
			continue
		}
		if !away && ctx.Err() == nil {
			log.Warn("redis is away; reading goes on when it is back", "error", err)
			away = true
		}
		conn.Close()
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		if c, err := redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB); err == nil {
			conn = c
			log.Info("redis is back")
			away = false
		}
	}
	return quiet(printer.Print(filter.Keep(joiner.Rest())))
}

// quiet is err but for a reader of ours that went away, as head does.
func quiet(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
