// Package eventlog writes wrapp's messages to people, one line an event,
//
//	wrapp: warning: redis is away: dial tcp 127.0.0.1:6379: connection refused
//
// It is a handler for log/slog.
package eventlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// New returns a Logger that writes to w one line an event, each in one Write. A line
// begins with the tool's name. The attribute called error follows a colon, others follow
// as name=value. Nothing is quoted; a line break is shown as "; ". Only a verbose Logger
// writes debug events. Errors of w are lost.
func New(w io.Writer, tool string, verbose bool) *slog.Logger {
	h := &handler{mu: new(sync.Mutex), w: w, tool: tool, least: slog.LevelInfo}
	if verbose {
		h.least = slog.LevelDebug
	}
	return slog.New(h)
}

type handler struct {
	mu     *sync.Mutex // mu: one Write at a time, shared with the handlers made from this one
	w      io.Writer
	tool   string
	least  slog.Level
	attrs  string // attrs: text of the attributes of WithAttrs
	prefix string // prefix: groups of WithGroup, "a.b."
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(h.tool + ": ")
	switch {
	case r.Level >= slog.LevelError:
		line.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		line.WriteString("warning: ")
	}
	line.WriteString(r.Message + h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		show(&line, h.prefix, a)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, Harmless(strings.ReplaceAll(line.String(), "\n", "; "))+"\n")
	return err
}

// Harmless returns text with "?" for control characters other than tabs: an error may name a key
// that another writer of this Redis has chosen, and that could command a terminal.
func Harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '?'
		}
		return r
	}, text)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var shown strings.Builder
	for _, a := range attrs {
		show(&shown, h.prefix, a)
	}
	with := *h
	with.attrs += shown.String()
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix += name + "."
	return &with
}

// show appends an attribute. Errors and values with a String method show their own text. Any
// other value outside slog's kinds shows as "?", because fmt prints unexported fields, which
// may hold a secret.
func show(line *strings.Builder, prefix string, a slog.Attr) {
	if a.Equal(slog.Attr{}) {
		return
	}
	value := a.Value.Resolve()
	var text string
	switch value.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, a := range value.Group() {
			show(line, prefix, a)
		}
		return
	case slog.KindAny:
		switch v := value.Any().(type) {
		case nil, error, fmt.Stringer:
			text = fmt.Sprint(v)
		default:
			text = "?"
		}
	default:
		text = value.String()
	}
	if name := prefix + a.Key; name == "error" {
		line.WriteString(": " + text)
	} else {
		line.WriteString(" " + name + "=" + text)
	}
}
