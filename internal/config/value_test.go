package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/eventlog"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"10s": 10 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "0": 0, "-1s": -time.Second, "1.5h": 90 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "10", "10 s", "ten", "1d", "9999999999h"} {
		d := Duration(7)
		const want = `must be a number with a unit, such as "500ms", "10s" or "1m30s"`
		if err := d.UnmarshalText([]byte(text)); err == nil || err.Error() != want+insteadOf(text) || d != 7 {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text  string
		want  Size
		again string
	}{
		{"0", 0, "0"},
		{"512", 512, "512"},
		{"512B", 512, "512"},
		{"1024", 1024, "1KiB"},
		{"64KiB", 64 << 10, "64KiB"},
		{"64 kib", 64 << 10, "64KiB"},
		{"64KB", 64000, "64000"},
		{"10MiB", 10 << 20, "10MiB"},
		{"1024MiB", 1 << 30, "1GiB"},
		{"2GB", 2e9, "1953125KiB"},
		{"3GiB", 3 << 30, "3GiB"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
		{"9223372036854775807", 9223372036854775807, "9223372036854775807"},
	} {
		var s Size
		if err := s.UnmarshalText([]byte(row.text)); err != nil || s != row.want || s.String() != row.again {
			t.Errorf("%s: %d, %s, %v", row.text, s, s, err)
		}
	}
	for _, text := range []string{"", "KiB", "B", "-1", "1.5GiB", "64K", "0x10", "8589934592GiB", "9223372036854775808", "1 2KB", "KiBKiB"} {
		s := Size(7)
		const want = `must be a number of bytes, such as 512, "64KiB" or "10MB"`
		if err := s.UnmarshalText([]byte(text)); err == nil || err.Error() != want+insteadOf(text) || s != 7 {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text  string
		want  Signal
		again string
	}{
		{"SIGTERM", 15, "SIGTERM"},
		{"TERM", 15, "SIGTERM"},
		{"sigusr1", 10, "SIGUSR1"},
		{"15", 15, "SIGTERM"},
		{"1", 1, "SIGHUP"},
		{"32", 32, "32"},
		{"SIGRTMIN", 34, "SIGRTMIN"},
		{"34", 34, "SIGRTMIN"},
		{"RTMIN+3", 37, "SIGRTMIN+3"},
		{"SIGRTMIN+30", 64, "SIGRTMIN+30"},
		{"SIGRTMAX", 64, "SIGRTMIN+30"},
		{"SIGRTMAX-1", 63, "SIGRTMIN+29"},
		{"64", 64, "SIGRTMIN+30"},
	} {
		var s Signal
		if err := s.UnmarshalText([]byte(row.text)); err != nil || s != row.want || s.String() != row.again {
			t.Errorf("%s: %d, %s, %v", row.text, s, s, err)
		}
	}
	for _, text := range []string{"", "SIG", "SIGSIGTERM", "0", "65", "-15", "256", "SIGRTMIN+31", "SIGRTMIN-1", "SIGRTMAX-31", "SIGRTMIN+", "SIGRTMIN++1", "TERM "} {
		s := Signal(7)
		const want = `must be a signal, such as "SIGTERM", "SIGRTMIN+3" or a number from 1 to 64`
		if err := s.UnmarshalText([]byte(text)); err == nil || err.Error() != want+insteadOf(text) || s != 7 {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

// TestShown: errors do not show a value that may be a password.
func TestShown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10": `, not "10"`, "64K": `, not "64K"`, "-1": `, not "-1"`, "": `, not ""`, "SIGFOO": `, not "SIGFOO"`, "10 s": `, not "10 s"`,
		"s3cretPW": "", "Secret": "", "secret": "", "redis://:x@h": "", "1234567890123": "", "12ab34": "", "12\n": "",
	} {
		if got := insteadOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// canary is the secret of these tests: no output may have it.
const canary = "c4n4ry"

// TestSecretsStayInside prints whole configurations in every way.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Redis.Password = canary
	c.Redis.URL = "rediss://user:" + canary + "@host:6380"
	c.Redis.Sentinel = &Sentinel{Password: canary}
	bad := *c
	bad.Redis.URL = "user:" + canary + "@host"

	for _, c := range []*Config{c, &bad} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			for _, v := range []any{*c, c, c.Redis, &c.Redis, *c.Redis.Sentinel, c.Redis.Sentinel} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
			fmt.Fprintf(&out, verb+"\n"+verb+"\n", c.Redis.URL, c.Redis.Password)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("x", "config", c, "password", c.Redis.Password, "url", c.Redis.URL)
		}
		eventlog.New(&out, "wrapp", true).Info("x", "config", c, "password", c.Redis.Password, "url", c.Redis.URL)
		if err := json.NewEncoder(&out).Encode(c); err != nil {
			t.Error(err)
		}
		if err := c.Write(&out); err != nil {
			t.Error(err)
		}
		for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
			if i := strings.Index(out.String(), form); i >= 0 {
				t.Errorf("shown: …%s…", out.String()[max(i-80, 0):i+len(form)])
			}
		}
	}
	if c.Redis.Password.Reveal() != canary || !strings.Contains(c.Redis.URL.Reveal(), canary) {
		t.Error("Reveal does not give the text")
	}
	if s := fmt.Sprint(Secret(""), URL("")); s != "" {
		t.Errorf("empty ones show as %q", s)
	}
}

