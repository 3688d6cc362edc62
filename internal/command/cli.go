package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lpportorino/jettison-base-images/internal/address"
	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// usageError is a wrong command line, with a hint how to mend it.
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
		fmt.Fprintf(w, "%s: error: %s\n", tool, eventlog.Harmless(strings.TrimSuffix(line, "\n")))
	}
	if hint != "" {
		fmt.Fprintf(w, "%s: hint: %s\n", tool, eventlog.Harmless(hint))
	}
	return process.ExitFailed
}

// execute runs the command that args, without the tool's own name, call. wrongFlag handles
// the error of a wrong flag.
func execute(root *cobra.Command, args []string, std run.Streams, wrongFlag func(*cobra.Command, error) error) error {
	prepareTree(root)
	root.SetFlagErrorFunc(wrongFlag)
	root.SetArgs(longFlags(root, args))
	root.SetOut(std.Stdout)
	root.SetErr(std.Stderr)
	return root.Execute()
}

// Execute runs the command that args, without the tool's own name, call, for a tool that
// another package defines. It prints an error as all tools do, and returns the exit status.
func Execute(root *cobra.Command, args []string, std run.Streams) int {
	return complain(std.Stderr, root.Name(), execute(root, args, std, flagError))
}

// prepareTree sets the fields that all commands have in common.
func prepareTree(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs // each command checks them itself
	c.SilenceErrors, c.SilenceUsage, c.DisableFlagsInUseLine = true, true, true
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetHelpFunc(showHelp)
	c.InitDefaultHelpFlag()
	c.Flags().Lookup("help").Usage = "print this"
	for _, sub := range c.Commands() {
		prepareTree(sub)
	}
}

// longFlags returns args with two dashes before long flags that have one: the tools have
// always accepted both.
func longFlags(root *cobra.Command, args []string) []string {
	known := make(map[string]*pflag.Flag)
	for _, c := range append(root.Commands(), root) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			known[f.Name] = f
			if f.Shorthand != "" {
				known[f.Shorthand] = f
			}
		})
	}
	args = append([]string{}, args...) // never nil: cobra would use os.Args
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		dashless := strings.TrimLeft(args[i], "-")
		name, _, valued := strings.Cut(dashless, "=")
		f := known[name]
		if f == nil || dashless == args[i] {
			continue
		}
		if f.Name == name && len(name) > 1 {
			args[i] = "--" + dashless
		}
		if !valued && f.NoOptDefVal == "" {
			i++ // the flag's value
		}
	}
	return args
}

// flagError returns the error for a wrong flag. It never shows a value, nor text that may be
// one: it may hold a password.
func flagError(c *cobra.Command, err error) error {
	hint := "see " + c.CommandPath() + " --help"
	if !c.HasParent() && c.HasSubCommands() {
		hint += "; to run a command put -- before it"
	}
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var required *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown):
		name, shown := unknown.GetSpecifiedName(), "--"+unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			// In -psecret only the p is a name.
			name, _, _ = strings.Cut(short, "=")
			shown = "-" + string([]rune(unknown.GetSpecifiedName())[:1])
		}
		if near := nearestFlag(c, name); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		return &usageError{"unknown flag " + shown, hint}
	case errors.As(err, &invalid):
		f, cause := invalid.GetFlag(), invalid.Unwrap()
		var wrong *config.Error
		if errors.As(cause, &wrong) { // its text names the flag already
			return &usageError{wrong.Error(), hint}
		}
		text := cause.Error()
		switch f.Value.Type() {
		case "bool":
			text = "must be true or false"
		case "int":
			text = "must be a whole number"
		}
		return &usageError{dashed(f) + ": " + text, hint}
	case errors.As(err, &required):
		return &usageError{dashed(required.GetFlag()) + " wants a value", hint}
	}
	return &usageError{"there is a flag without a name", hint}
}

func dashed(f *pflag.Flag) string {
	if len(f.Name) == 1 {
		return "-" + f.Name
	}
	return "--" + f.Name
}

