package address

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "a.b-c_d": true, "127.0.0.1": true, "::1": true, "fe80::1%eth0": true, strings.Repeat("a", 253): true,
		"": false, "[::1]": false, "a:1": false, "-a": false, ".a": false, "a b": false, "é": false, "a\x00": false, strings.Repeat("a", 254): false,
	} {
		if IsHost(host) != want {
			t.Errorf("%q is a host: %v", host, !want)
		}
	}
	for text, want := range map[string]bool{
		"h:1": true, "[::1]:65535": true, "h": false, ":1": false, "h:": false, "h:0": false, "h:65536": false, "::1:80": false, "h:+1": false,
	} {
		if IsHostPort(text) != want {
			t.Errorf("%q is an address: %v", text, !want)
		}
	}
}
