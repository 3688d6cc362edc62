package entry

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// Meta is what wrapp knows about a line besides its text.
type Meta struct {
	Received time.Time
	Seq      uint64 // counts the lines of a run, and each piece of a split one
	Stderr   bool
	Partial  bool // more pieces of the same line follow
}

// A JSON makes the messages of a run's entries in the JSON format, which
// docs/logs.md describes. Only one goroutine may use it.
type JSON struct {
	loc     *time.Location
	tail    [2][]byte // JSON text between msg and seq, for stdout and stderr
	begun   [2]head   // of an unfinished line of stdout and stderr
	members []member  // scratch
	text    []byte    // scratch
	second  int64     // the Unix time in stamp
	stamp   []byte    // 2006-01-02T15:04:05, then the zone
	zone    int       // offset of the zone in stamp
}

// A head has the time and level that the first piece of a line states, for all its pieces.
type head struct {
	on    bool
	time  time.Time // zero if the line states none
	level loglevel.Level
}

// Context is what all entries of a run have in common.
type Context struct {
	Service string
	Run     string         // as in the run's markers
	PID     int            // of the app
	Zone    *time.Location // of times without a zone, and of written times; nil: time.Local
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

// maxScratch is the largest scratch buffer that is kept, in bytes, so that one huge line does
// not cost memory for ever.
const maxScratch = 64 << 10

// Append appends the message for a line, one JSON object without a line end, and returns the
// line's level, loglevel.None if it states none. line may have any bytes; Append does not
// keep it.
func (f *JSON) Append(dst, line []byte, m Meta) (_ []byte, level loglevel.Level) {
	source := 0
	if m.Stderr {
		source = 1
	}
	begun := f.begun[source]
	f.begun[source] = head{}
	if !begun.on && !m.Partial && mayBeObject(line) {
		if !utf8.Valid(line) {
			line = []byte(string([]rune(string(line)))) // each bad byte is U+FFFD
		}
		var ok bool
		f.members, ok = object(f.members[:0], line)
		if ok {
			dst, level, ok = f.appendObject(dst, line, m, source)
		}
		if cap(f.members) > maxScratch/16 {
			f.members = nil
		}
		if ok {
			return dst, level
		}
	}
	if bytes.IndexByte(line, 0x1b) >= 0 {
		f.text = appendWithoutEscapes(f.text[:0], line, len(line))
		line = f.text
		if cap(f.text) > maxScratch {
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

// mayBeObject reports whether line begins and ends with a brace, blanks aside.
func mayBeObject(line []byte) bool {
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

// appendHead appends the object up to the value of msg.
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

// appendTime appends t in RFC 3339 with exactly nine decimals, so that times of one zone sort
// as text.
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

// maxPrefixes bounds how many times "app." is put before a key that is one of ours. An object
// that needs more is logged as text: the prefixes would blow it up.
const maxPrefixes = 4

// appendObject appends the message for a line that is an object with the members f.members.
// If ok is false, it appends nothing.
func (f *JSON) appendObject(dst, line []byte, m Meta, source int) (_ []byte, level loglevel.Level, ok bool) {
	c := clock{m.Received, f.loc}
	var t time.Time
	var choices [msgRole + 1]struct {
		rank   int
		member *member // not repeated behind the role's key, which has its whole value
	}
	msg := []byte(nil)
	syslog := false // the level's number is a syslog severity, as in GELF
	prefixes := 1   // how many times to put "app." before a key that is one of ours
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
		choice := &choices[r]
		if r == noRole || choice.rank != 0 && choice.rank <= rank {
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
			choice.rank, choice.member = rank, nil
			if exact {
				choice.member = mem
			}
		}
	}
	for _, choice := range choices {
		if choice.member != nil {
			choice.member.used = true
		}
	}

	dst = f.appendHead(dst, t, level, m)
	dst = appendMessage(dst, msg)
	dst = append(dst, f.tail[source]...)
	dst = strconv.AppendUint(dst, m.Seq, 10)
	for i := range f.members {
		mem := &f.members[i]
		if mem.used {
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

// appendMessage appends a message that is already a JSON string, without its terminal
// sequences. nil stands for an empty message.
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
