package config

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/lpportorino/jettison-base-images/internal/access"
)

// Error is one thing that is wrong with the configuration. It never holds a
// secret, nor any line of the file.
type Error struct {
	File string // as it was given; "": it is not about a configuration file
	Line int    // counted from 1; 0: not known
	Key  string // the whole name, such as redis.port; "": it is not about a key
	Msg  string // what is wrong
	Hint string // what to do about it; may be ""
}

// Error returns file, line, key, message and hint on one line, without those that are not
// known.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			b.WriteString(":" + strconv.Itoa(e.Line))
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, b.String())
}

// Errors is all mistakes in the order of the file, up to maxErrors; the last one then says
// that there are more. As an error it is never empty. errors.As finds its *Error.
type Errors []*Error

// Error returns one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each *Error, for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// maxErrors bounds the reported problems: more do not help, for instance with a file that is
// no configuration at all.
const maxErrors = 50

// full reports whether there are maxErrors problems, and one more.
func (e Errors) full() bool { return len(e) > maxErrors }

// add records a problem of a key, unless e is full or the key already has one, which then is
// the cause.
func (e *Errors) add(key, msg, hint string) {
	if e.full() {
		return
	}
	for _, one := range *e {
		if one.Key == key && one.Msg != twice {
			return
		}
	}
	*e = append(*e, &Error{Key: key, Msg: msg, Hint: hint})
}

// err returns the errors in the order of the file, or nil when there are none.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	if e.full() {
		e[maxErrors] = &Error{File: e[0].File, Msg: "more is wrong than these " + strconv.Itoa(maxErrors)}
		e = e[:maxErrors+1]
	}
	return e
}

// place sets the file of every error, and the line of those that have none.
func (e Errors) place(file string, lines map[string]int) {
	for _, one := range e {
		one.File = file
		if one.Line == 0 {
			one.Line = lineOf(one.Key, lines)
		}
	}
}

// lineOf returns the line of a key, or of the nearest table around it that
// stands in the file, or 0.
func lineOf(key string, lines map[string]int) int {
	for key != "" {
		if line := lines[key]; line > 0 {
			return line
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 0
}

// reason returns why a file cannot be opened or read, without its name, which the message
// around it has already. If the cause is its permissions, reason adds access.Blame.
func reason(err error) string {
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err.Error()
	}
	if why := access.Blame(path.Path); why != "" && errors.Is(err, fs.ErrPermission) {
		return path.Err.Error() + " (" + why + ")"
	}
	return path.Err.Error()
}
