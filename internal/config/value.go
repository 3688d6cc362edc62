package config

import (
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// mask replaces a secret wherever one would be shown. Its length is always the same.
const mask = "********"

// Secret is a string that every format, log and encoding shows as a mask; an empty one
// shows as empty. Only Reveal returns the text.
type Secret string

// Reveal returns the text itself. The caller hands it to Redis and to nothing else.
func (s Secret) Reveal() string { return string(s) }

// String returns the mask, or "" when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString is String, so that %#v hides the text as well.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue is String, so that no handler of log/slog sees the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, so that no encoder writes the text. There is no error.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a length of time in nanoseconds, written as "10s" or "1m30s".
type Duration time.Duration

// String returns the shortest text that UnmarshalText reads back.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText is String. There is no error.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a number with a unit (ns, us, ms, s, m, h), or several in a row. The
// error says what is allowed, for this type and the others.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(`must be a number with a unit, such as "500ms", "10s" or "1m30s"` + insteadOf(string(text)))
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written plainly or with a unit, such as "64KiB".
type Size int64

// sizeUnits are the units of a Size. Those that String uses come largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"B", 1},
}

// String returns the number in the largest of GiB, MiB and KiB that divides it,
// else in bytes without a unit.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText is String. There is no error.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number with or without a unit: KiB, MiB and GiB
// are powers of 1024, KB, MB and GB of 1000, in capital or small letters.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range sizeUnits {
		cut := len(number) - len(u.name)
		if cut > 0 && strings.EqualFold(number[cut:], u.name) {
			number, factor = strings.TrimSpace(number[:cut]), u.bytes
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > math.MaxInt64/factor {
		return errors.New(`must be a number of bytes, such as 512, "64KiB" or "10MB"` + insteadOf(string(text)))
	}
	*s = Size(v * factor)
	return nil
}

// insteadOf returns ", not" and s in quotes, or "" if s may be a password in the wrong
// place. It shows only short values: numbers with or without a unit, and names in capitals.
func insteadOf(s string) string {
	const most = 12 // bytes
	unit := strings.TrimLeft(s, "+-.0123456789")
	number := len(unit) < len(s) && len(strings.TrimPrefix(unit, " ")) <= len("KiB")
	if len(s) > most || !number && unit != strings.ToUpper(unit) || strings.ContainsFunc(unit, func(r rune) bool { return !unicode.IsLetter(r) && r != ' ' }) {
		return ""
	}
	return ", not " + strconv.Quote(s)
}
