package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// retry is how long `wrapp logs -f` waits before it connects again.
const retry = time.Second

// logs prints the streams of an app.
func logs(args []string, std run.Streams) error {
	cfg := config.Default()
	fs := newFlagSet("wrapp logs")
	file := fs.String("config", "", "")
	follow := fs.Bool("f", false, "")
	n := fs.Int("n", -1, "")
	url := fs.String("redis", "", "")
	opts := journal.Options{Terminal: run.IsTerminal(std.Stdout)}
	fs.BoolVar(&opts.JSON, "json", false, "")
	fs.Func("level", "", func(s string) (err error) {
		var ok bool
		if opts.Level, ok = entry.ParseLevel(s); !ok {
			err = errors.New("must be debug, info, warn or error")
		}
		return err
	})
	fs.Func("grep", "", func(s string) (err error) {
		opts.Grep, err = regexp.Compile(s)
		return err
	})
	var since time.Time
	fs.Func("since", "", func(s string) (err error) {
		since, err = instant(s, time.Now())
		return err
	})
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 1 {
		return &usageError{fmt.Sprintf("logs wants one name, and %q comes behind it", fs.Arg(1)), "flags come first: wrapp logs [FLAGS] NAME; see wrapp help"}
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
		return &usageError{"logs wants the name of an app", "wrapp logs [--config FILE | --redis URL] [-f] [-n N] NAME; see wrapp help"}
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	conn, err := redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	if err != nil {
		return err
	}
	defer func() { conn.Close() }()
	reader := journal.NewReader(name)
	reader.Since = since
	printer := journal.NewPrinter(std.Stdout, opts)
	read := *n
	if opts.Level != entry.NoLevel || opts.Grep != nil {
		read = -1 // the last n of those that are wanted
	}
	entries, err := reader.Last(conn, read)
	if err != nil {
		return err
	}
	if err := printer.PrintLast(entries, *n); err != nil {
		return quiet(err)
	}
	if !*follow {
		if len(entries) == 0 && since.IsZero() {
			return fmt.Errorf("%s has no entries in database %d of this Redis", name, cfg.Redis.LogsDB)
		}
		return quiet(printer.Finish())
	}
	log := slog.New(newSpeaker(std.Stderr, "wrapp", false))
	away := false
	for ctx.Err() == nil {
		entries, err := reader.Next(ctx, conn)
		if err == nil {
			if err := printer.Print(entries); err != nil {
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
	return quiet(printer.Finish())
}

// instant reads --since: how long before now, or a time of day, a day, or both, in
// local time unless a zone is said.
func instant(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.Local), nil
		}
	}
	return time.Time{}, errors.New("must be a duration such as 10m, or a time such as 20:15 or 2026-11-23 20:15")
}

// quiet is err but for a reader of ours that went away, as head does.
func quiet(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
