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

// find is the first group of a pattern.
func find(t *testing.T, name, pattern string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)" + pattern).FindStringSubmatch(read(t, name))
	if m == nil {
		t.Fatalf("%s has nothing like %s", name, pattern)
	}
	return m[1]
}

// TestSameFlags: the binary is built alike everywhere.
func TestSameFlags(t *testing.T) {
	t.Parallel()
	const scratch, ubuntu, makefile = "../Dockerfile.scratch", "../Dockerfile.ubuntu22", "../Makefile"
	stage := "^(FROM --platform.*?jettison_health)$"
	if find(t, scratch, stage) != find(t, ubuntu, stage) {
		t.Error("the Dockerfiles build the binary in different ways")
	}
	image, local := find(t, scratch, `^ARG LDFLAGS="([^"]*)"$`), find(t, makefile, `^LDFLAGS *= ([^\n]*)$`)
	if measured := find(t, "../bench/measure.go", `"-ldflags=([^"]*)"`); image != local || measured != local {
		t.Errorf("LDFLAGS are %q in the images, %q in bench/, %q in the Makefile", image, measured, local)
	}
	const flags = `\(.*grep '\^-' (build\.flags)\)`
	find(t, scratch, `go build \$`+flags)
	find(t, makefile, `^FLAGS *= \$`+flags)
	find(t, "../.dockerignore", `^!(build\.flags)$`)
}

// TestHotPackages: each of our packages that build.flags names is there. Of a misspelt one go
// build says nothing, and inlines nothing in it.
func TestHotPackages(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`(?m)^-gcflags=github.com/lpportorino/jettison-base-images/(.*)=$`).FindAllStringSubmatch(read(t, "../build.flags"), -1)
	if named == nil {
		t.Error("none is named")
	}
	for _, name := range named {
		if files, _ := filepath.Glob("../" + name[1] + "/*.go"); files == nil {
			t.Errorf("no package %s", name[1])
		}
	}
}

// TestWorkflows: every action is pinned, no job has more rights than it names, and none
// asks sudo for the whole environment: that of Ubuntu 26.04 does not hand it on, and others
// hand on a home that root then fills.
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
			if _, action, ok := strings.Cut(strings.TrimSpace(line), "uses: "); ok && !pinned.MatchString(action) {
				t.Errorf("%s: %s is not pinned", name, action)
			}
		}
		if strings.Contains(text, "sudo -E") || strings.Contains(text, "sudo --preserve-env ") {
			t.Errorf("%s: sudo is to be told which variables", name)
		}
		if !strings.Contains(text, "\npermissions: {}\n") {
			t.Errorf("%s: jobs that name no permissions have some", name)
		}
		if jobs, rights := strings.Count(text, "    runs-on:"), strings.Count(text, "    permissions:\n"); jobs != rights {
			t.Errorf("%s: %d jobs, %d with permissions", name, jobs, rights)
		}
	}
}
