// Package command has the command lines of the tools.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const wrappForms = `wrapp [FLAGS] CONFIG                run what the file (TOML or JSON) says
wrapp [FLAGS] -- COMMAND [ARG...]   run COMMAND
wrapp SUBCOMMAND ...`

const wrappMore = `Flags win over the file, which may stand before or behind them. Without a file and --redis,
$REDIS_URL says where Redis is.

exit status: the app's own; 128+N if signal N ended it; 127 no such executable,
126 not executable; 125 wrapp itself failed, and then the app was not started.`

// Wrapp is the wrapp command. args are without the command's own name; the
// result is the exit status.
func Wrapp(args []string, std run.Streams) int {
	return WrappWith(func(*config.Config) {})(args, std)
}

// WrappWith returns Wrapp with a last change to every configuration that it runs, for tests
// that give it more time.
func WrappWith(change func(*config.Config)) func(args []string, std run.Streams) int {
	return func(args []string, std run.Streams) int {
		exit := 0
		said := eventlog.NewQueue(process.Terminal(std.Stderr))
		defer said.Close()
		start := func(cfg *config.Config, verbose bool) (err error) {
			change(cfg)
			exit, err = run.Run(cfg, std, eventlog.New(said, "wrapp", verbose), buildVersion())
			return err
		}
		if err := execute(wrappCommand(std, args, start), args, std, flagError); err != nil {
			failed := complain(said, "wrapp", err)
			return cmp.Or(exit, failed)
		}
		return exit
	}
}

// wrappCommand returns the command line, also for help, completion and the man pages. start
// runs an app.
func wrappCommand(std run.Streams, args []string, start func(cfg *config.Config, verbose bool) error) *cobra.Command {
	var verbose, showVersion bool
	root := &cobra.Command{
		Use:     "wrapp",
		Short:   "wrapp runs one app and streams what it says to Redis.",
		Long:    wrappMore,
		Example: wrappForms,
	}
	cfg := config.Default()
	runFlags(root.Flags(), cfg, &verbose)
	root.Flags().BoolVar(&showVersion, "version", false, "say which build this is")
	completeRunFlags(root)
	root.RunE = func(c *cobra.Command, rest []string) (err error) {
		if showVersion {
			return printVersion(std)
		}
		command := c.ArgsLenAtDash() == 0
		switch {
		case len(rest) == 0:
			return &usageError{"nothing to run", "give a config file, or a command behind --; see wrapp help"}
		case command:
			cfg.App.Executable, cfg.App.Args = rest[0], rest[1:]
		case len(rest) > 1:
			hint := "to run a command put -- before it: wrapp [FLAGS] -- COMMAND [ARG...]"
			if near := nearestCommand(root, rest[0]); near != "" {
				hint = near + " " + hint
			}
			return &usageError{"more than one argument: wrapp takes one config file", hint}
		default:
			if cfg, err = config.Load(rest[0]); err != nil {
				if near := nearestCommand(root, rest[0]); near != "" && missing(rest[0]) {
					return &usageError{err.Error(), near}
				}
				return err
			}
			// The first parsing found the file; the second one sets the flags over it.
			again := pflag.NewFlagSet("wrapp", pflag.ContinueOnError)
			again.Usage = func() {}
			runFlags(again, cfg, new(bool))
			again.BoolVar(new(bool), "version", false, "")
			if err := again.Parse(longFlags(root, args)); err != nil {
				return flagError(root, err)
			}
		}
		if err := cfg.Redis.UseEnvironment(os.Getenv); err != nil {
			return err
		}
		if err := errors.Join(cfg.Check(), cfg.CheckRun()); err != nil {
			return err
		}
		return start(cfg, verbose)
	}
	root.AddCommand(checkCommand(std), logsCommand(std), lsCommand(std), crashesCommand(std), aclCommand(std), schemaCommand(std), completionCommand(std), versionCommand(std))
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultHelpCmd()
	return root
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return errors.Is(err, os.ErrNotExist)
}

// runFlags adds the flags for running an app; each sets one key of the configuration.
func runFlags(fs *pflag.FlagSet, cfg *config.Config, verbose *bool) {
	set := func(name, usage, unset string, f func(string) error) { fs.Var(setting{f, unset}, name, usage) }
	set("redis", "`URL` of Redis: redis://, rediss:// or unix:// (redis.url)", "", cfg.Redis.SetURL)
	set("name", "`NAME` of the streams (app.stream_name)", "", text(&cfg.App.StreamName))
	set("user", "run as `USER`, if wrapp is root (app.user)", "", text(&cfg.App.User))
	set("dir", "start in `DIR` (app.dir)", "", text(&cfg.App.Dir))
	set("env", "set `NAME=VALUE` for the app; may be repeated (app.env)", "", func(s string) error {
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
	set("tty", "give the app a terminal for its output: no, stdout or both (app.tty)", cfg.App.TTY, text(&cfg.App.TTY))
	set("stop-signal", "`SIGNAL` that asks the app to stop (app.stop_signal)", cfg.App.StopSignal.String(), unmarshal(&cfg.App.StopSignal))
	set("stop-timeout", "`DURATION` from there to SIGKILL (app.stop_timeout)", cfg.App.StopTimeout.String(), unmarshal(&cfg.App.StopTimeout))
	set("restart", "start the app again when it ends: no, on-failure, always (restart.policy)", cfg.Restart.Policy, text(&cfg.Restart.Policy))
	set("max-line", "`SIZE` at which lines are split (logs.max_line)", cfg.Logs.MaxLine.String(), unmarshal(&cfg.Logs.MaxLine))
	fs.IntVar(&cfg.Logs.MaxEntries, "max-entries", cfg.Logs.MaxEntries, "keep about `N` entries a stream (logs.max_entries)")
	set("format", "shape of entries: text or json (logs.format)", cfg.Logs.Format, text(&cfg.Logs.Format))
	set("passthrough", "copy the output too: auto, always, never (logs.passthrough)", cfg.Logs.Passthrough, text(&cfg.Logs.Passthrough))
	set("debug", "start paused; a debugger can connect to `HOST:PORT`, 127.0.0.1:2345 unless said with = (debug)", "", debugSetting(&cfg.Debug))
	fs.Lookup("debug").NoOptDefVal = "true"
	fs.BoolVar(verbose, "verbose", false, "say more on stderr")
}

func completeRunFlags(c *cobra.Command) {
	words := func(flag string, words ...string) {
		c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	words("format", config.WordsOf("logs.format")...)
	words("passthrough", config.WordsOf("logs.passthrough")...)
	words("restart", config.WordsOf("restart.policy")...)
	words("tty", config.WordsOf("app.tty")...)
	words("stop-signal", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")
	c.MarkFlagDirname("dir")
}

// debugSetting reads --debug or --debug=HOST:PORT.
func debugSetting(to *config.Debug) func(string) error {
	return func(s string) error {
		switch s {
		case "true", "false": // --debug alone, or =true and =false as for a boolean flag
			to.Enabled = s == "true"
			return nil
		}
		host, port, err := net.SplitHostPort(s)
		n, err2 := strconv.Atoi(port)
		if err != nil || err2 != nil {
			return errors.New("must be HOST:PORT")
		}
		if host != "" { // as in :2345
			to.Host = host
		}
		to.Enabled, to.Port = true, n
		return nil
	}
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

func checkCommand(std run.Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "check CONFIG",
		Short:   "Say what is wrong with a file, or what it amounts to.",
		Example: "wrapp check CONFIG",
		Long: `Secrets are masked. Files with passwords or certificates that cannot be read are warnings: they may be
