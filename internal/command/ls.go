package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// readTimeout is how long reading every app may take.
const readTimeout = 10 * time.Second

func lsCommand(std run.Streams) *cobra.Command {
	var where whereabouts
	var watch time.Duration
	output := "table"
	var cursors []string
	c := &cobra.Command{
		Use:     "ls [FLAGS]",
		Short:   "Show every app there is, and how it is.",
		Example: "wrapp ls [FLAGS]",
		Long: `An app is killed if its lease is gone and nothing says that it has ended. ERRORS are the entries on
:error of the last ten minutes. LAG are the entries that a cursor of wrapp logs has not reached. A
name shows one app only: wrapp ls NAME...`,
		RunE: func(_ *cobra.Command, names []string) error {
			cfg, err := where.load(names...)
			if err != nil {
				return err
			}
			return list(cfg, names, cursors, output, watch, std)
		},
	}
	where.flags(c)
	choice(c, &output, "output", "print `FORMAT`", "table", "json", "prometheus")
	c.Flags().Var(File(func(name string) {
		if !slices.Contains(cursors, name) {
			cursors = append(cursors, name)
		}
	}), "cursor", "show how far the cursor `FILE` of wrapp logs is behind; may be given again")
	c.Flags().Var(setting{set: positive(&watch)}, "watch", "print again every `DURATION`, until Ctrl-C")
	c.Flags().Lookup("watch").NoOptDefVal = "1s"
	return c
}

// list prints the apps, once or repeatedly.
func list(cfg *config.Config, names, cursors []string, output string, watch time.Duration, std run.Streams) error {
	write := fleet.WriteTable
	switch output {
	case "json":
		write = fleet.WriteJSON
	case "prometheus":
		write = fleet.WritePrometheus
	}
	ctx := UntilSignal()
	log := eventlog.New(std.Stderr, "wrapp", false)
	clear := watch > 0 && output == "table" && capable(std.Stdout)
	told := ""
	watcher := watcher{cursors: cursors}
	defer watcher.conns.Close()
	for {
		apps, err := watcher.read(ctx, cfg, names)
		var wrong *usageError // of a cursor file
		switch {
		case ctx.Err() != nil && watch > 0:
			return nil
		case err != nil && (watch == 0 || errors.As(err, &wrong)):
			return err
		case err != nil:
			text := "redis is away; output goes on when it is back"
			if errors.Is(err, errNoApp) {
				text = "output goes on when it is there"
			}
			if text != told {
				log.Warn(text, "error", err)
			}
			told = text
		default:
			told = ""
			var out bytes.Buffer
			if clear {
				out.WriteString("\x1b[H\x1b[2J")
			}
			if err := write(&out, apps); err != nil {
				return err
			}
			if _, err := std.Stdout.Write(out.Bytes()); err != nil {
				return quiet(err)
			}
		}
		if watch == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watch):
		}
	}
}

var errNoApp = errors.New("there is no app")

// A watcher reads apps repeatedly over the same connections.
type watcher struct {
	conns   redisconn.Pair
	cursors []string // cursors: cursor files
}

func (w *watcher) read(ctx context.Context, cfg *config.Config, names []string) (apps []fleet.App, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var all []fleet.App
	err = w.conns.Use(ctx, &cfg.Redis, func(logs, values *redisconn.Client) (err error) {
		all, err = fleet.Read(ctx, logs, values)
		for _, file := range w.cursors {
			if err != nil {
				break
			}
			var places *journal.Places
			if places, err = journal.ReadPlaces(file); err != nil {
				return cursorError(file, err)
			}
			err = fleet.AddLags(ctx, logs, all, cursorName(file, w.cursors), places)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		return all, err
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		found := false
		for i := range all {
			if all[i].Name == name {
				apps, found = append(apps, all[i]), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%w %q in this Redis", errNoApp, name)
		}
	}
	return apps, nil
}

// cursorName returns what the cursor of a file is called: the file's base name without extension,
// or the whole name if another of the files has the same one.
func cursorName(file string, files []string) string {
	base := func(file string) string { return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)) }
	if slices.ContainsFunc(files, func(f string) bool { return f != file && base(f) == base(file) }) {
		return file
	}
	return base(file)
}
