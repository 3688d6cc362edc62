package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// lookBack bounds the search for the first pieces of the last n lines: it ends when that many entries
// more than n have been read. Entries of other streams and pipes stand between the pieces.
const lookBack = 1000

// retry is how long `wrapp logs -f` waits before it connects again.
const retry = time.Second

// rescan is how often `wrapp logs --all -f` searches for new apps.
const rescan = 5 * time.Second

// printAtOnce is how many lines are printed between two looks for Ctrl-C.
const printAtOnce = 100

const logsUsage = "wrapp logs [FLAGS] NAME..."

// A logsQuery has the flags of `wrapp logs`.
type logsQuery struct {
	where  whereabouts
	all    bool
	follow bool
	n      int // -1: all
	since  time.Time
	until  time.Time
	run    string
	after  journal.EntryName
	cursor string
	filter journal.Filter
	output string
	colour string
}

func logsCommand(std run.Streams) *cobra.Command {
	q := &logsQuery{n: -1, output: journal.Text, colour: "auto"}
	var asJSON bool
	c := &cobra.Command{
		Use:     "logs [FLAGS] NAME...",
		Short:   "Read the streams of apps back, as a person would.",
		Example: logsUsage + "\nwrapp logs [FLAGS] --all",
		Long: `TIME is 10m or 2d ago, 20:15 today, or "2026-11-23 20:15". Flags may stand after the names.
A name may be left out where --config says it.`,
		RunE: func(c *cobra.Command, names []string) error {
			if asJSON {
				if c.Flags().Changed("output") && q.output != journal.JSON {
					return &usageError{"--json is --output json, and --output says something else", ""}
				}
				q.output = journal.JSON
			}
			if err := q.checkCursor(c.Flags()); err != nil {
				return err
			}
			return q.print(names, std)
		},
	}
	q.where.flags(c)
	fs := c.Flags()
	set := func(name, usage string, f func(string) error) { fs.Var(setting{set: f}, name, usage) }
	at := func(to *time.Time) func(string) error {
		return func(s string) (err error) {
			*to, err = journal.ParseTime(s, time.Now())
			return err
		}
	}
	fs.BoolVar(&q.all, "all", false, "every app there is")
	fs.BoolVarP(&q.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	fs.VarP(setting{set: func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return errors.New("must be a number of lines, 0 or more")
		}
		q.n = n
		return nil
	}}, "lines", "n", "the last `N` lines only")
	set("since", "what came at `TIME` or later", at(&q.since))
	set("until", "what came at `TIME` or before", at(&q.until))
	fs.StringVar(&q.run, "run", "", "one `RUN` only: last, or the time in its {{__NEW_RUN_...}}; with -f only last, and the runs that follow")
	set("after", "what comes after `ID`, the _id of a line that --output json has printed", func(s string) (err error) {
		q.after, err = journal.ParseEntryName(s)
		return err
	})
	fs.Var(File(func(name string) { q.cursor = name }), "cursor", "begin at the place that `FILE` keeps, and move it past what was printed; a new file begins with all there is")
	set("level", "`LEVEL` or worse: debug, info, warn, error", func(s string) (err error) {
		q.filter.Level, err = loglevel.Parse(s)
		return err
	})
	set("grep", "what matches `REGEXP`, in RE2's syntax", func(s string) (err error) {
		q.filter.Grep, err = regexp.Compile(s)
		return grepError(err)
	})
	choice(c, &q.filter.Source, "source", "only what the app wrote to `SOURCE`", "stdout", "stderr")
	choice(c, &q.output, "output", "print `FORMAT`; raw is the messages as they are", journal.Text, journal.JSON, journal.Raw)
	fs.BoolVar(&asJSON, "json", false, "the same as --output json")
	choice(c, &q.colour, "color", "colours `WHEN`; auto on a terminal, but not with NO_COLOR or TERM=dumb", "auto", "always", "never")
	c.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// grepError returns the error for a wrong pattern. It shows only the wrong operator of the
// pattern.
func grepError(err error) error {
	var wrong *syntax.Error
	if !errors.As(err, &wrong) {
		return err
	}
	if len(wrong.Expr) <= len(`(?=`) {
		return fmt.Errorf("%s: `%s`", wrong.Code, wrong.Expr)
	}
	return errors.New(wrong.Code.String())
}

