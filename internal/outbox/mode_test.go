package outbox

import (
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// TestEpisode has spooling begin again before the disk is empty: it is one episode, with the
// records of both.
func TestEpisode(t *testing.T) {
	t.Parallel()
	q := newQueue(1<<20, false, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.become(spooling, whyAway)
	began := q.episode.began
	q.episode.spooled += 5
	q.become(draining, "")
	q.become(spooling, whySlow)
	if q.episode.began != began || q.episode.why != whyAway {
		t.Errorf("the episode is now of %v, %q", q.episode.began, q.episode.why)
	}
	q.episode.spooled += 2
	q.episode.announced = true
	q.become(draining, "")
	q.become(memory, "")
	var said []string
	q.each(q.head, q.end(), func(r spool.Record, _ cursor) bool {
		said = append(said, string(r.Message()))
		return true
	})
	if len(said) != 1 || !strings.HasPrefix(said[0], "7 entries delivered from the spool, ") {
		t.Errorf("said: %q", said)
	}
	q.become(spooling, whyAway)
	if q.episode.announced || q.episode.spooled != 0 || q.episode.began == began {
		t.Errorf("the next episode: %+v", q.episode)
	}
}
