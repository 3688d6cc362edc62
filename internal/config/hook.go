package config

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/health/beat"
)

// Hook is a command or URL to call. Every format, log and encoding shows only the host of a
// URL, because the path of a webhook is its password; only Reveal returns the text.
type Hook string

// Reveal returns the text itself, with its secrets. The caller must not print it.
func (h Hook) Reveal() string { return string(h) }

// String returns the text with the path and query of a URL masked. If it is neither a URL
// nor a command, all of it is masked.
func (h Hook) String() string {
	if h == "" || strings.HasPrefix(string(h), "exec:") {
		return string(h)
	}
	u, err := url.Parse(string(h))
	if err != nil || !beat.IsHTTP(string(h)) || u.User != nil {
		return mask
	}
	host := u.Scheme + "://" + u.Host
	if rest := strings.TrimPrefix(string(h), host); rest == "" || rest == "/" {
		return string(h)
	}
	return host + "/" + mask
}

// GoString is String, so that %#v hides the path as well.
func (h Hook) GoString() string { return strconv.Quote(h.String()) }

// LogValue is String, so that no handler of log/slog sees the path.
func (h Hook) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalText is String, so that no encoder writes the path. There is no error.
func (h Hook) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// all returns the hooks with their keys.
func (h *Hooks) all() []struct {
	key    string
	target Hook
} {
	return []struct {
		key    string
		target Hook
	}{
		{"hooks.crash", h.Crash}, {"hooks.depleted", h.Depleted}, {"hooks.gave_up", h.GaveUp}, {"hooks.dropped", h.Dropped},
	}
}