// print prints the streams of apps.
func (q *logsQuery) print(names []string, std run.Streams) error {
	if q.follow && !q.until.IsZero() {
		return &usageError{"--until has an end, and -f has none", "leave one of them out"}
	}
	if q.follow && q.run != "" && q.run != journal.LastRun {
		return &usageError{"--run names one run, and -f goes on with the next", "leave one of them out, or say --run last"}
	}
	cfg, err := q.where.load(names...)
	if err != nil {
		return err
	}
	switch {
	case q.all && len(names) > 0:
		return &usageError{"--all reads every app: name none", logsUsage}
	case !q.all && len(names) == 0 && q.where.file != "" && cfg.CheckRun() == nil:
		names = []string{cfg.Name()}
	case !q.all && len(names) == 0:
		return &usageError{"logs wants the name of an app, or --all", logsUsage}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	ctx := UntilSignal()
	printer := journal.NewPrinter(std.Stdout, journal.Style{
		Output: q.output, Colour: q.output == journal.Text && colourful(q.colour, std.Stdout),
		Harmless: run.IsTerminal(std.Stdout), Apps: q.all || len(names) > 1,
	})
	log := eventlog.New(std.Stderr, "wrapp", false)
	if q.cursor != "" {
		return q.ship(ctx, cfg, names, printer, log, std.Stdout)
	}
	client, err := redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	if err != nil {
		return err
	}
	defer client.Close()
	if q.all {
		if names, err = journal.Names(ctx, client); err != nil {
			return err
		}
		if len(names) == 0 && !q.follow {
			return fmt.Errorf("no app has entries in database %d of this Redis", cfg.Redis.LogsDB)
		}
	}
	reader := journal.NewReader(names...)
	reader.Until, reader.After = q.until, q.after
	lines, joiner, found, err := q.last(ctx, reader, client)
	if err != nil {
		return err
	}
	if !found && !q.follow {
		if older, err := journal.NewReader(names...).Last(ctx, client, 1, time.Time{}); err != nil || len(older) > 0 && q.run == "" {
			return err
		} else if len(older) > 0 {
			return fmt.Errorf("%s has no entries of that run", strings.Join(names, ", "))
		}
		return fmt.Errorf("%s has no entries in database %d of this Redis", strings.Join(names, ", "), cfg.Redis.LogsDB)
	}
	for some := range slices.Chunk(lines, printAtOnce) {
		if ctx.Err() != nil {
			if q.follow {
				return nil // Ctrl-C is how it ends
			}
			return context.Cause(ctx)
		}
		if err := printer.Print(some); err != nil {
			return quiet(err)
		}
	}
	if !q.follow {
		return nil
	}
	scanned := time.Now()
	err = q.tail(ctx, cfg, client, log, func(client *redisconn.Client) (away, err error) {
		if q.all && time.Since(scanned) >= rescan {
			scanned = time.Now()
			names, err := journal.Names(ctx, client)
			if err != nil {
				return err, nil
			}
			reader.Add(names...)
		}
		entries, err := reader.Next(ctx, client)
		if err != nil {
			return err, nil
		}
		entries = slices.DeleteFunc(entries, q.early) // of an app that was added, also what a spool brought
		return nil, printer.Print(q.filter.Select(joiner.Add(entries)))
	})
	if err != nil {
		return quiet(err)
	}
	return quiet(printer.Print(q.filter.Select(joiner.Rest())))
}

// tail calls step until ctx ends or step returns err. It connects if client is nil, and again
// when Redis was away. It closes each client, also the caller's, who may close it again.
func (q *logsQuery) tail(ctx context.Context, cfg *config.Config, client *redisconn.Client, log *slog.Logger, step func(*redisconn.Client) (away, err error)) error {
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	told, before := false, client != nil
	for ctx.Err() == nil {
		var away, err error
		if client == nil {
			client, away = redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
			var refused *redisconn.RefusedError
			if !before && errors.As(away, &refused) {
				return away
			}
		}
		if away == nil {
			if told {
				log.Info("redis is back")
			}
			told, before = false, true
			if away, err = step(client); err != nil {
				return err
			}
		}
		if away == nil {
			continue
		}
		if !told && ctx.Err() == nil {
			log.Warn("redis is away; reading goes on when it is back", "error", away)
			told = true
		}
		if client != nil {
			client.Close()
			client = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
	return nil
}

// last reads the last lines that the flags select. The joiner holds the pieces of an
// incomplete line. found says that there were entries.
func (q *logsQuery) last(ctx context.Context, reader *journal.Reader, client *redisconn.Client) (lines []journal.Line, joiner *journal.Joiner, found bool, err error) {
	raw := q.output == journal.Raw
	since := q.since
	if q.run != "" { // its marker may be before since and after
		since, reader.After = time.Time{}, journal.EntryName{}
	}
	for more := 0; ; more = 4*more + 16 {
		ask := q.n + more
		if q.n < 0 || !q.filter.All() || q.run != "" {
			ask = -1 // the last n matching lines may be far back
		}
		entries, err := reader.Last(ctx, client, ask, since)
		if err != nil {
			return nil, nil, false, err
		}
		if q.run != "" {
			entries = journal.Run(entries, q.run)
		}
		found = len(entries) > 0
		if q.run != "" {
			entries = slices.DeleteFunc(entries, q.early)
		}
		joiner = &journal.Joiner{Pieces: raw}
		lines = joiner.Add(entries)
		if !q.follow {
			lines = append(lines, joiner.Rest()...)
		}
		if raw || ask < 0 || len(entries) < ask || more >= lookBack || journal.Whole(lines, q.n) {
			break
		}
	}
	lines = q.filter.Select(lines)
	if q.n >= 0 && len(lines) > q.n {
		lines = lines[len(lines)-q.n:]
	}
	return lines, joiner, found, nil
}

// early reports whether an entry comes before --since or --after.
func (q *logsQuery) early(e journal.Entry) bool {
	return e.Time().Before(q.since.Truncate(time.Millisecond)) || !q.after.Follows(&e)
}

// quiet returns err, but nil if the reader of our output went away, as head does.
func quiet(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
