package outbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestGaps drops lines for a long time while Redis is away: the number of slabs does not
// grow, the remaining lines come in order, and the dropped ones are reported.
func TestGaps(t *testing.T) {
	t.Parallel()
	for name, spooled := range map[string]bool{"memory": false, "spool": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Prepare(t)
			var o *Outbox
			if spooled {
				o = openSpooled(t, s, t.TempDir(), 1<<20, func(opts *Options) { opts.Block = false })
			} else {
				o = open(t, s, func(opts *Options) { opts.Limit, opts.Block = 1<<20, false })
			}
			o.Say(logstream.Status, "an own word")
			const n = 60_000
			pad := strings.Repeat(".", 1000)
			most := 0
			for i := range n {
				o.Add(time.Now(), logstream.Info, 0, fmt.Appendf(nil, "line %d %s", i, pad))
				o.Send()
				o.q.mu.Lock()
				most = max(most, len(o.q.slabs))
				o.q.mu.Unlock()
				if i%10_000 == 9_999 {
					o.Say(logstream.Status, "another")
				}
			}
			if least := n * len(pad) / slabSize; most > least/3 {
				t.Errorf("up to %d slabs, of %d in all", most, least)
			}
			s.Up()
			closeAll(t, o)
			checkAccounted(t, s, n)
			if own := len(said(s, "another")); own != n/10_000 || len(said(s, "an own word")) != 1 {
				t.Errorf("%d own words", own)
			}
		})
	}
}
