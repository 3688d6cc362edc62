// Package address checks the text of hosts and ports, before anything is dialled.
package address

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// IsURL reports whether s looks like a URL. A message must not show it, because it may have a
// password in it.
func IsURL(s string) bool { return strings.Contains(s, "://") }

// IsHost reports whether s may be a host name or is an IP address.
func IsHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return s != "" && len(s) <= 253 && s[0] != '-' && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r)
	})
}

// IsHostPort reports whether s is host:port, with an IPv6 address in brackets.
func IsHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && IsHost(host) && IsPort(port)
}

// IsPort reports whether s is a number from 1 to 65535.
func IsPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
