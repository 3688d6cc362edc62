package command

import (
	"slices"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestProbeLeavesOrphans has probes begin and end beside an app with an orphaned child: it
// still belongs to the app.
func TestProbeLeavesOrphans(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := crash(t, s, "orphan", "[health]\ninterval = '100ms'\n[health.pools.main]\ncap = 1\nbeat = ['exec:true']", nil,
		"sh", "-c", "(sleep 1000 & echo $! >pid); sleep 1; kill -0 $(cat pid) && echo it lives")
	if got := output(t, s, "orphan"); c.exit != 0 || !slices.Equal(got, []string{"it lives"}) {
		t.Errorf("exit status %d, %q", c.exit, got)
	}
}
