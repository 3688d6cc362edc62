package entry

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// Meta is what is known of a line beside its text.
type Meta struct {
	Received time.Time
	Seq      uint64 // counts the lines of a run
	Stderr   bool
	Partial  bool // more pieces of the same line follow
}

// A JSON makes the messages of a run's entries in the JSON format, which
// docs/logs.md describes. It is for one goroutine: what it remembers makes it
// fast.
type JSON struct {
	loc     *time.Location
	tail    [2][]byte // what stands between msg and seq; stdout, stderr
	begun   [2]head   // of a line whose last piece has not come
	members []member
	text    []byte // scratch
	second  int64  // the second that stamp is of
	stamp   []byte // 2006-01-02T15:04:05, then the zone
	zone    int    // where in stamp the zone begins
}

// A head is what the first piece of a line said for all of them.
type head struct {
	on    bool
	time  time.Time // zero if the line states none
	level loglevel.Level
}

// Context is what all entries of a run have in common.
type Context struct {
	Service string
	Run     string         // as in the run's markers
	PID     int            // the app's
	Zone    *time.Location // of times that state none, and of those written; nil is time.Local
}

// NewJSON returns a JSON for one run.
func NewJSON(c Context) *JSON {
	f := &JSON{loc: c.Zone, second: -1 << 63}
	if f.loc == nil {
		f.loc = time.Local
	}
	for i, source := range [2]string{"stdout", "stderr"} {
		b := jsontext.AppendString([]byte(`,"service":`), []byte(c.Service))
		b = append(b, `,"source":"`+source+`","run":`...)
		b = jsontext.AppendString(b, []byte(c.Run))
		b = strconv.AppendInt(append(b, `,"pid":`...), int64(c.PID), 10)
		f.tail[i] = append(b, `,"seq":`...)
	}
	return f
}

// keep is how much scratch memory is held on to, in bytes or members; one huge
// line shall not cost memory for ever.
const keep = 64 << 10

// Append appends the message for a line, one JSON object without a line end, and
// tells the line's level, loglevel.None if it states none. line may hold anything and
// is not kept.
func (f *JSON) Append(dst, line []byte, m Meta) (_ []byte, level loglevel.Level) {
	source := 0
	if m.Stderr {
		source = 1
	}
	begun := f.begun[source]
	f.begun[source] = head{}
	if !begun.on && !m.Partial && looksObject(line) {
		if !utf8.Valid(line) {
			line = []byte(string([]rune(string(line)))) // each bad byte is U+FFFD
		}
		var ok bool
		f.members, ok = object(f.members[:0], line)
		if ok {
			dst, level, ok = f.appendObject(dst, line, m, source)
		}
		if cap(f.members) > keep/16 {
			f.members = nil
		}
		if ok {
			return dst, level
		}
	}
	if bytes.IndexByte(line, 0x1b) >= 0 {
		f.text = appendWithoutEscapes(f.text[:0], line, len(line))
		line = f.text
		if cap(f.text) > keep {
			f.text = nil
		}
	}
	if !begun.on {
		begun.level = LevelOf(line)
		c := clock{m.Received, f.loc}
		begun.time, _ = c.inLine(line)
		if len(line) > 3 && line[0] == '<' && line[2] == '>' && line[1] >= '0' && line[1] <= '7' {
			line = line[3:]
		}
	}
	begun.on = true
	if m.Partial {
		f.begun[source] = begun
	}
	dst = f.appendHead(dst, begun.time, begun.level, m)
	dst = jsontext.AppendString(dst, line)
	dst = append(dst, f.tail[source]...)
	dst = strconv.AppendUint(dst, m.Seq, 10)
	return append(dst, '}'), begun.level
}

// looksObject reports whether it is worth while to read line as an object.
func looksObject(line []byte) bool {
	for i, c := range line {
		switch c {
		case ' ', '\t', '\n', '\r':
		case '{':
			for n := len(line) - 1; n > i; n-- {
				switch line[n] {
				case ' ', '\t', '\n', '\r':
				default:
					return line[n] == '}'
				}
			}
			return false
		default:
			return false
		}
	}
	return false
}

