package command

import (
	"errors"
	"strconv"
	"strings"
)

// A flagSet reads the flags of a command line as Go's package flag does, and says what
// is wrong in the same words: -name VALUE, -name=VALUE, with one dash or two, up to the
// first word that is none, or behind --. The zero value has no flags.
type flagSet struct {
	flags []oneFlag
	args  []string // what is behind the flags
}

type oneFlag struct {
	name  string
	alone string
	set   func(string) error
}

// Func adds a flag that is set by a function. alone is what the flag is set to where it
// comes without =VALUE; "" if it needs one, which may be the next word then.
func (f *flagSet) Func(name, alone string, set func(string) error) {
	f.flags = append(f.flags, oneFlag{name, alone, set})
}

// Arg is the word at i behind the flags, "" if there is none.
func (f *flagSet) Arg(i int) string {
	if i >= len(f.args) {
		return ""
	}
	return f.args[i]
}

var errHelp = errors.New("flag: help requested")

// Parse sets flags in the order of args, the command line without the command. The error
// is errHelp for a flag of help that is not one of the set.
func (f *flagSet) Parse(args []string) error {
	for f.args = args; len(f.args) > 0; {
		word := f.args[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		f.args = f.args[1:]
		if word == "--" {
			break
		}
		name, value, valued := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		if name == "" || name[0] == '-' {
			return errors.New("bad flag syntax: " + word)
		}
		if err := f.set(name, value, valued); err != nil {
			return err
		}
	}
	return nil
}

func (f *flagSet) set(name, value string, valued bool) error {
	for _, known := range f.flags {
		if known.name != name {
			continue
		}
		which := "value "
		of := " for flag -"
		switch {
		case known.alone != "":
			which, of = "boolean value ", " for -"
			if !valued {
				value = known.alone
			}
		case !valued && len(f.args) == 0:
			return errors.New("flag needs an argument: -" + name)
		case !valued:
			value, f.args = f.args[0], f.args[1:]
		}
		if err := known.set(value); err != nil {
			return errors.New("invalid " + which + strconv.Quote(value) + of + name + ": " + err.Error())
		}
		return nil
	}
	if name == "help" || name == "h" {
		return errHelp
	}
	return errors.New("flag provided but not defined: -" + name)
}

// What Func takes for values of the usual types.

func text(to *string) func(string) error {
	return func(s string) error {
		*to = s
		return nil
	}
}

func truth(to *bool) func(string) error {
	return func(s string) (err error) {
		*to, err = strconv.ParseBool(s)
		return problem(err)
	}
}

func number(to *int) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 0, strconv.IntSize)
		*to = int(n)
		return problem(err)
	}
}

// problem is what a function of strconv found, shorter.
func problem(err error) error {
	switch {
	case errors.Is(err, strconv.ErrRange):
		return errors.New("value out of range")
	case err != nil:
		return errors.New("parse error")
	}
	return nil
}

func unmarshal(to interface{ UnmarshalText([]byte) error }) func(string) error {
	return func(s string) error { return to.UnmarshalText([]byte(s)) }
}
