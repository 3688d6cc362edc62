package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// reconcile looks into the streams to learn which entries landed whose answers
// were lost, and gives those that did not IDs that the streams will take. After
// it, what waits is exactly what is to be sent.
//
// Redis may still execute what it had read from an earlier connection after
// this look. That is harmless: those entries come again under the same IDs, so
// one of the two is refused, and the refusal leads back here.
func (o *Outbox) reconcile(conn *redisconn.Conn) error {
	for s := range entry.Streams {
		last, err := lastID(conn, o.opts.Keys[s])
		if err == nil {
			err = o.findLanded(conn, s, last)
		}
		var reply redis.Error
		if errors.As(err, &reply) && !redisconn.Passing(string(reply)) {
			o.blind(s, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("look into %s: %w", o.opts.Keys[s], err)
		}
		if n := o.q.renumber(s, last); n > 0 {
			o.opts.Log.Info("entries renumbered: the stream has later ones of another writer or clock",
				"stream", o.opts.Keys[s], "entries", n, "after", last)
		}
	}
	o.q.releaseLanded()
	o.q.rewind()
	return nil
}

// blind does what can be done for a stream that Redis does not let us look into:
// an entry that was sent twice and whose ID the stream is past has landed.
func (o *Outbox) blind(stream entry.Stream, why error) {
	if !o.told[stream] {
		o.told[stream] = true
		o.opts.Log.Warn("cannot look into the stream, which is needed after a lost connection (see wrapp acl)", "stream", o.opts.Keys[stream], "error", why)
	}
	for _, r := range o.q.doubtful(stream) {
		if r.is(stateBehind) {
			r.set(stateLanded)
		}
	}
}

// lastID is the last ID that the stream at key ever had, zero if there is none.
func lastID(conn redis.Conn, key string) (entry.ID, error) {
	info, err := redis.Values(conn.Do("XINFO", "STREAM", key))
	if err != nil {
		if strings.HasPrefix(err.Error(), "ERR no such key") {
			err = nil
		}
		return entry.ID{}, err
	}
	for i := 0; i+1 < len(info); i += 2 {
		if name, _ := redis.String(info[i], nil); name == "last-generated-id" {
			text, err := redis.String(info[i+1], nil)
			if err != nil {
				return entry.ID{}, err
			}
			return entry.ParseID(text)
		}
	}
	return entry.ID{}, errors.New("XINFO STREAM says no last-generated-id")
}

// pageEntries is how many entries one XRANGE asks for.
const pageEntries = 256

// findLanded marks those entries in doubt that are in the stream, whose last ID
// ever is last.
//
// An entry that is not there may have landed and been trimmed since, if the
// stream now begins behind it and Redis did not refuse it. That is so if a later
// one in doubt landed, because a connection's entries land in order, or if Redis
// said, when the entry was sent again, that the stream was past it.
func (o *Outbox) findLanded(conn redis.Conn, stream entry.Stream, last entry.ID) error {
	doubtful := o.q.doubtful(stream)
	if len(doubtful) == 0 || last.Less(doubtful[0].id()) {
		return nil
	}
	key := o.opts.Keys[stream]
	var newest entry.ID // the newest of ours that is known to have landed
	var landed []record
	rest := doubtful
	for from := doubtful[0].id(); len(rest) > 0; {
		page, err := readRange(conn, key, from.String(), doubtful[len(doubtful)-1].id().String(), pageEntries)
		if err != nil {
			return err
		}
		for _, e := range page {
			for len(rest) > 0 && rest[0].id().Less(e.id) {
				rest = rest[1:]
			}
			if len(rest) > 0 && rest[0].id() == e.id && same(rest[0], e.fields) {
				newest = e.id
				landed = append(landed, rest[0])
			}
		}
		if len(page) < pageEntries {
			break
		}
		from = page[len(page)-1].id.Next()
	}
	if i := slices.IndexFunc(doubtful, func(r record) bool { return r.id() == last }); i >= 0 {
		newest = last
	}
	oldest, err := readRange(conn, key, "-", "+", 1)
	if err != nil {
		return err
	}
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for _, r := range landed {
		r.set(stateLanded)
	}
	for _, r := range doubtful {
		trimmed := len(oldest) == 0 || r.id().Less(oldest[0].id)
		if trimmed && !r.is(stateRefused) && (r.is(stateBehind) || !newest.Less(r.id())) {
			r.set(stateLanded)
		}
	}
	return nil
}

// A stored entry is one as XRANGE shows it.
type stored struct {
	id     entry.ID
	fields [][]byte // names and values in turn
}

func readRange(conn redis.Conn, key, from, to string, count int) ([]stored, error) {
	values, err := redis.Values(conn.Do("XRANGE", key, from, to, "COUNT", count))
	if err != nil {
		return nil, err
	}
	page := make([]stored, len(values))
	for i, v := range values {
		pair, err := redis.Values(v, nil)
		if err != nil || len(pair) != 2 {
			return nil, errors.New("XRANGE answered something else than entries")
		}
		text, err := redis.String(pair[0], nil)
		if err != nil {
			return nil, err
		}
		if page[i].id, err = entry.ParseID(text); err != nil {
			return nil, err
		}
		if page[i].fields, err = redis.ByteSlices(pair[1], nil); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// same says whether a record is what is stored.
func same(r record, fields [][]byte) bool {
	want := r.fields()
	if len(fields) != 2+len(want) || string(fields[0]) != "message" || !bytes.Equal(fields[1], r.message()) {
		return false
	}
	for i, f := range want {
		if string(fields[2+i]) != f {
			return false
		}
	}
	return true
}

// doubtful are the records of a stream that were sent and neither answered nor
// found to have landed, in order.
func (q *queue) doubtful(stream entry.Stream) (records []record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.each(q.head, q.doubt, func(r record, _ position) bool {
		if r.stream() == stream && !r.is(stateLanded) {
			records = append(records, r)
		}
		return true
	})
	return records
}

// lose tells, once for each stream, that entries will never be taken.
func (o *Outbox) lose(stream entry.Stream, n int, why string) {
	first := o.lost[stream] == 0
	o.lost[stream] += n
	if !first {
		return
	}
	o.opts.Log.Error("redis will not take entries; they are lost", "stream", o.opts.Keys[stream], "reply", why)
	if stream != entry.Error {
		o.Say(entry.Error, fmt.Sprintf("%s takes no entries: %s", o.opts.Keys[stream], why))
	}
}
