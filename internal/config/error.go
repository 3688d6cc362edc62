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
	File string // as it was given; "" when it is not about a file of ours
	Line int    // 1 is the first; 0 when it is not known
	Key  string // the whole name, such as redis.port; "" when it is not about a key
	Msg  string // what is wrong
	Hint string // what to do about it; may be ""
}

// Error returns file, line, key, message and hint on one line, leaving out what
// is not known.
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

// Errors is everything that was found wrong, in the order of the file, up to a
// limit of which the last one then tells. It is never empty where it is returned
// as an error; errors.As finds its *Error.
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

// maxErrors bounds how many problems are told: of a file that is something else
// altogether, more would not help.
const maxErrors = 50

// full says that there are enough, and one over to know of more.
func (e Errors) full() bool { return len(e) > maxErrors }

// add notes a problem of a key, unless the key already has one, which then is the
// cause, or there are enough.
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

// place gives every error the file, and the line of its key where it has none.
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

// reason returns why a file cannot be had, without its name, which the message
// around it says already. Of a file that may not be read it says whose it is and who we are.
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
