package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/resp"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// reconcile looks into the streams to learn which entries landed whose answers
// were lost, and gives those that did not IDs that the streams will take. After
// it, what waits is exactly what is to be sent.
//
// Redis may still execute what it had read from an earlier connection after
// this look. That is harmless: those entries come again under the same IDs, so
// one of the two is refused, and the refusal leads back here.
//
// idRefused says that it is done because Redis has just refused an ID.
func (o *Outbox) reconcile(conn *redisconn.Conn, idRefused bool) error {
	servers, other, err := o.identify(conn)
	if err != nil {
		return err
	}
	var last [entry.Streams]entry.ID
	var length [entry.Streams]int
	var known [entry.Streams]bool
	for s := range entry.Streams {
		last[s], length[s], err = lastID(conn, o.opts.Keys[s])
		if known[s] = err == nil; known[s] {
			o.spent[s] = last[s].Ms == math.MaxUint64 && last[s].Seq >= 1<<31 // records keep 32 bits
			continue
		}
		if err = o.blindFor(s, err, idRefused); err != nil {
			return err
		}
	}
	o.compare(last, length, known, other)
	o.seen.servers = servers
	for s := range entry.Streams {
		if !known[s] {
			continue
		}
		err := o.findLanded(conn, s, last[s])
		var behind uint64
		if err == nil {
			behind, err = o.findLeft(conn, s, last[s])
		}
		if err != nil {
			if err = o.blindFor(s, err, idRefused); err != nil {
				return err
			}
			continue
		}
		if o.spent[s] {
			continue // there is nothing to renumber to; settle gives these up
		}
		n, err := o.renumber(s, last[s], behind)
		if err != nil {
			return err
		}
		if n > 0 {
			o.opts.Log.Info("entries renumbered: the stream has later ones of another writer or clock",
				"stream", o.opts.Keys[s], "entries", n, "after", last[s])
			o.foreign(s, last[s])
		}
	}
	o.q.releaseLanded()
	o.q.rewind()
	return nil
}

// blindFor takes an error of looking into a stream: it returns nil, and what can
// be done is done, if Redis does not let us look.
func (o *Outbox) blindFor(stream entry.Stream, err error, idRefused bool) error {
	if redisconn.Final(err) != "" {
		return o.blind(stream, err, idRefused)
	}
	return fmt.Errorf("look into %s: %w", o.opts.Keys[stream], err)
}

// blind does what can be done for a stream that Redis does not let us look into:
// an entry that was sent twice and whose ID the stream is past has landed. One
// that was sent once is behind another writer, who knows how far: it leaps, each
// time twice as far as before.
func (o *Outbox) blind(stream entry.Stream, why error, idRefused bool) error {
	if !o.told[stream] {
		o.told[stream] = true
		o.opts.Log.Warn("cannot look into the stream, which is needed after a lost connection (see wrapp acl)", "stream", o.opts.Keys[stream], "error", why)
	}
	for _, r := range o.q.doubtful(stream) {
		if r.Is(spool.Behind) {
			o.q.mu.Lock() // it may just be being copied to the spool
			r.Set(spool.Landed)
			o.q.mu.Unlock()
		} else if r.Is(spool.Refused) && idRefused {
			if o.leap[stream] >= 1<<62 {
				o.spent[stream] = true
				return nil
			}
			o.leap[stream] = min(max(1000, 2*o.leap[stream]), 1<<62)
			floor := entry.ID{Ms: min(r.ID().Ms, 1<<62) + o.leap[stream]}
			o.foreign(stream, floor)
			_, err := o.renumber(stream, floor, 0)
			return err
		}
	}
	return nil
}

// lastID is the last ID that the stream at key ever had and the number of its
// entries, zero if there is none.
func lastID(conn *redisconn.Conn, key string) (last entry.ID, length int, err error) {
	info, err := conn.Do("XINFO", "STREAM", key)
	if strings.HasPrefix(redisconn.Final(err), noSuchKey) {
		return last, 0, nil
	}
	return streamInfo(info, err)
}

