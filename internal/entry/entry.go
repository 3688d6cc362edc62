// Package entry defines a stream entry: its ID, its flags, and its message in the JSON
// format. It reads times and levels out of an app's lines.
package entry

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// Flags are what is special about an entry; each one adds a field.
type Flags uint8

const (
	Stderr  Flags = 1 << iota // source=stderr
	Partial                   // partial=1: not the last piece of its line
	Alarm                     // level=ERROR: the line says that it is an error or worse

	FlagSets = 1 << iota // number of combinations of flags
)

// Fields returns the names and values of the flags' fields, in turn.
func (f Flags) Fields() []string {
	var fields []string
	if f&Stderr != 0 {
		fields = append(fields, "source", "stderr")
	}
	if f&Partial != 0 {
		fields = append(fields, "partial", "1")
	}
	if f&Alarm != 0 {
		fields = append(fields, "level", loglevel.Error.String())
	}
	return fields
}

// An ID is a stream entry's ID, <milliseconds since 1970>-<sequence number>.
type ID struct{ Ms, Seq uint64 }

// String returns the ID as Redis writes it.
func (id ID) String() string { return string(id.Append(nil)) }

// Append appends the ID as Redis writes it.
func (id ID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, id.Ms, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, id.Seq, 10)
}

// Less reports whether id comes before other in a stream.
func (id ID) Less(other ID) bool {
	return id.Ms < other.Ms || id.Ms == other.Ms && id.Seq < other.Seq
}

// Time returns the time of the ID's milliseconds.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id.Ms)) }

// Next returns the smallest ID after id.
func (id ID) Next() ID {
	if id.Seq+1 == 0 {
		return ID{id.Ms + 1, 0}
	}
	return ID{id.Ms, id.Seq + 1}
}

// Previous returns the largest ID before id. id must not be 0-0.
func (id ID) Previous() ID {
	if id.Seq == 0 {
		return ID{id.Ms - 1, math.MaxUint64}
	}
	return ID{id.Ms, id.Seq - 1}
}

// ParseID reads an ID as Redis writes it.
func ParseID(s string) (ID, error) {
	ms, seq, ok := strings.Cut(s, "-")
	m, err1 := strconv.ParseUint(ms, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return ID{}, fmt.Errorf("not a stream entry ID: %q", s)
	}
	return ID{m, n}, nil
}