mounted only where the app runs.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{"check wants one config file", "wrapp check CONFIG"}
			}
			return check(args[0], std)
		},
	}
}

func check(file string, std run.Streams) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	if err := cfg.Redis.UseEnvironment(os.Getenv); err != nil {
		return err
	}
	log := eventlog.New(std.Stderr, "wrapp", false)
	_, _, missing := cfg.Redis.Credentials()
	_, noTLS := cfg.Redis.TLSConfig()
	for _, warning := range cfg.Warnings() {
		log.Warn(warning)
	}
	// A file for jettison_health alone has no app in it.
	for _, err := range []error{missing, noTLS, cfg.CheckRun()} {
		if err != nil {
			log.Warn(err.Error())
		}
	}
	if note := run.CheckUser(cfg); note != "" {
		log.Warn(note)
	}
	return cfg.Write(std.Stdout)
}

func schemaCommand(std run.Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print a JSON schema of the configuration, for editors.",
		Example: "wrapp schema > wrapp.schema.json",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{"schema takes no arguments", "wrapp schema"}
			}
			_, err := std.Stdout.Write(config.Schema())
			return err
		},
	}
}

func completionCommand(std run.Streams) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what completes wrapp and jettison_health in bash, zsh or fish.",
		Example: `source <(wrapp completion bash)
source <(wrapp completion zsh)
wrapp completion fish | source`,
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return &usageError{"completion wants the name of a shell", "wrapp completion bash, zsh or fish"}
			}
			for _, tool := range []*cobra.Command{c.Root(), healthCommand(new(healthQuery), std, new(int))} {
				if err := printCompletion(tool, args[0], std.Stdout); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func printCompletion(tool *cobra.Command, shell string, to *os.File) error {
	switch shell {
	case "zsh":
		return tool.GenZshCompletion(to)
	case "fish":
		return tool.GenFishCompletion(to, true)
	}
	return tool.GenBashCompletionV2(to, true)
}

func versionCommand(std run.Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which build this is.",
		Example: "wrapp version",
		RunE:    func(*cobra.Command, []string) error { return printVersion(std) },
	}
}

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [SUBCOMMAND]",
		Short:   "Print help, of a subcommand too.",
		Example: "wrapp help [SUBCOMMAND]",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return &usageError{"there is no such subcommand", nearestCommand(root, args[0])}
			}
			return c.Help()
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
			for _, c := range root.Commands() {
				names = append(names, c.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// Version, Revision (the commit) and Created (its time) are set by the build (-ldflags -X).
// If empty, Go's own build information replaces them.
var Version, Revision, Created string

func printVersion(std run.Streams) error {
	_, err := fmt.Fprintln(std.Stdout, VersionOf("wrapp"))
	return err
}

// buildVersion returns the version alone.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && Version == "" {
		return info.Main.Version
	}
	return Version
}

// VersionOf returns a tool's name and the description of its build.
func VersionOf(tool string) string {
	v, revision, when := buildVersion(), Revision, Created
	if info, ok := debug.ReadBuildInfo(); ok {
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

// UntilSignal returns a context that ends with the first SIGINT or SIGTERM. These no longer
// end the process: the caller must return when the context ends.
func UntilSignal() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	return ctx
}

// Main runs a tool with this process's arguments and streams, and exits.
func Main(tool func([]string, run.Streams) int) {
	os.Exit(tool(os.Args[1:], run.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}
