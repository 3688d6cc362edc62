package command

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// A speaker is a slog.Handler for people: one line an event,
//
//	wrapp: warning: redis is away: dial tcp 127.0.0.1:6379: connection refused
//
// An attribute called error follows a colon, others follow as name=value.
type speaker struct {
	w     io.Writer
	mu    *sync.Mutex
	tool  string
	level slog.Level
	attrs []slog.Attr
}

func newSpeaker(w io.Writer, tool string, verbose bool) *speaker {
	s := &speaker{w: w, mu: new(sync.Mutex), tool: tool}
	if verbose {
		s.level = slog.LevelDebug
	}
	return s
}

func (s *speaker) Enabled(_ context.Context, level slog.Level) bool { return level >= s.level }

func (s *speaker) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(s.tool + ": ")
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(r.Message)
	say := func(a slog.Attr) bool {
		if a.Key == "error" {
			b.WriteString(": " + a.Value.String())
		} else {
			b.WriteString(" " + a.Key + "=" + a.Value.String())
		}
		return true
	}
	for _, a := range s.attrs {
		say(a)
	}
	r.Attrs(say)
	line := strings.ReplaceAll(b.String(), "\n", "; ") + "\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := io.WriteString(s.w, line)
	return err
}

func (s *speaker) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *s
	with.attrs = append(append([]slog.Attr(nil), s.attrs...), attrs...)
	return &with
}

// WithGroup is not used here: names stay as they are.
func (s *speaker) WithGroup(string) slog.Handler { return s }
