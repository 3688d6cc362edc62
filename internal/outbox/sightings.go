package outbox

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// sightings are what is known of the server and its streams, to notice when
// somebody else has had a hand in them.
type sightings struct {
	mu      sync.Mutex
	servers [entry.Streams]string // that had the streams when we last looked
	blind   bool                  // they do not tell who they are
	acked   [entry.Streams]entry.ID
	// counts[s] are how many entries of ours had been acknowledged up to some
	// IDs, so that what a server has lost can be counted.
	counts  [entry.Streams][]milestone
	foreign [entry.Streams]bool // told that somebody else writes there

	// there is how many entries each stream has got, at least, since it was looked
	// at. Only reconcile and collect, which take turns, use it.
	there [entry.Streams]int
}

// A milestone is how many entries had been acknowledged up to an ID.
type milestone struct {
	id entry.ID
	n  int
}

// maxMilestones bounds counts.
const maxMilestones = 4096

// acknowledged notes that n more entries of a stream have landed, up to id.
func (k *sightings) acknowledged(stream entry.Stream, id entry.ID, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.acked[stream].Less(id) {
		k.acked[stream] = id
	}
	c := k.counts[stream]
	total := n
	if len(c) > 0 {
		total += c[len(c)-1].n
	}
	if len(c) == maxMilestones {
		// Every other one will do for what is longer ago.
		half := c[:0]
		for i := 0; i < len(c); i += 2 {
			half = append(half, c[i])
		}
		c = half
	}
	k.counts[stream] = append(c, milestone{id, total})
}

// since is how many entries were acknowledged behind an ID, at most.
func (k *sightings) since(stream entry.Stream, id entry.ID) int {
	c := k.counts[stream]
	if len(c) == 0 {
		return 0
	}
	n := c[len(c)-1].n
	for i := len(c) - 1; i >= 0; i-- {
		if !id.Less(c[i].id) {
			return n - c[i].n
		}
	}
	return n
}

// identify asks the servers of the streams who they are. other says of which
// streams it is not, or no longer, the one that we talked to before.
func (o *Outbox) identify(conn *redisconn.Conn) (ids [entry.Streams]string, other [entry.Streams]bool, err error) {
	for s := range entry.Streams {
		if s > 0 && !conn.InCluster() {
			ids[s] = ids[0]
		} else if ids[s], err = o.identifyFor(conn, s); err != nil {
			return ids, other, err
		}
		was := o.seen.servers[s]
		other[s] = ids[s] != "" && was != "" && ids[s] != was
	}
	return ids, other, nil
}

// identifyFor asks the server of one stream. The answer is empty if it may not be asked.
func (o *Outbox) identifyFor(conn *redisconn.Conn, stream entry.Stream) (string, error) {
	id, err := conn.Server(o.opts.Keys[stream])
	if reply := redisconn.Final(err); reply != "" {
		if !o.seen.blind && strings.HasPrefix(reply, "NOPERM") {
			o.seen.blind = true
			o.opts.Log.Warn("redis does not say who it is, which is needed to notice that it has lost data (see wrapp acl)", "error", err)
		}
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ask redis who it is: %w", err)
	}
	return id, nil
}

// compare looks whether the streams, whose last IDs and lengths are given, still
// have what was acknowledged. What another server, or this one before it was started
// again, has lost is sent again as far as it is retained; what somebody deleted
// is not.
func (o *Outbox) compare(last [entry.Streams]entry.ID, length [entry.Streams]int, known, other [entry.Streams]bool) {
	k := &o.seen
	k.mu.Lock()
	var lost [entry.Streams]*entry.ID
	var counts [entry.Streams]int
	some := false
	var deleted []string
	for s := range entry.Streams {
		if !known[s] {
			continue
		}
		there := k.there[s]
		k.there[s] = length[s]
		if !last[s].Less(k.acked[s]) {
			if !other[s] && length[s] < min(there, o.opts.MaxEntries) {
				deleted = append(deleted, fewer(o.opts.Keys[s], length[s]))
			}
			continue
		}
		if other[s] {
			lost[s] = &last[s]
			counts[s] = k.since(s, last[s])
			some = true
		} else {
			deleted = append(deleted, o.opts.Keys[s])
		}
		k.acked[s] = last[s]
		k.counts[s] = nil
	}
	k.mu.Unlock()
	if len(deleted) > 0 {
		o.deleted(deleted)
	}
	if !some {
		return
	}
	again, oldest := o.q.replay(lost)
	var texts []string
	for s := range entry.Streams {
		if lost[s] == nil {
			continue
		}
		text := fmt.Sprintf("%d entries of :%v are sent again", again[s], s)
		if gap := counts[s] - again[s]; gap > 0 && (oldest[s] == (entry.ID{}) || lost[s].Less(oldest[s])) {
			text += fmt.Sprintf(" and up to %d are lost", gap)
		}
		texts = append(texts, text)
	}
	message := "Redis has lost entries that it had taken: " + strings.Join(texts, ", ")
	o.opts.Log.Warn(message)
	o.Say(entry.Status, message)
}

func (o *Outbox) deleted(keys []string) {
	text := "somebody deleted " + strings.Join(keys, ", ")
	if len(keys) > 1 {
		text += " (DEL, FLUSHDB or FLUSHALL)"
	}
	o.Say(entry.Status, text)
}

// fewer names a stream of which somebody has deleted entries, or all of it.
func fewer(key string, length int) string {
	return fmt.Sprintf("%s or entries of it: %d are there", key, length)
}

// foreign tells, once for each stream, that somebody else writes to it.
func (o *Outbox) foreign(stream entry.Stream, last entry.ID) {
	o.seen.mu.Lock()
	told := o.seen.foreign[stream]
	o.seen.foreign[stream] = true
	o.seen.mu.Unlock()
	if !told {
		o.Say(entry.Status, fmt.Sprintf("%s has entries of another writer or clock, up to ID %v; the IDs of ours go on from there", o.opts.Keys[stream], last))
	}
}

// lookEvery is how often, while entries are sent, the streams are looked at to
// notice that somebody has deleted them or writes to them.
const lookEvery = time.Second

// A look is an XINFO STREAM within the pipeline.
type look struct {
	stream entry.Stream
	sent   entry.ID // of our last entry before it

	// The answer: the last ID of the stream and its length, or an error reply.
	last    entry.ID
	length  int
	refusal string
}

// looked takes the answer to a look.
func (p *pipeline) looked(l look) {
	s, o := l.stream, p.o
	last, length, refusal := l.last, l.length, l.refusal
	switch {
	case refusal != "" && !strings.HasPrefix(refusal, noSuchKey):
		return
	case refusal != "" || last.Less(l.sent):
		o.seen.mu.Lock()
		o.seen.acked[s] = last
		o.seen.counts[s] = nil
		o.seen.mu.Unlock()
		o.deleted([]string{o.opts.Keys[s]})
	case length < min(o.seen.there[s], o.opts.MaxEntries):
		// Trimming leaves no fewer than MaxEntries.
		o.deleted([]string{fewer(o.opts.Keys[s], length)})
	case l.sent.Less(last):
		o.foreign(s, last)
	}
	o.seen.there[s] = length
}
