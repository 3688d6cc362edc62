package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHealthChecks: every health check of a container that is shown says --min-health, because
// jettison_health alone ends with 0 for a dead pool.
func TestHealthChecks(t *testing.T) {
	t.Parallel()
	check := regexp.MustCompile(`(HEALTHCHECK|HealthCmd=|CMD"?,? |command: ).*jettison_health\W`)
	files := pages(t)
	for _, pattern := range []string{"Dockerfile.*", "examples/*/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				files = append(files, strings.TrimPrefix(file, root+"/"))
			}
		}
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if !check.MatchString(line) {
				continue
			}
			if count++; !strings.Contains(line, "--min-health") {
				t.Errorf("%s:%d: without --min-health: %s", file, i+1, line)
			}
		}
	}
	if count < 7 {
		t.Errorf("only %d health checks were found", count)
	}
}
