package beat

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
)

func validExec(target string) bool {
	command, _, err := words(strings.TrimPrefix(target, "exec:"))
	return err == nil && len(command) > 0 && command[0] != "" && !strings.Contains(target, "\x00")
}

// probeExec runs a command, which succeeds with exit status 0.
func probeExec(ctx context.Context, target string, app App) error {
	command, err := Command(target)
	if err != nil {
		return err
	}
	return app.Exec(ctx, command)
}

// Command returns the words of an exec: source.
func Command(source string) ([]string, error) {
	command, _, err := words(strings.TrimPrefix(source, "exec:"))
	return command, err
}

// ShellSign returns the first character in the command of an exec: source that only a shell
// would obey, or "" if there is no such character or the command is a shell.
func ShellSign(source string) string {
	line, ok := strings.CutPrefix(source, "exec:")
	command, sign, err := words(line)
	if !ok || err != nil || len(command) == 0 || slices.Contains(shells, path.Base(command[0])) {
		return ""
	}
	return sign
}

// shells are programs that obey the signs themselves.
var shells = []string{"sh", "ash", "bash", "dash", "zsh", "ksh", "busybox", "fish"}

// words splits a command line into words by blanks, quotes and backslashes, as a shell
// would: '…' is literal; in "…" and outside quotes a backslash makes the next character
// literal. There are no variables, patterns or operators: sign is the first character that
// would begin one in a shell.
func words(line string) (all []string, sign string, err error) {
	var (
		word    strings.Builder
		in      bool // in: inside a word, which may be empty: ''
		quote   rune // quote: the quotes that are open, or 0
		escaped bool // escaped: a backslash came before
	)
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case quote == 0 && strings.ContainsRune(" \t\r\n", c):
			if in {
				all = append(all, word.String())
				word.Reset()
				in = false
			}
		default:
			expands := quote != '\'' && (c == '$' || c == '`')
			operates := quote == 0 && (strings.ContainsRune("|&;<>*", c) || c == '~' && !in)
			if sign == "" && (expands || operates) {
				sign = string(c)
			}
			word.WriteRune(c)
			in = true
		}
	}
	if quote != 0 || escaped {
		return nil, "", errors.New("a quote is not closed, or a backslash ends the command")
	}
	if in {
		all = append(all, word.String())
	}
	return all, sign, nil
}
