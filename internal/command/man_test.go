package command_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lpportorino/jettison-base-images/internal/command"
	"github.com/lpportorino/jettison-base-images/internal/panel"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

var update = flag.Bool("update", false, "write docs/man anew")

// tools returns the command lines of the tools, the panel's too.
func tools() []*cobra.Command {
	return append(command.Definitions(), command.Prepared(panel.Command(run.Streams{})))
}

// TestManPages: docs/man matches the command lines, and groff accepts it.
func TestManPages(t *testing.T) {
	t.Parallel()
	const dir = "../../docs/man"
	pages := make(map[string]string)
	for _, tool := range tools() {
		for _, c := range append([]*cobra.Command{tool}, tool.Commands()...) {
			name := strings.ReplaceAll(c.CommandPath(), " ", "-")
			pages[name+".1"] = manPage(name, c)
		}
	}
	if *update {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range pages {
		file := filepath.Join(dir, name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not up to date (%v): go test ./internal/command -run ManPages -update", file, err)
		}
		groff := exec.Command("groff", "-man", "-Tutf8", "-ww", file)
		var wrong strings.Builder
		groff.Stderr = &wrong
		if out, err := groff.Output(); err != nil || wrong.Len() > 0 || !strings.Contains(string(out), "--help") {
			t.Errorf("groff %s: %v, %s", name, err, &wrong)
		}
	}
	if there, err := filepath.Glob(dir + "/*.1"); err != nil || len(there) != len(pages) {
		t.Errorf("%d pages in %s, and %d are made", len(there), dir, len(pages))
	}
}

// manPage returns the man page of a command, in man(7).
func manPage(name string, c *cobra.Command) string {
	roff := strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`)
	var b strings.Builder
	text := func(s string) {
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, ".") {
				line = `\&` + line
			}
			b.WriteString(strings.TrimRight(roff.Replace(line), "\n") + "\n")
		}
	}
	verbatim := func(s string) {
		b.WriteString(".nf\n")
		text(s)
		b.WriteString(".fi\n")
	}
	b.WriteString(".\\\" made by: go test ./internal/command -run ManPages -update\n")
	b.WriteString(".TH " + strings.ToUpper(name) + " 1 \"\" \"Jettison Base\"\n.SH NAME\n")
	short := strings.TrimSuffix(strings.TrimPrefix(c.Short, name+" "), ".")
	text(name + " - " + strings.ToLower(short[:1]) + short[1:])
	b.WriteString(".SH SYNOPSIS\n")
	verbatim(c.Example)
	if c.HasSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range c.Commands() {
			b.WriteString(".TP\n")
			text(sub.Name())
			text(sub.Short)
		}
	}
	b.WriteString(".SH OPTIONS\n")
	c.Flags().VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		head := "--" + f.Name
		if f.Shorthand != "" {
			head = "-" + f.Shorthand + ", " + head
		}
		switch {
		case value != "" && f.NoOptDefVal != "":
			head += "[=" + value + "]"
		case value != "":
			head += " " + value
		}
		if f.DefValue != "" && f.DefValue != "[]" && f.Value.Type() != "bool" {
			usage += " (default " + f.DefValue + ")"
		}
		b.WriteString(".TP\n")
		text(head)
		text(usage)
	})
	if c.Long != "" {
		b.WriteString(".SH NOTES\n")
		verbatim(c.Long)
	}
	return b.String()
}

// TestHelpIsWhole: every command has a purpose and its forms, and every flag a meaning.
func TestHelpIsWhole(t *testing.T) {
	t.Parallel()
	var all []*cobra.Command
	for _, tool := range tools() {
		all = append(append(all, tool), tool.Commands()...)
	}
	for _, c := range all {
		if c.Short == "" || !strings.HasPrefix(c.Example, c.CommandPath()) && c.Name() != "completion" {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for line := range strings.Lines(c.Flags().FlagUsages()) {
			if _, meaning, ok := strings.Cut(strings.TrimSpace(line), "   "); !ok || meaning == "" {
				t.Errorf("%s: %q", c.CommandPath(), line)
			}
		}
	}
}
