package journal

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/pattern"
)

// A Filter says which lines a person wants. The zero Filter wants all.
type Filter struct {
	Level entry.Level      // this or worse; a line that states none counts as INFO
	Grep  *pattern.Pattern // found in the line as it is printed, without its first columns

	body []byte // room for a line
}

// Wants reports whether the line is wanted.
func (f *Filter) Wants(l *Line) bool {
	level := l.Level
	if level == entry.NoLevel {
		level = entry.Information
	}
	if level < f.Level || f.Grep == nil {
		return level >= f.Level
	}
	f.body = l.appendBody(f.body[:0], "", "")
	return f.Grep.Match(f.body)
}

// Keep keeps the lines that are wanted, in place.
func (f *Filter) Keep(lines []Line) []Line {
	kept := lines[:0]
	for i := range lines {
		if f.Wants(&lines[i]) {
			kept = append(kept, lines[i])
		}
	}
	return kept
}

// All reports whether every line is wanted.
func (f *Filter) All() bool { return f.Level == entry.NoLevel && f.Grep == nil }

// layouts are how a person writes a time.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// ParseSince reads a time, or a time of today, or how long ago it was: 90s, 10m,
// 1h30m, 2d.
func ParseSince(s string, now time.Time) (time.Time, error) {
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
	return time.Time{}, fmt.Errorf("no time: %q (want 10m, 2d, 20:15 or 2006-01-02 15:04:05)", s)
}
