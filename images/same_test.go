package images

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find returns the first group of a pattern's match in a file.
func find(t *testing.T, name, pattern string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)" + pattern).FindStringSubmatch(read(t, name))
	if m == nil {
		t.Fatalf("%s has nothing like %s", name, pattern)
	}
	return m[1]
}

// TestSameFlags: the images, the Makefile and the benchmarks build the binary with the same flags.
func TestSameFlags(t *testing.T) {
	t.Parallel()
	const scratch, ubuntu, makefile = "../Dockerfile.scratch", "../Dockerfile.ubuntu22", "../Makefile"
	stage := "^(FROM --platform.*?jettison_health)$"
	if find(t, scratch, stage) != find(t, ubuntu, stage) {
		t.Error("the Dockerfiles build the binary in different ways")
	}
	for _, flag := range []struct{ name, image, local, measured, more string }{
		{"FLAGS", `go build ([^\n]*) \\$`, `^FLAGS *= ([^\n]*)$`, `"build", "([^"]*)", "-ldflags`, " -tags=netgo"},
		{"LDFLAGS", `^ARG LDFLAGS="([^"]*)"$`, `^LDFLAGS *= ([^\n]*)$`, `"-ldflags=([^"]*)"`, " -extldflags=-static"},
	} {
		image, local, measured := find(t, scratch, flag.image), find(t, makefile, flag.local), find(t, "../bench/measure.go", flag.measured)
		if image != local+flag.more || measured != local {
			t.Errorf("%s are %q in the images, %q in bench/, %q in the Makefile", flag.name, image, measured, local)
		}
	}
}

// TestWorkflows: every action is pinned, every job names its permissions, and none passes the
// whole environment through sudo: Ubuntu 26.04's sudo refuses that, and others pass a HOME that
// root then fills.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, name := range names {
		text := read(t, name)
		for line := range strings.Lines(text) {
			if _, action, ok := strings.Cut(strings.TrimSpace(line), "uses: "); ok && !strings.HasPrefix(action, "./") && !pinned.MatchString(action) {
				t.Errorf("%s: %s is not pinned", name, action)
			}
		}
		if strings.Contains(text, "runs-on: ubuntu-latest") {
			t.Errorf("%s: a runner must name a release", name)
		}
		if jobs, limits := strings.Count(text, "    runs-on:"), strings.Count(text, "    timeout-minutes:"); jobs != limits {
			t.Errorf("%s: %d jobs, %d with a time limit", name, jobs, limits)
		}
		if strings.Contains(text, "sudo -E") || strings.Contains(text, "sudo --preserve-env ") {
			t.Errorf("%s: sudo must name the variables that it passes", name)
		}
		if !strings.Contains(text, "\npermissions: {}\n") {
			t.Errorf("%s: jobs have permissions by default", name)
		}
		if jobs, rights := strings.Count(text, "    runs-on:")+strings.Count(text, "\n    uses: ./"), strings.Count(text, "    permissions:\n"); jobs != rights {
			t.Errorf("%s: %d jobs, %d with permissions", name, jobs, rights)
		}
	}
}
