package outbox

import (
	"slices"
	"strconv"
	"unsafe"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// Bounds of one pipeline and of one call of the script. A script blocks Redis for all
// clients: 512 entries take half a millisecond.
const (
	callRecords     = 512
	callBytes       = 64 << 10
	pipelineRecords = 16 * callRecords
	pipelineBytes   = 16 * callBytes
)

// A batch is the records of one pipeline to Redis, all of one writer, as calls of the script. The
// arguments point into the queue's bytes and the batch's text; both stay unchanged until the
// pipeline is answered.
type batch struct {
	limit          int // of records
	records, bytes int
	writer         uint64
	end            cursor // after its last record
	calls          []*call
	last           [logstream.Count]*call  // newest call of each stream
	sent           [logstream.Count]uint64 // ordinal of each stream's last record up to end
	commands       []rueidis.Completed
	text           []byte // backing array of numbers and IDs in args
}

// A call adds entries to one stream.
type call struct {
	stream  logstream.Stream
	entries []record
	bytes   int
	args    []string // groups of entries; see script.lua
}

// reset empties the batch. newCall uses its calls again.
func (b *batch) reset() {
	for _, c := range b.calls {
		clear(c.args)
		clear(c.entries)
		*c = call{entries: c.entries[:0], args: c.args[:0]}
	}
	*b = batch{limit: pipelineRecords, calls: b.calls[:0], text: b.text[:0], commands: b.commands[:0]}
}

// full reports whether the batch takes no further record.
func (b *batch) full() bool { return b.records >= b.limit || b.bytes >= pipelineBytes }

func (b *batch) add(r record) {
	c := b.last[r.Stream()]
	if c == nil || len(c.entries) >= callRecords || c.bytes >= callBytes {
		c = b.newCall(r.Stream())
	}
	c.entries = append(c.entries, r)
	c.bytes += len(r)
	b.records++
	b.bytes += len(r)
}

func (b *batch) newCall(stream logstream.Stream) *call {
	n := len(b.calls)
	b.calls = slices.Grow(b.calls, 1)[:n+1]
	if b.calls[n] == nil {
		b.calls[n] = &call{args: make([]string, 0, 2*callRecords+8), entries: make([]record, 0, callRecords)}
	}
	c := b.calls[n]
	c.stream = stream
	b.last[stream] = c
	return c
}

// finish makes the arguments of all calls.
func (b *batch) finish() {
	for _, c := range b.calls {
		for rest := c.entries; len(rest) > 0; {
			rest = b.group(c, rest)
		}
	}
}

// shortGroup is the fewest entries with consecutive IDs that are worth a group of their own: it
// has fewer arguments than a group with an ID for each entry.
const shortGroup = 3

// group adds the first entries of rest to a call's arguments, as one group, and returns the
// other entries.
func (b *batch) group(c *call, rest []record) []record {
	n := consecutive(rest)
	counted := n >= shortGroup
	for !counted && n < len(rest) && goesOn(rest[n-1], rest[n]) {
		more := consecutive(rest[n:])
		if more >= shortGroup {
			break
		}
		n += more
	}
	fields := rest[0].Fields()
	c.args = append(c.args, b.number(rest[0].Ordinal()), b.number(uint64(n)), b.number(uint64(len(fields))))
	c.args = append(c.args, fields...)
	if id := rest[0].ID(); counted {
		c.args = append(c.args, b.number(id.Ms), b.number(id.Seq))
	} else {
		c.args = append(c.args, "", "")
	}
	for _, r := range rest[:n] {
		if !counted {
			c.args = append(c.args, b.id(r.ID()))
		}
		c.args = append(c.args, asString(r.Message()))
	}
	return rest[n:]
}

// consecutive returns how many of the first entries may be in one group and have consecutive IDs.
func consecutive(entries []record) int {
	n := 1
	for id := entries[0].ID(); n < len(entries) && goesOn(entries[n-1], entries[n]); n++ {
		if id.Seq++; entries[n].ID() != id {
			break
		}
	}
	return n
}

// goesOn reports whether next may follow r in a group: consecutive ordinals and the same
// fields.
func goesOn(r, next record) bool {
	return next.Ordinal() == r.Ordinal()+1 && next.Flags() == r.Flags() && r.Extra() == 0 && next.Extra() == 0
}

// number returns n in decimal digits, backed by text.
func (b *batch) number(n uint64) string {
	at := len(b.text)
	b.text = strconv.AppendUint(b.text, n, 10)
	return asString(b.text[at:])
}

// id returns an ID as Redis writes it, backed by text.
func (b *batch) id(id entry.ID) string {
	at := len(b.text)
	b.text = id.Append(b.text)
	return asString(b.text[at:])
}

// asString returns b as a string without a copy: b must not change while the string is used.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
