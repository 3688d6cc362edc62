package command

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

var update = flag.Bool("update", false, "write docs/man anew")

// definitions are the definitions of the tools.
func definitions() []*cobra.Command {
	tools := []*cobra.Command{
		wrappCommand(run.Streams{}, nil, func(*config.Config, bool) error { return nil }),
		healthCommand(&healthQuery{format: "json"}, run.Streams{}, new(int)),
	}
	for _, tool := range tools {
		prepareTree(tool)
	}
	return tools
}

// TestManPages: docs/man is what the definitions say, and groff can set it.
func TestManPages(t *testing.T) {
	t.Parallel()
	const dir = "../../docs/man"
	pages := make(map[string]string)
	for _, tool := range definitions() {
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

// manPage is the man page of a command, as man(7) has it.
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
		if f.DefValue != "" && f.Value.Type() != "bool" {
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

// TestHelpIsWhole: every command says what it is for and how it is written, and every flag
// what it means.
func TestHelpIsWhole(t *testing.T) {
	t.Parallel()
	var all []*cobra.Command
	for _, tool := range definitions() {
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

// TestCompletion has the shells complete what a person began.
func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"wrapp", "jettison_health"} {
		script := "#!/bin/sh\nexec env " + beWrapp + "=" + tool + " " + self + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(dir, tool), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shell := func(name string, args ...string) string {
		cmd := exec.Command(lookIn(dir, name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.Output() // bash complains that Tab was not pressed
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	const ask = `
source <(wrapp completion bash)
complete -p wrapp jettison_health >/dev/null || exit
# What bash does when Tab is pressed, without the package that helps with it.
_init_completion() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur="${COMP_WORDS[COMP_CWORD]}"; prev="${COMP_WORDS[COMP_CWORD-1]}"; }
_get_comp_words_by_ref() { _init_completion; }
__ltrim_colon_completions() { :; }
press() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=63 COMPREPLY=()
	COMP_POINT=${#COMP_LINE}
	local f=__start_$1
	"$f"
	printf '%s\n' "${COMPREPLY[@]}"
	echo end
}
`
	for _, tt := range []struct {
		press string
		want  []string
	}{
		{`press wrapp lo`, []string{"logs"}},
		{`press wrapp logs --sin`, []string{"--since"}},
		{`press wrapp logs --output ''`, []string{"text", "json", "raw"}},
		{`press wrapp --passthrough al`, []string{"always"}},
		{`press wrapp completion f`, []string{"fish"}},
		{`press wrapp help ac`, []string{"acl"}},
		{`press jettison_health --format t`, []string{"table"}},
	} {
		var got []string
		for _, word := range strings.Split(shell("bash", "-c", ask+tt.press), "\n") {
			if word == "end" {
				break
			}
			word, _, _ = strings.Cut(strings.TrimSpace(word), " ")
			got = append(got, word)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.press, got, tt.want)
		}
	}
	// The scripts are of the shell's own syntax, where the shell is there.
	for name, check := range map[string][]string{"zsh": {"-n"}, "fish": {"--no-execute"}} {
		script := filepath.Join(dir, name+".completion")
		if err := os.WriteFile(script, []byte(shell("wrapp", "completion", name)), 0o600); err != nil {
			t.Fatal(err)
		}
		if path, err := exec.LookPath(name); err == nil {
			shell(path, append(check, script)...)
		}
	}
}

// lookIn returns the program in dir, if it is there, else name.
func lookIn(dir, name string) string {
	if file := filepath.Join(dir, name); exists(file) {
		return file
	}
	return name
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
