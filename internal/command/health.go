package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/address"
	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const healthForms = `jettison_health --config FILE <service>:<category>...
jettison_health --redis URL <service>:<category>...
jettison_health --config FILE --all`

const healthMore = `A pool that wrapp keeps for the app NAME has NAME as its service. The category is
what follows the last colon.

exit status: 0 if every pool has all its keys, and as much health as --min-health
wants; 1 otherwise. Without --min-health it is 0 for a dead pool, too.`

// A healthQuery has the flags and arguments of jettison_health.
type healthQuery struct {
	cfg     *config.Config
	args    []string // args: as they were given
	pairs   []health.Pair
	all     bool
	format  string
	least   *health.Threshold
	timeout time.Duration
	watch   time.Duration // watch: pause between two outputs; 0: only one

	log        *slog.Logger
	toldSingly bool // toldSingly: the user was told that the right to MGET is missing
}

// A healthError is a failure that jettison_health prints; docs/health.md lists all what.
type healthError struct {
	what string
	err  error
}

func (e *healthError) Error() string { return e.what + ": " + e.err.Error() }

func failure(what string, err error) error { return &healthError{what, err} }

// JettisonHealth is the jettison_health command. args are without the command's
// own name; the result is the exit status.
func JettisonHealth(args []string, std run.Streams) int {
	q := &healthQuery{format: "json", timeout: 5 * time.Second, log: eventlog.New(std.Stderr, "jettison_health", false)}
	exit := 0
	// A wrong flag is printed like any other failure.
	wrongFlag := func(c *cobra.Command, err error) error {
		exit = q.print(std, nil, failure("Invalid arguments", flagError(c, err)))
		return nil
	}
	if err := execute(healthCommand(q, std, &exit), args, std, wrongFlag); err != nil {
		return complain(std.Stderr, "jettison_health", err)
	}
	return exit
}

// healthCommand returns the command line, which fills q. It prints failures as documents, and
// sets exit.
func healthCommand(q *healthQuery, std run.Streams, exit *int) *cobra.Command {
	var where whereabouts
	var showVersion bool
	c := &cobra.Command{
		Use:     "jettison_health",
		Short:   "jettison_health prints health pools from Redis.",
		Example: healthForms,
		Long:    healthMore,
	}
	where.flags(c)
	fs := c.Flags()
	set := func(name, usage, unset string, f func(string) error) { fs.Var(setting{f, unset}, name, usage) }
	fs.BoolVar(&q.all, "all", false, "every pool there is")
	choice(c, &q.format, "format", "print `FORMAT`", "json", "table", "prometheus")
	set("min-health", "exit status 1 if a pool has less than `N|N%` of its cap", "", func(s string) error {
		q.least = new(health.Threshold)
		return q.least.UnmarshalText([]byte(s))
	})
	set("timeout", "how long Redis may take, a `DURATION`", "5s", positive(&q.timeout))
	set("watch", "print again every `DURATION`, until Ctrl-C", "", positive(&q.watch))
	fs.Lookup("watch").NoOptDefVal = "1s"
	fs.BoolVar(&showVersion, "version", false, "say which build this is")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if showVersion {
			_, err := fmt.Fprintln(std.Stdout, VersionOf("jettison_health"))
			return err
		}
		q.args = args
		if err := q.check(&where); err != nil {
			*exit = q.print(std, nil, err)
			return nil
		}
		*exit = q.show(std)
		return nil
	}
	return c
}

// show prints the pools, once or repeatedly, and returns the exit status.
func (q *healthQuery) show(std run.Streams) (exit int) {
	ctx := UntilSignal()
	clear := q.watch > 0 && q.format == "table" && capable(std.Stdout)
	for {
		readings, err := q.read(ctx)
		if ctx.Err() != nil && q.watch > 0 {
			return exit // of the last output
		}
		if clear {
			fmt.Fprint(std.Stdout, "\x1b[H\x1b[2J")
		}
		exit = q.print(std, readings, err)
		if q.watch == 0 {
			return exit
		}
		select {
		case <-ctx.Done():
			return exit
		case <-time.After(q.watch):
		}
	}
}

