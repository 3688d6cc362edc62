package config

import (
	"log/slog"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/address"
)

// URL is the text of redis.url. Every format, log and encoding shows it with its password
// masked; only Reveal returns the text.
type URL string

// Reveal returns the text itself, with the password. The caller hands it to Redis and to
// nothing else. Most callers need only Redis.Address and Redis.Credentials.
func (u URL) Reveal() string { return string(u) }

// String returns the text with the password masked. If it is no URL, all of it is masked.
func (u URL) String() string { return maskURL(string(u)) }

// GoString is String, so that %#v hides the password as well.
func (u URL) GoString() string { return strconv.Quote(u.String()) }

// LogValue is String, so that no handler of log/slog sees the password.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText is String, so that no encoder writes the password. There is no error.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// A redisURL is a parsed redis.url.
type redisURL struct {
	network string // "tcp" or "unix"
	address string // for net.Dial
	host    string // "" for a Unix socket
	tls     bool
	user    *url.Userinfo // user: nil if the URL names no user
}

// parseURL parses raw, or returns what is wrong with it. problem quotes nothing of raw, which
// may have a password in an unexpected place; the error of url.Parse would.
func parseURL(raw URL) (u redisURL, problem string) {
	const form = "must be redis://host:port, rediss://host:port or unix:///path"
	p, err := url.Parse(raw.Reveal())
	if err != nil {
		return u, form + "; special characters of a password stand in it as %XX"
	}
	u.user = p.User
	if u.user != nil {
		if _, said := u.user.Password(); !said { // redis://secret@host, as redis-cli reads it
			u.user = url.UserPassword("", u.user.Username())
		}
	}
	if p.RawQuery != "" || p.ForceQuery || p.Fragment != "" {
		return u, form + " without ? and #; in a password they stand as %3F and %23"
	}
	switch p.Scheme {
	case "unix":
		if p.Host != "" || !strings.HasPrefix(p.Path, "/") || path.Clean(p.Path) == "/" || strings.Contains(p.Path, "\x00") {
			return u, "must have the whole path of the socket: unix:///path"
		}
		u.network, u.address = "unix", p.Path
		return u, ""
	case "redis", "rediss":
		u.tls = p.Scheme == "rediss"
	default:
		return u, form
	}
	if strings.Trim(p.Path, "/") != "" {
		return u, "must end after the port: what stands behind the / elsewhere, the number of a database, is redis.logs_db and redis.values_db here"
	}
	port := p.Port()
	if port == "" {
		port = "6379"
	}
	if !address.IsHost(p.Hostname()) || !address.IsPort(port) {
		return u, form
	}
	u.network, u.host = "tcp", p.Hostname()
	u.address = net.JoinHostPort(u.host, port)
	return u, ""
}

func maskURL(raw string) string {
	if raw == "" {
		return ""
	}
	u, problem := parseURL(URL(raw))
	if problem != "" {
		return mask
	}
	if password, _ := u.user.Password(); password == "" {
		return raw
	}
	// The text is cut by hand, because url.URL would write the mask as %2A.
	start := strings.Index(raw, "//") + 2
	end := len(raw)
	if i := strings.IndexAny(raw[start:], "/?#"); i >= 0 {
		end = start + i
	}
	at := start + strings.LastIndexByte(raw[start:end], '@')
	if i := strings.IndexByte(raw[start:at], ':'); i >= 0 {
		start += i + 1
	}
	return raw[:start] + mask + raw[at:]
}
