package crash

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	const cwd = "/srv/app"
	for _, tt := range []struct {
		text    string
		usesPID bool
		dir     string // of the cores, if the app works in cwd
		fits    string // blank-separated
		fitsNot string
	}{
		{"core", false, cwd, "core", "core.1 Core score cores"},
		{"core", true, cwd, "core.1 core.4711", "core score.1"},
		{"core.%p", true, cwd, "core.1", "core core-1"},
		{"core.%P", true, cwd, "core.77.78", "core.77 core"},
		{"/cores/core.%p", false, "/cores", "core.1", "core"},
		{"/var/tmp//./%e-%E-%p-%P-%t-%s-%u-%g-%d-%h-%i-%I-%c-%f", false, "/var/tmp", "app-!usr!bin!app-1-2-3-4-5-6-7-h-8-9-0-app", "app-1-2"},
		{"sub/dir/core", false, cwd + "/sub/dir", "core", "core.1"},
		{"../up/core", false, "/srv/up", "core", ""},
		{"%e%p", false, cwd, "app1 x", ""},
		{"%Z.core", false, cwd, ".core what.core", "core what.cor"},
		{"100%%.%p", false, cwd, "100%.12", "100.12 100%%.12"},
		{"core%", false, cwd, "core", "core% core1"},
		{"core %p", false, cwd, "", "core"},
		{"a%pa%pa", false, cwd, "aaa a1a2a", "aa a1a"},
		{"/cores/[core]?*", false, "/cores", "[core]?*", "c?* [core]x1"},
		{`\%p\*`, false, cwd, `\1\*`, `1* \1\2`},
	} {
		p := parsePattern(tt.text, tt.usesPID)
		places := p.places([]string{cwd})
		if !p.toFile() || len(places) != 1 || places[0] != tt.dir || p.without() != "" {
			t.Errorf("%q: in %q, want %q", tt.text, places, tt.dir)
		}
		for _, n := range strings.Fields(tt.fits) {
			if !matches(t, p.name, n) {
				t.Errorf("%q: %s does not fit", tt.text, n)
			}
		}
		for _, n := range strings.Fields(tt.fitsNot) {
			if matches(t, p.name, n) {
				t.Errorf("%q: %s fits", tt.text, n)
			}
		}
	}
}

func TestPatternElsewhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, handler, socket, says string }{
		{"|/usr/share/apport/apport -p%p -- %E", "/usr/share/apport/apport", "", "sysctl -w kernel.core_pattern=/tmp/core.%p, after systemctl disable --now apport"},
		{"|/bin/true", "/bin/true", "", "sysctl -w kernel.core_pattern="},
		{"@/run/cores.sock", "", "/run/cores.sock", "the socket /run/cores.sock"},
		{"@@/run/cores.sock", "", "/run/cores.sock", "the socket /run/cores.sock"},
		{"", "", "", "empty"},
	} {
		p := parsePattern(tt.text, true)
		if tt.text == "" {
			p = parsePattern(tt.text, false)
		}
		if p.toFile() || p.handler != tt.handler || p.socket != tt.socket || !strings.Contains(p.without(), tt.says) || strings.Contains(p.without(), "\n") {
			t.Errorf("%q: handler %q, socket %q, %q", tt.text, p.handler, p.socket, p.without())
		}
	}
}

func matches(t *testing.T, pattern, name string) bool {
	t.Helper()
	ok, err := path.Match(pattern, name)
	if err != nil {
		t.Errorf("%q: %v", pattern, err)
	}
	return ok
}

// TestPatternDirectories has specifiers with unknown values in the directory.
func TestPatternDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"app-1", "app-2", "other", "[app]-1", "a-1"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{dir + "/app-1", dir + "/app-2"}
	for text, want := range map[string][]string{dir + "/app-%s/core": both, "app-%s/core": both, "[app]-%s/core": {dir + "/[app]-1"}} {
		p := parsePattern(text, false)
		if places := p.places([]string{dir}); !slices.Equal(places, want) || p.name != "core" {
			t.Errorf("%s: %q, want %q", text, places, want)
		}
	}
}

func TestReadPattern(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := readPattern(dir); err == nil {
		t.Error("no error for a pattern that cannot be read")
	}
	for name, text := range map[string]string{"core_pattern": "core\n", "core_uses_pid": "1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := readPattern(dir)
	if err != nil || !matches(t, p.name, "core.1") {
		t.Errorf("%v, %v", p, err)
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"core", "|/bin/x %p", "@x", "/a/%e/%p", "%", "%%", "a%pb%q"} {
		f.Add(s, "core", true)
	}
	f.Fuzz(func(t *testing.T, text, name string, usesPID bool) {
		p := parsePattern(text, usesPID)
		p.without()
		if p.toFile() {
			matches(t, p.name, name)
		}
	})
}
