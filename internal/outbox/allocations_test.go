//go:build !race

package outbox

import (
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// TestNoAllocations adds lines, puts them into a batch and releases them, until all buffers
// exist: from then on nothing is allocated. The race detector itself allocates.
func TestNoAllocations(t *testing.T) {
	o := &Outbox{q: newQueue(4<<20, true, 1)}
	line := []byte(strings.Repeat("x", 92))
	var b batch
	at := time.Now()
	round := func() {
		for i := range 1000 {
			o.Add(at, logstream.Info, 0, line)
			if i%100 == 0 {
				o.Add(at, logstream.Status, 0, line)
			}
		}
		o.Send()
		for {
			b.reset()
			if o.q.nextBatch(&b, 0); b.records == 0 {
				return
			}
			b.finish()
			var landed [logstream.Count]uint64
			for _, c := range b.calls {
				landed[c.stream] = c.entries[len(c.entries)-1].Ordinal()
			}
			o.q.advance(landed, b.end)
		}
	}
	for range 100 {
		round() // until the retained part is full, and slabs are used again
	}
	// A slab's header is new each time: 72 KiB of lines.
	if n := testing.AllocsPerRun(1000, round); n > 4 {
		t.Errorf("%v allocations for 1000 lines", n)
	}
}
