// Package command is the command lines of the tools.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const wrappUsage = `wrapp runs one app and streams what it says to Redis.

usage:
  wrapp [FLAGS] CONFIG                run what the file (TOML or JSON) says
  wrapp [FLAGS] -- COMMAND [ARG...]   run COMMAND
  wrapp check CONFIG                  say what is wrong with it, or what it amounts to
  wrapp logs [FLAGS] NAME             read the streams of NAME back
  wrapp acl [--config FILE] NAME      the least Redis ACL rules that running NAME needs
  wrapp version | help

flags, which win over the file:
`

const wrappUsageEnd = `
flags of wrapp logs:
  --config FILE, --redis URL   where Redis is
  -n N                         the last N only
  -f                           go on with what comes
  --level LEVEL                debug, info, warn or error, and what is worse
  --since TIME                 10m, 2d, 20:15, 2026-11-23 20:15
  --grep REGEXP                what matches; RE2 syntax without \p{...}
  --json                       messages as they are
exit status: the app's own; 128+N if signal N ended it; 127 no such executable,
126 not executable; 125 wrapp itself failed, and then the app was not started.
`

// Wrapp is the wrapp command. args are without the command's own name; the
// result is the exit status.
func Wrapp(args []string, std run.Streams) int {
	var command func([]string, run.Streams) error
	if len(args) > 0 {
		switch args[0] {
		case "check":
			command = check
		case "logs":
			command = logs
		case "acl":
			command = acl
		case "version", "--version":
			command = version
		case "help", "--help", "-h":
			command = help
		}
	}
	if command != nil {
		return complain(std.Stderr, "wrapp", command(args[1:], std))
	}
	cfg, verbose, err := runConfig(args)
	if err != nil {
		return complain(std.Stderr, "wrapp", err)
	}
	log := eventlog.New(std.Stderr, "wrapp", verbose)
	exit, err := run.Run(cfg, std, log)
	if err != nil {
		complain(std.Stderr, "wrapp", err)
	}
	return exit
}

// usageError is a command line that makes no sense.
type usageError struct{ msg, hint string }

func (e *usageError) Error() string { return e.msg }

// complain writes an error as lines of "error:" and "hint:" and returns the exit
// status for it.
func complain(w io.Writer, tool string, err error) int {
	if err == nil {
		return 0
	}
	hint := ""
	var usage *usageError
	var start *process.StartError
	if errors.As(err, &usage) {
		hint = usage.hint
	} else if errors.As(err, &start) {
		hint = start.Hint
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: error: %s\n", tool, strings.TrimSuffix(line, "\n"))
	}
	if hint != "" {
		fmt.Fprintf(w, "%s: hint: %s\n", tool, hint)
	}
	return process.ExitFailed
}

// runFlags are the flags of running an app; each sets one key of the
// configuration.
func runFlags(cfg *config.Config, verbose *bool) *flag.FlagSet {
	fs := newFlagSet("wrapp")
	set := func(name, usage string, f func(string) error) { fs.Func(name, usage, f) }
	set("redis", "`URL` of Redis: redis://, rediss:// or unix:// (redis.url)", cfg.Redis.SetURL)
	set("name", "`NAME` of the streams (app.stream_name)", text(&cfg.App.StreamName))
	set("user", "run as `USER`, as root only (app.user)", text(&cfg.App.User))
	set("dir", "start in `DIR` (app.dir)", text(&cfg.App.Dir))
	set("env", "set `NAME=VALUE` for the app; may be repeated (app.env)", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("must be NAME=VALUE")
		}
		if cfg.App.Env == nil {
			cfg.App.Env = make(map[string]string)
		}
		cfg.App.Env[name] = value
		return nil
	})
	set("stop-signal", "`SIGNAL` that asks the app to stop (app.stop_signal)", unmarshal(&cfg.App.StopSignal))
	set("stop-timeout", "`DURATION` from there to SIGKILL (app.stop_timeout)", unmarshal(&cfg.App.StopTimeout))
	set("max-line", "`SIZE` at which lines are split (logs.max_line)", unmarshal(&cfg.Logs.MaxLine))
	fs.IntVar(&cfg.Logs.MaxEntries, "max-entries", cfg.Logs.MaxEntries, "keep about `N` entries a stream (logs.max_entries)")
	set("format", "shape of entries: text or json (logs.format)", text(&cfg.Logs.Format))
	set("passthrough", "copy the output too: auto, always, never (logs.passthrough)", text(&cfg.Logs.Passthrough))
	fs.Var(debugFlag{&cfg.Debug}, "debug", "start paused; a debugger can connect to `HOST:PORT`, 127.0.0.1:2345 unless said with = (debug)")
	fs.BoolVar(verbose, "verbose", false, "say more on stderr")
	return fs
}

// debugFlag is --debug or --debug=HOST:PORT.
type debugFlag struct{ debug *config.Debug }

func (debugFlag) IsBoolFlag() bool { return true }
func (debugFlag) String() string   { return "" }

func (f debugFlag) Set(s string) error {
	switch s {
	case "true", "false": // without =, or as any flag that is either
		f.debug.Enabled = s == "true"
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil {
		return errors.New("must be HOST:PORT")
	}
	if host != "" { // as in :2345
		f.debug.Host = host
	}
	f.debug.Enabled, f.debug.Port = true, n
	return nil
}

func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

func text(to *string) func(string) error {
	return func(s string) error {
		*to = s
		return nil
	}
}

func unmarshal(to interface{ UnmarshalText([]byte) error }) func(string) error {
	return func(s string) error { return to.UnmarshalText([]byte(s)) }
}

// runConfig makes a configuration of the command line: of the file that it
// names, if any, and its flags.
func runConfig(args []string) (cfg *config.Config, verbose bool, err error) {
	// The flags are read once to find the file and again to win over it.
	cfg = config.Default()
	fs := runFlags(cfg, &verbose)
	if err := parse(fs, args); err != nil {
		return nil, false, err
	}
	rest := fs.Args()
	dashes := len(args) > len(rest) && args[len(args)-len(rest)-1] == "--"
	switch {
	case len(rest) == 0:
		return nil, false, &usageError{"nothing to run", "give a config file, or a command behind --; see wrapp help"}
	case dashes:
		cfg.App.Executable, cfg.App.Args = rest[0], rest[1:]
	case len(rest) > 1:
		return nil, false, &usageError{fmt.Sprintf("one config file is enough, and %q comes behind it", rest[1]), "to run a command put -- before it: wrapp [FLAGS] -- COMMAND [ARG...]; flags come before the file"}
	default:
		cfg, err = config.Load(rest[0])
		if err != nil {
			return nil, false, err
		}
		if err := parse(runFlags(cfg, &verbose), args); err != nil {
			return nil, false, err
		}
	}
	if err := cfg.Check(); err != nil {
		return nil, false, err
	}
	return cfg, verbose, cfg.CheckRun()
}

func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return &usageError{"help is a command: " + fs.Name() + " help", ""}
	}
	if err != nil {
		return &usageError{err.Error(), "see wrapp help"}
	}
	return nil
}

func check(args []string, std run.Streams) error {
	fs := newFlagSet("wrapp check")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return &usageError{"check wants one config file", "wrapp check CONFIG"}
	}
	cfg, err := config.Load(fs.Arg(0))
	if err != nil {
		return err
	}
	if _, _, err := cfg.Redis.Credentials(); err != nil {
		return err
	}
	if _, err := cfg.Redis.TLSConfig(); err != nil {
		return err
	}
	log := eventlog.New(std.Stderr, "wrapp", false)
	if err := cfg.CheckRun(); err != nil {
		// A file for jettison_health alone has no app in it.
		log.Warn(err.Error())
	}
	return cfg.Write(std.Stdout)
}

func help(_ []string, std run.Streams) error {
	fmt.Fprint(std.Stdout, wrappUsage)
	var verbose bool
	fs := runFlags(config.Default(), &verbose)
	fs.SetOutput(std.Stdout)
	fs.PrintDefaults()
	_, err := fmt.Fprint(std.Stdout, wrappUsageEnd)
	return err
}

// What the build stamps in (-ldflags -X): the version, the commit and its time.
// Where it does not, Go's own build information tells.
var Version, Revision, Created string

func version(_ []string, std run.Streams) error {
	_, err := fmt.Fprintln(std.Stdout, versionOf("wrapp"))
	return err
}

// versionOf is what a tool says about the build it comes from.
func versionOf(tool string) string {
	v, revision, when := Version, Revision, Created
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && revision == "" {
				revision = s.Value
			}
			if s.Key == "vcs.time" && when == "" {
				when = s.Value
			}
		}
	}
	words := []string{tool, v, revision, when, runtime.GOOS + "/" + runtime.GOARCH, runtime.Version()}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. From here on
// these do not end the process, so it is for a command that returns then.
func untilSignal() context.Context {
	ctx, end := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		end()
	}()
	return ctx
}

// stdStreams are this process's own.
func stdStreams() run.Streams {
	return run.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// Main runs a tool with this process's arguments and streams, and exits.
func Main(tool func([]string, run.Streams) int) { os.Exit(tool(os.Args[1:], stdStreams())) }