const noSuchKey = "ERR no such key"

// streamInfo takes the answer to XINFO STREAM, which came with err.
func streamInfo(answer any, err error) (last entry.ID, length int, _ error) {
	info, err := resp.Values(answer, err)
	var text string
	if err == nil {
		length, err = resp.Int(resp.Field(info, "length"), nil)
	}
	if err == nil {
		text, err = resp.String(resp.Field(info, "last-generated-id"), nil)
	}
	if err == nil {
		last, err = entry.ParseID(text)
	}
	return last, length, err
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
func (o *Outbox) findLanded(conn *redisconn.Conn, stream entry.Stream, last entry.ID) error {
	doubtful := o.q.doubtful(stream)
	if len(doubtful) == 0 || last.Less(doubtful[0].ID()) {
		return nil
	}
	key := o.opts.Keys[stream]
	landed, newest, err := find(conn, key, doubtful)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(doubtful, func(r record) bool { return r.ID() == last }); i >= 0 {
		newest = last
	}
	oldest, err := readRange(conn, key, "-", "+", 1)
	if err != nil {
		return err
	}
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for _, r := range landed {
		if r.Is(spool.Refused) && !r.Is(spool.Resent) {
			continue // that is another writer's, who has said the same under the same ID
		}
		r.Set(spool.Landed)
		o.seen.acknowledged(stream, r.ID(), 1)
	}
	for _, r := range doubtful {
		trimmed := len(oldest) == 0 || r.ID().Less(oldest[0].id)
		if trimmed && !r.Is(spool.Refused) && (r.Is(spool.Behind) || !newest.Less(r.ID())) {
			r.Set(spool.Landed)
		}
	}
	return nil
}

// find returns those of some records, in order, that are in the stream at key,
// and the ID of the newest of them.
func find(conn *redisconn.Conn, key string, records []record) (landed []record, newest entry.ID, err error) {
	rest := records
	for from := records[0].ID(); len(rest) > 0; {
		page, err := readRange(conn, key, from.String(), records[len(records)-1].ID().String(), pageEntries)
		if err != nil {
			return nil, newest, err
		}
		for _, e := range page {
			for len(rest) > 0 && rest[0].ID().Less(e.id) {
				rest = rest[1:]
			}
			if len(rest) > 0 && rest[0].ID() == e.id && same(rest[0], e.fields) {
				newest = e.id
				landed = append(landed, rest[0])
			}
		}
		if len(page) < pageEntries {
			break
		}
		from = page[len(page)-1].id.Next()
	}
	return landed, newest, nil
}

// A stored entry is one as XRANGE shows it.
type stored struct {
	id     entry.ID
	fields [][]byte // names and values in turn
}

func readRange(conn *redisconn.Conn, key, from, to string, count int) ([]stored, error) {
	values, err := resp.Values(conn.Do("XRANGE", key, from, to, "COUNT", count))
	if err != nil {
		return nil, err
	}
	page := make([]stored, len(values))
	for i, v := range values {
		pair, _ := v.([]any)
		if len(pair) != 2 {
			return nil, errors.New("XRANGE answered something else than entries")
		}
		text, err := resp.String(pair[0], nil)
		if err != nil {
			return nil, err
		}
		if page[i].id, err = entry.ParseID(text); err != nil {
			return nil, err
		}
		if page[i].fields, err = resp.Fields(pair[1], nil); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// same says whether a record is what is stored.
func same(r record, fields [][]byte) bool {
	want := r.Fields()
	if len(fields) != 2+len(want) || string(fields[0]) != "message" || !bytes.Equal(fields[1], r.Message()) {
		return false
	}
	for i, f := range want {
		if string(fields[2+i]) != f {
			return false
		}
	}
	return true
}