// check reads the configuration and the pairs.
func (q *healthQuery) check(where *whereabouts) (err error) {
	if where.file == "" && where.url == "" && os.Getenv("REDIS_URL") == "" {
		return failure("Configuration required", errors.New("give --config FILE or --redis URL, or set REDIS_URL"))
	}
	if q.cfg, err = where.load(); err != nil {
		return failure("Configuration error", err)
	}
	if len(q.args) == 0 && !q.all {
		return failure("No arguments provided", errors.New("name pools as <service>:<category>, or give --all"))
	}
	if len(q.args) > 0 && q.all {
		return failure("Invalid arguments", errors.New("--all shows every pool: name none"))
	}
	for _, arg := range q.args {
		pair, err := health.ParsePair(arg)
		if err != nil {
			return failure("Invalid arguments", err)
		}
		if !slices.Contains(q.pairs, pair) {
			q.pairs = append(q.pairs, pair)
		}
	}
	return nil
}

// positive reads a duration of more than 0.
func positive(to *time.Duration) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("must be a duration of more than 0, such as 5s or 500ms")
		}
		*to = d
		return nil
	}
}

// read asks Redis, for q.timeout at most.
func (q *healthQuery) read(ctx context.Context) ([]health.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	readings, err := q.ask(ctx)
	var failed *healthError
	if errors.As(err, &failed) && (errors.Is(failed.err, os.ErrDeadlineExceeded) || errors.Is(failed.err, context.DeadlineExceeded)) {
		err = failure(failed.what, fmt.Errorf("no answer within %v: %w", q.timeout, failed.err))
	}
	return readings, err
}

func (q *healthQuery) ask(ctx context.Context) ([]health.Reading, error) {
	r := &q.cfg.Redis
	if _, _, err := r.Credentials(); err != nil {
		return nil, failure("Credential loading failed", err)
	}
	if _, err := r.TLSConfig(); err != nil {
		return nil, failure("Credential loading failed", err)
	}
	r.ConnectTimeout = max(r.ConnectTimeout, config.Duration(q.timeout))
	conn, err := redisconn.Dial(ctx, r, r.ValuesDB)
	if err != nil {
		return nil, failure("Redis connection failed", err)
	}
	defer conn.Close()
	pairs := q.pairs
	if q.all {
		if pairs, err = health.All(ctx, conn); err != nil {
			return nil, failure("Redis query failed", err)
		}
	}
	readings, err := health.Read(ctx, conn, pairs)
	if err != nil {
		return nil, failure("Redis query failed", err)
	}
	if conn.Singly() && !q.toldSingly {
		q.toldSingly = true
		user, _, _ := r.Credentials()
		q.log.Warn(fmt.Sprintf("the user may not MGET, so each key is read by itself; this mends it: ACL SETUSER %s +mget", cmp.Or(user, "default")))
	}
	return readings, nil
}

// print prints the readings, or err instead, and returns the exit status.
func (q *healthQuery) print(std run.Streams, readings []health.Reading, err error) int {
	var out bytes.Buffer
	write := health.WriteJSON
	switch q.format {
	case "table":
		write = health.WriteTable
	case "prometheus":
		write = health.WritePrometheus
	}
	var failed *healthError
	switch {
	case err == nil:
		err = write(&out, readings)
	case errors.As(err, &failed) && q.format == "json":
		health.WriteFailure(&out, failed.what, failed.err.Error(), masked(q.args))
	default:
		complain(std.Stderr, "jettison_health", err)
	}
	if _, failed := std.Stdout.Write(out.Bytes()); failed != nil || err != nil || !q.good(readings) {
		return 1
	}
	return 0
}

// masked returns args with those masked that may have a password in them.
func masked(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if address.IsURL(arg) {
			args[i] = "********"
		}
	}
	return args
}

// good reports whether all pools exist and are healthy enough.
func (q *healthQuery) good(readings []health.Reading) bool {
	for i := range readings {
		r := &readings[i]
		if !r.Exists() || q.least != nil && !r.Above(*q.least) {
			return false
		}
	}
	return q.least == nil || len(readings) > 0
}
