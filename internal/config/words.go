package config

import (
	"errors"
	"strings"
)

// Words splits a command line into words as a shell would as far as blanks,
// quotes and backslashes go: '…' is as it stands, in "…" and outside a backslash
// takes the next character as it is. There are no variables and no patterns.
func Words(line string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		in    bool // in a word, which may be empty: ''
		quote rune // the quotes we are in, or 0
		taken bool // behind a backslash
	)
	for _, c := range line {
		switch {
		case taken:
			word.WriteRune(c)
			taken = false
		case c == '\\' && quote != '\'':
			taken, in = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case quote == 0 && strings.ContainsRune(" \t\r\n", c):
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteRune(c)
			in = true
		}
	}
	if quote != 0 || taken {
		return nil, errors.New("a quote or a backslash has nothing to end it")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
