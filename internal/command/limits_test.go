package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestFileSizeLimit runs wrapp with a limit for the size of files, while Redis is away: the
// limit on wrapp's own files does not hurt the app.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	const n = 60_000 // more than memory holds
	for _, c := range []struct{ blocks, told string }{
		{"8", "no spool; entries wait in memory only: files may have"},
		{"1024", "the spool has smaller ones"},
	} {
		t.Run(c.blocks, func(t *testing.T) {
			t.Parallel()
			s := redistest.Prepare(t)
			dir := t.TempDir()
			cmd := spoolIn(dir, wrapp(t, "--redis", s.URL(), "--name", "limited", "--max-entries", "10000000", "--",
				"sh", "-c", fmt.Sprintf("seq -f '%%050.0f' 1 %d; exit 7", n)))
			cmd.Args = append([]string{"bash", "-c", "ulimit -f " + c.blocks + `; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
			cmd.Path = "/bin/bash"
			text, err := cmd.CombinedOutput()
			if got := code(t, err); got != 7 {
				t.Errorf("exit status %d: %s", got, text)
			}
			if !strings.Contains(string(text), c.told) {
				t.Errorf("no %q on stderr: %s", c.told, text)
			}
			s.Up()
			if text, err := spoolIn(dir, wrapp(t, "--redis", s.URL(), "--name", "limited", "--max-entries", "10000000", "--", "true")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			lines := 0
			for _, e := range s.Stream("logs:app:limited:info") {
				if len(e.Message()) == 50 {
					lines++
				}
			}
			if c.blocks != "8" && lines != n {
				t.Errorf("%d lines arrived, want %d", lines, n)
			}
		})
	}
}
