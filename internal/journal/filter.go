package journal

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Filter selects lines. The zero Filter selects all.
type Filter struct {
	Level loglevel.Level // this or worse; a line that states none counts as INFO
	Grep  *regexp.Regexp // matches the line as printed, without its first columns

	Source string // "stdout" or "stderr": only the app's lines there; "": both, and wrapp's own

	body []byte // body: scratch buffer for a line
}

// Wants reports whether the Filter selects the line.
func (f *Filter) Wants(l *Line) bool {
	if f.Source != "" && (l.Stream != logstream.Info || l.runMarker || l.source() != f.Source) {
		return false
	}
	level := l.Level
	if level == loglevel.None {
		level = loglevel.Info
	}
	if level < f.Level || f.Grep == nil {
		return level >= f.Level
	}
	f.body = l.appendBody(f.body[:0], "", "")
	return f.Grep.Match(f.body)
}

// Select removes unwanted lines, in place.
func (f *Filter) Select(lines []Line) []Line {
	kept := lines[:0]
	for i := range lines {
		if f.Wants(&lines[i]) {
			kept = append(kept, lines[i])
		}
	}
	return kept
}

// All reports whether the Filter selects every line.
func (f *Filter) All() bool { return f.Level == loglevel.None && f.Grep == nil && f.Source == "" }

// layouts are the accepted forms of a time with its date.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// ParseTime parses a time, a time of today, or a time before now: 90s, 10m, 1h30m, 2d.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 15); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, errors.New("must be a time or how long ago it was: 10m, 2d, 20:15 or \"2006-01-02 15:04:05\"")
}
