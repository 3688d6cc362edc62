package outbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// becomePlain makes the sender use plain XADD until the connection ends: the user has only
// the rights that wrapp needed before 0.9. Entries may then come twice after a lost
// connection, and their IDs say when they were delivered.
func (s *sender) becomePlain(reply string) {
	s.plain = true
	if s.plainReported {
		return
	}
	s.plainReported = true
	name := strings.TrimPrefix(strings.TrimSuffix(s.o.opts.Keys[logstream.Info], ":info"), "logs:app:")
	text := fmt.Sprintf(sayPlain, reply, name)
	s.o.opts.Log.Warn(text)
	s.o.Say(logstream.Status, text)
}

// exchangePlain is exchange for a user that may not run the script.
func (s *sender) exchangePlain(b *batch) error {
	var commands []rueidis.Completed
	var records []record
	for _, c := range b.calls {
		for _, r := range c.entries {
			commands = append(commands, s.client.B().Arbitrary("XADD").Keys(s.o.opts.Keys[c.stream]).
				Args("MAXLEN", "~", s.bound, "*", "message", asString(r.Message())).Args(r.Fields()...).Build())
			records = append(records, r)
		}
	}
	ctx, cancel := context.WithTimeout(s.o.ctx, s.timeout(b.bytes))
	defer cancel()
	var short [logstream.Count]bool
	var refused error
	for i, result := range s.client.DoMulti(ctx, commands...) {
		r := records[i]
		stream := r.Stream()
		err := result.Error()
		reply := redisconn.Reply(err)
		switch {
		case err == nil && short[stream]:
			s.o.q.skip(r) // it landed ahead of one that did not
		case err == nil:
			s.landed[stream] = r.Ordinal()
			s.o.q.markAccepted(stream)
		case reply == "":
			return fmt.Errorf("send to redis: %w", err)
		case redisconn.Temporary(reply) || strings.HasPrefix(reply, "NOAUTH "):
			short[stream] = true
			refused = &refusedError{reply}
		default:
			s.o.refuse(r, reply)
		}
	}
	return refused
}

// skip makes sure that a record, which landed ahead of another, is not sent again.
func (q *queue) skip(r record) {
	q.mu.Lock() // spillOnce may be copying the record
	r.Set(spool.Skip)
	q.mu.Unlock()
}