// nearestFlag returns the flag that name most likely means, with its dashes, or "".
func nearestFlag(c *cobra.Command, name string) string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if len(f.Name) > 1 {
			names = append(names, f.Name)
		}
	})
	if near := config.Nearest(name, names); near != "" {
		return "--" + near
	}
	return ""
}

// nearestCommand returns a hint at the subcommand that name most likely means, or "".
func nearestCommand(root *cobra.Command, name string) string {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	if near := config.Nearest(name, names); near != "" && near != name {
		return "did you mean " + root.Name() + " " + near + "?"
	}
	return ""
}

// showHelp prints a command's help. Example has its forms, one a line; Long comes last.
func showHelp(c *cobra.Command, _ []string) {
	w := c.OutOrStdout()
	fmt.Fprintf(w, "%s\n\nusage:\n", c.Short)
	for line := range strings.Lines(c.Example) {
		fmt.Fprint(w, "  "+line)
	}
	fmt.Fprintln(w)
	if c.HasSubCommands() {
		fmt.Fprint(w, "\ncommands:\n")
		for _, sub := range c.Commands() {
			fmt.Fprintf(w, "  %-12s%s\n", sub.Name(), sub.Short)
		}
	}
	fmt.Fprintf(w, "\nflags:\n%s", c.Flags().FlagUsages())
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", c.Long)
	}
}

// A setting is a flag whose text goes to a function.
type setting struct {
	set   func(string) error
	unset string // unset: the default, for help
}

func (s setting) Set(text string) error { return s.set(text) }
func (s setting) String() string        { return s.unset }
func (setting) Type() string            { return "value" }

// File is a flag whose text is the name of a file. It refuses a URL, which a later message would
// show with its password.
func File(set func(name string)) pflag.Value {
	return setting{set: func(s string) error {
		if address.IsURL(s) {
			return errors.New("must be a file, not a URL; --redis takes a URL")
		}
		set(s)
		return nil
	}}
}

// choice adds a flag that accepts one of a few words.
func choice(c *cobra.Command, to *string, name, usage string, words ...string) {
	chosen := func(s string) error {
		if !slices.Contains(words, s) {
			return errors.New(oneOf(s, words))
		}
		*to = s
		return nil
	}
	c.Flags().Var(setting{chosen, *to}, name, usage+": "+strings.Join(words, ", "))
	c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// oneOf returns the message that s is none of words, with the nearest of them.
func oneOf(s string, words []string) string {
	text := "must be " + config.Either(words)
	if near := config.Nearest(s, words); near != "" {
		text += " (did you mean " + near + "?)"
	}
	return text
}

// A whereabouts has the flags for Redis's address.
type whereabouts struct{ file, url string }

func (w *whereabouts) flags(c *cobra.Command) {
	c.Flags().StringVar(&w.file, "config", "", "`FILE` of wrapp (TOML or JSON) that says where Redis is")
	c.Flags().StringVar(&w.url, "redis", "", "`URL` of Redis: redis://, rediss:// or unix://; without it and --config, $REDIS_URL")
}

// load returns the configuration of the file or else the default, with the address of flag
// or environment. It refuses a URL among the names of apps, because messages show names.
func (w *whereabouts) load(names ...string) (*config.Config, error) {
	if slices.ContainsFunc(names, address.IsURL) {
		return nil, &usageError{"an app has a name, not a URL", "--redis takes a URL"}
	}
	cfg := config.Default()
	if w.file != "" {
		var err error
		if cfg, err = config.Load(w.file); err != nil {
			return nil, err
		}
	}
	if w.url != "" {
		if err := cfg.Redis.SetURL(w.url); err != nil {
			return nil, err
		}
	}
	if err := cfg.Redis.UseEnvironment(os.Getenv); err != nil {
		return nil, err
	}
	return cfg, cfg.Check()
}

// colourful reports whether to colour output to f: as --color says, else on a capable
// terminal unless NO_COLOR is set (no-color.org).
func colourful(mode string, f *os.File) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	return os.Getenv("NO_COLOR") == "" && capable(f)
}

// capable reports whether f is a terminal that obeys control sequences.
func capable(f *os.File) bool { return run.IsTerminal(f) && os.Getenv("TERM") != "dumb" }