// appendHead appends the object's beginning, up to where the message comes.
func (f *JSON) appendHead(dst []byte, t time.Time, level loglevel.Level, m Meta) []byte {
	if t.IsZero() {
		t = m.Received
	}
	if level == loglevel.None {
		level = loglevel.Info
	}
	dst = append(dst, `{"time":"`...)
	dst = f.appendTime(dst, t)
	dst = append(dst, `","level":"`...)
	dst = append(dst, level.String()...)
	return append(dst, `","msg":`...)
}

// appendTime appends t as RFC 3339 writes it, with nine decimals always, so that
// times of one zone sort as text.
func (f *JSON) appendTime(dst []byte, t time.Time) []byte {
	if s := t.Unix(); s != f.second || f.stamp == nil {
		t := t.In(f.loc)
		f.stamp = t.AppendFormat(f.stamp[:0], "2006-01-02T15:04:05")
		f.zone = len(f.stamp)
		f.stamp = t.AppendFormat(f.stamp, "Z07:00")
		f.second = s
	}
	dst = append(dst, f.stamp[:f.zone]...)
	n := t.Nanosecond()
	dst = append(dst, ".000000000"...)
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return append(dst, f.stamp[f.zone:]...)
}

// maxPrefixes is how many times "app." is put before a key of ours at most. An
// object that needs more is text: the prefixes would blow it up.
const maxPrefixes = 4

// appendObject appends the message for a line that is an object, whose members
// are in f.members. If ok is false it appends nothing.
func (f *JSON) appendObject(dst, line []byte, m Meta, source int) (_ []byte, level loglevel.Level, ok bool) {
	c := clock{m.Received, f.loc}
	var t time.Time
	var takes [msgRole + 1]struct {
		rank   int
		member *member // that says no more than the role does
	}
	msg := []byte(nil)
	syslog := false // GELF's numbers are
	prefixes := 1   // how many times "app." makes a key of ours free
	for i := range f.members {
		key := f.members[i].plain(line)
		syslog = syslog || string(key) == "short_message"
		n := 1
		for bytes.HasPrefix(key, []byte("app.")) {
			key = key[len("app."):]
			n++
		}
		if n > prefixes && ours(key) {
			prefixes = n
		}
	}
	if prefixes > maxPrefixes {
		return dst, loglevel.None, false
	}
	for i := range f.members {
		mem := &f.members[i]
		key, value := mem.plain(line), mem.value(line)
		r, rank := recognise(key, value)
		take := &takes[r]
		if r == noRole || take.rank != 0 && take.rank <= rank {
			continue
		}
		exact, ok := true, false
		switch r {
		case timeRole:
			var at time.Time
			if at, exact, ok = c.value(value); ok {
				t = at
				if string(key) == "timestampSeconds" {
					t = t.Add(nanosBeside(f.members, line))
				}
			}
		case levelRole:
			var l loglevel.Level
			if l, exact = levelValue(key, value, syslog && string(key) == "level"); l != loglevel.None {
				level, ok = l, true
			}
		case msgRole:
			if ok = value[0] == '"'; ok {
				msg, exact = value, rank < 6 // a template is not the message
			}
		}
		if ok {
			take.rank, take.member = rank, nil
			if exact {
				take.member = mem
			}
		}
	}
	for _, take := range takes {
		if take.member != nil {
			take.member.taken = true
		}
	}

	dst = f.appendHead(dst, t, level, m)
	dst = appendMessage(dst, msg)
	dst = append(dst, f.tail[source]...)
	dst = strconv.AppendUint(dst, m.Seq, 10)
	for i := range f.members {
		mem := &f.members[i]
		if mem.taken {
			continue
		}
		dst = append(dst, ',', '"')
		if ours(mem.plain(line)) {
			for range prefixes {
				dst = append(dst, "app."...)
			}
		}
		dst = append(dst, mem.key(line)...)
		dst = append(dst, '"', ':')
		dst = append(dst, mem.value(line)...)
	}
	return append(dst, '}'), level, true
}

// appendMessage appends a message that is a JSON string already, without
// terminal sequences; nil is an empty one.
func appendMessage(dst, value []byte) []byte {
	if value == nil {
		return append(dst, `""`...)
	}
	if bytes.Contains(value, []byte(`\u001b`)) || bytes.Contains(value, []byte(`\u001B`)) {
		text := jsontext.Unquote(value)
		return jsontext.AppendString(dst, appendWithoutEscapes(nil, text, len(text)))
	}
	return append(dst, value...)
}
