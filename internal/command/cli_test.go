package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/run"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// definitions returns the command lines of the tools.
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

// TestComplain: an error and its hint may quote what another writer of this Redis has written.
func TestComplain(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	complain(&out, "wrapp", &usageError{"read logs:app:\x1b[2J:crash\nand more", "there are \x07"})
	if want := "wrapp: error: read logs:app:?[2J:crash\nwrapp: error: and more\nwrapp: hint: there are ?\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestCompletion has the shells complete half-typed command lines.
func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"wrapp", "jettison_health"} {
		script := "#!/bin/sh\nexec env " + beWrapp + "=" + tool + " " + self + ` "$@"` + "\n"
		if err := redistest.WriteProgram(filepath.Join(dir, tool), []byte(script)); err != nil {
			t.Fatal(err)
		}
	}
	shell := func(name string, args ...string) string {
		cmd := exec.Command(programIn(dir, name), args...)
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
	// Each installed shell accepts the syntax of its script.
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

// programIn returns the program's path in dir, if it exists there, else name.
func programIn(dir, name string) string {
	if file := filepath.Join(dir, name); exists(file) {
		return file
	}
	return name
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
