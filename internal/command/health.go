package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const healthUsage = `jettison_health prints health pools from Redis.

usage:
  jettison_health --config FILE <service>:<category>...
  jettison_health --redis URL <service>:<category>...
  jettison_health --config FILE --all

A pool that wrapp keeps for the app NAME has NAME as its service. The category is
what follows the last colon.

flags:
  --config FILE      where Redis is: a file of wrapp (TOML or JSON)
  --redis URL        where Redis is: redis://, rediss:// or unix://
  --all              every pool there is
  --format FORMAT    json, table or prometheus (json)
  --min-health N|N%  exit status 1 if a pool has less than N, or N% of its cap
  --timeout DURATION how long Redis may take (5s)
  --watch[=DURATION] print again every DURATION (1s), until Ctrl-C
  --version

exit status: 0 if every pool has all its keys, and as much health as is wanted;
1 otherwise.
`

// A healthQuery is what jettison_health was asked.
type healthQuery struct {
	cfg     *config.Config
	args    []string // as they were given
	pairs   []health.Pair
	all     bool
	format  string
	least   *health.Threshold
	timeout time.Duration
	watch   time.Duration // 0: once
}

// A healthError is a failure that jettison_health prints; what is one of the
// contract's.
type healthError struct {
	what string
	err  error
}

func (e *healthError) Error() string { return e.what + ": " + e.err.Error() }

func failure(what string, err error) error { return &healthError{what, err} }

// JettisonHealth is the jettison_health command. args are without the command's
// own name; the result is the exit status.
func JettisonHealth(args []string, std run.Streams) int {
	switch {
	case slices.ContainsFunc(args, func(a string) bool { return a == "--help" || a == "-help" || a == "-h" }):
		fmt.Fprint(std.Stdout, healthUsage)
		return 0
	case slices.ContainsFunc(args, func(a string) bool { return a == "--version" || a == "-version" }):
		fmt.Fprintln(std.Stdout, versionOf("jettison_health"))
		return 0
	}
	q, err := parseHealthQuery(args)
	if err != nil {
		return q.print(std, nil, err)
	}
	ctx := untilSignal()
	clear := q.watch > 0 && q.format == "table" && run.IsTerminal(std.Stdout)
	exit := 0
	for {
		readings, err := q.read(ctx)
		if ctx.Err() != nil && q.watch > 0 {
			return exit // as it was last printed
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

// parseHealthQuery reads the command line and the configuration it names. The
// query is of use even with an error: it says how to print that.
func parseHealthQuery(args []string) (*healthQuery, error) {
	q := &healthQuery{format: "json", timeout: 5 * time.Second}
	fs := newFlagSet("jettison_health")
	file := fs.String("config", "", "")
	url := fs.String("redis", "", "")
	fs.BoolVar(&q.all, "all", false, "")
	fs.Func("format", "", func(s string) error {
		if s != "json" && s != "table" && s != "prometheus" {
			return errors.New("must be json, table or prometheus")
		}
		q.format = s
		return nil
	})
	fs.Func("min-health", "", func(s string) error {
		q.least = new(health.Threshold)
		return q.least.UnmarshalText([]byte(s))
	})
	fs.Func("timeout", "", positive(&q.timeout))
	fs.Var(watchFlag{positive(&q.watch)}, "watch", "")
	// Flags may stand behind pairs too.
	for rest := args; ; rest = fs.Args()[1:] {
		if err := fs.Parse(rest); err != nil {
			return q, failure("Invalid arguments", err)
		}
		if fs.NArg() == 0 {
			break
		}
		q.args = append(q.args, fs.Arg(0))
	}
	var err error
	switch {
	case *file != "":
		q.cfg, err = config.Load(*file)
	case *url != "":
		q.cfg = config.Default()
	default:
		return q, failure("Configuration required", errors.New("give --config FILE, or --redis URL"))
	}
	if err == nil && *url != "" {
		if err = q.cfg.Redis.SetURL(*url); err == nil {
			err = q.cfg.Check()
		}
	}
	if err != nil {
		return q, failure("Configuration error", err)
	}
	if len(q.args) == 0 && !q.all {
		return q, failure("No arguments provided", errors.New("name pools as <service>:<category>, or give --all"))
	}
	if len(q.args) > 0 && q.all {
		return q, failure("Invalid arguments", errors.New("--all shows every pool: name none"))
	}
	for _, arg := range q.args {
		pair, err := health.ParsePair(arg)
		if err != nil {
			return q, failure("Invalid arguments", err)
		}
		if !slices.Contains(q.pairs, pair) {
			q.pairs = append(q.pairs, pair)
		}
	}
	return q, nil
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

// watchFlag is --watch, which needs no value.
type watchFlag struct{ set func(string) error }

func (watchFlag) String() string   { return "" }
func (watchFlag) IsBoolFlag() bool { return true }
func (w watchFlag) Set(s string) error {
	if s == "true" {
		s = "1s"
	}
	return w.set(s)
}

// read asks Redis, and takes no longer than q.timeout.
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
	return readings, nil
}

// print shows the readings, or err in place of them, and returns the exit status.
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
		health.WriteFailure(&out, failed.what, failed.err.Error(), q.args)
	default:
		complain(std.Stderr, "jettison_health", err)
	}
	if _, failed := std.Stdout.Write(out.Bytes()); failed != nil || err != nil || !q.good(readings) {
		return 1
	}
	return 0
}

// good says whether the readings are what is wanted.
func (q *healthQuery) good(readings []health.Reading) bool {
	for i := range readings {
		r := &readings[i]
		if !r.Exists() || q.least != nil && !r.Above(*q.least) {
			return false
		}
	}
	return q.least == nil || len(readings) > 0
}
