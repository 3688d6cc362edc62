// Package eventlog is how wrapp speaks to people: one line an event,
//
//	wrapp: warning: redis is away: dial tcp 127.0.0.1:6379: connection refused
package eventlog

import (
	"io"
	"strconv"
	"strings"
	"sync"
)

// A Logger writes one line an event, each in one Write. Many goroutines may use it at a
// time. A nil one and the zero one say nothing.
//
// After the message come pairs of a name, which is a string, and a value. The value of
// one called error follows a colon, others follow as name=value. Nothing is quoted; a
// line break is shown as "; ". Values are strings, integers, truths, errors and what
// has a String method, which is what hides a secret. Anything else shows as "?":
// looking into it could bring out a secret that it holds.
type Logger struct {
	mu      sync.Mutex
	w       io.Writer
	tool    string
	verbose bool
}

// New returns a Logger that writes to w lines that begin with the tool's name. Only a
// verbose one says what Debug is told. What w returns as an error is lost.
func New(w io.Writer, tool string, verbose bool) *Logger {
	return &Logger{w: w, tool: tool, verbose: verbose}
}

// Debug tells what helps to find a fault, with no word before it.
func (l *Logger) Debug(msg string, pairs ...any) {
	if l != nil && l.verbose {
		l.say("", msg, pairs)
	}
}

// Info tells what happened, with no word before it.
func (l *Logger) Info(msg string, pairs ...any) { l.say("", msg, pairs) }

// Warn tells, as a warning, what may need someone to look.
func (l *Logger) Warn(msg string, pairs ...any) { l.say("warning: ", msg, pairs) }

// Error tells, as an error, what could not be done.
func (l *Logger) Error(msg string, pairs ...any) { l.say("error: ", msg, pairs) }

func (l *Logger) say(level, msg string, pairs []any) {
	if l == nil || l.w == nil {
		return
	}
	line := l.tool + ": " + level + msg
	for i, p := range pairs {
		switch shown := text(p); {
		case i%2 == 1:
			line += shown
		case shown == "error":
			line += ": "
		default:
			line += " " + shown + "="
		}
	}
	line = strings.ReplaceAll(line, "\n", "; ") + "\n"
	l.mu.Lock()
	defer l.mu.Unlock()
	io.WriteString(l.w, line)
}

func text(value any) string {
	switch v := value.(type) {
	case nil:
		return "<nil>"
	case error:
		return v.Error()
	case interface{ String() string }:
		return v.String()
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return "?"
}