// TestErrorsShowNoSecret puts the canary into places where a user might by mistake.
func TestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"[redis]\npassword = c4n4ry\n",
		"[redis]\npassword = 'c4n4ry\n",
		"[redis]\npassword = \"c4n4ry\\q\"\n",
		"[redis]\npassword = ['c4n4ry']\n",
		"[redis]\npassword = {c4n4ry = 'c4n4ry'}\n",
		"[redis]\npassword.x = 'c4n4ry'\n",
		"[redis]\npasswrd = 'c4n4ry'\n",
		"[redis]\npassword = 'c4n4ry' c4n4ry\n",
		"[redis]\npassword = 'c4n4ry'\npassword = 'c4n4ry'\n",
		"[redis]\npassword = 'c4n4ry'\nsecrets_dir = 'x'\n",
		"[redis]\nurl = 'redis://u:c4n4ry@h/3'\n",
		"[redis]\nurl = 'redis://u:c4n4ry/@h'\n",
		"[redis]\nurl = 'redis://u:c4n4ry#@h'\n",
		"[redis]\nurl = 'redis://u:%zzc4n4ry@h'\n",
		"[redis]\nurl = 'u:c4n4ry@h'\n",
		"[redis]\nurl = 'http://u:c4n4ry@h'\n",
		"[redis]\nurl = 'redis://u:c4n4ry@h'\nhost = 'h'\nusername = 'u'\n",
		"[redis]\nhost = 'redis://u:c4n4ry@h'\n",
		"[redis]\nsocket = 'unix://u:c4n4ry@h'\nurl='x'\n",
		"[redis.sentinel]\nmaster = 'm'\naddrs = ['u:c4n4ry@h:1']\n",
		"[redis.sentinel]\nmaster = 'm'\naddrs = []\npassword = 'c4n4ry'\npassword_file = 'x'\n",
		"[health.pools.a]\ncap = 1\nbeat = ['http://u:c4n4ry@h']\n",
		"[app]\nargs = ['c4n4ry', 1]\nenv = {A = 'c4n4ry', B = 1}\n",
		`{"redis": {"password": c4n4ry}}`,
		`{"redis": {"password": "c4n4ry}}`,
		`{"redis": {"password": "c4n4ry\q"}}`,
		`{"redis": {"password": ["c4n4ry"]}}`,
		`{"redis": {"password": "c4n4ry" "c4n4ry"}}`,
		`{"redis": {"password": "c4n4ry", "password": "c4n4ry"}}`,
		`{"redis": {"passwrd": "c4n4ry"}} c4n4ry`,
	} {
		_, err := parse("x", []byte(data))
		if err == nil {
			t.Errorf("%s\nis no error", data)
		} else if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "'c'") || strings.Contains(fmt.Sprintf("%+v %#v", err, err), canary) {
			t.Errorf("%s\nshown: %v", data, err)
		}
	}
}
