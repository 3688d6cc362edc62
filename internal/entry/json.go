package entry

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// JSON makes JSON objects of an app's lines. It is for one goroutine.
type JSON struct {
	fixed   [2][]byte // service, source, run, pid; by whether it is stderr
	list    []member
	scratch []byte
}

// NewJSON returns a JSON for one run of an app; run is the time in its run
// markers.
func NewJSON(service, run string, pid int) *JSON {
	j := new(JSON)
	for i, source := range []string{"stdout", "stderr"} {
		b := appendString([]byte(`,"service":`), []byte(service))
		b = appendString(append(b, `,"source":`...), []byte(source))
		b = appendString(append(b, `,"run":`...), []byte(run))
		j.fixed[i] = strconv.AppendInt(append(b, `,"pid":`...), int64(pid), 10)
	}
	return j
}

// ours are the names of what we say; what the app says under one of them gets
// "app." in front.
var ours = []string{"time", "level", "msg", "service", "source", "run", "pid", "seq"}

// stampLayout is RFC 3339 with nanoseconds, always nine digits, so that times of
// one zone sort as text.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// Append appends one JSON object for a line that was read at an instant, and
// returns the level that the line states, or NoLevel. The keys are those of
// log/slog, time, level and msg, then service, source, run, pid and seq; then,
// if the line is a JSON object itself, its members as they stand. docs/logs.md has
// the rules.
func (j *JSON) Append(dst, line []byte, at time.Time, stderr bool, seq uint64) ([]byte, Level) {
	line = j.clean(line)
	list, isObject := members(j.list[:0], line)
	j.list = list
	stamp, level, message := at, NoLevel, line
	var timeAt, levelAt, messageAt int // places in list, from 1; 0: none
	if isObject {
		message = nil
		timeAt = find(list, timeKeys, func(_, value []byte) (ok bool) {
			t, ok := timeValue(value, at)
			if ok {
				stamp = t
			}
			return ok
		})
		levelAt = find(list, levelKeys, func(name, value []byte) bool {
			l := levelValue(name, value)
			if l != NoLevel {
				level = l
			}
			return l != NoLevel
		})
		messageAt = find(list, messageKeys, func(_, value []byte) (ok bool) {
			message, ok = unquote(value)
			return ok
		})
	} else {
		level = LevelOf(line)
		if t, ok := stampOf(line, at); ok {
			stamp = t
		}
		if len(line) > 0 && line[0] == '<' {
			_, n := priority(line)
			message = line[n:]
		}
	}
	shown := level
	if shown == NoLevel {
		shown = Information
	}
	dst = append(dst, `{"time":"`...)
	dst = stamp.AppendFormat(dst, stampLayout)
	dst = append(append(append(dst, `","level":"`...), shown.String()...), `","msg":`...)
	if messageAt > 0 && bytes.IndexByte(message, 0x1b) < 0 {
		dst = append(dst, list[messageAt-1].value...)
	} else {
		dst = appendString(dst, j.clean(message))
	}
	source := 0
	if stderr {
		source = 1
	}
	dst = append(dst, j.fixed[source]...)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), seq, 10)
	if isObject {
		for i, m := range list {
			if i+1 == timeAt || i+1 == messageAt || i+1 == levelAt && exact(m.value) {
				continue
			}
			dst = append(dst, ',')
			dst = j.appendName(dst, m.name)
			dst = append(append(dst, ':'), m.value...)
		}
	}
	return append(dst, '}'), level
}

// find returns the place, from 1, of the member with the foremost of the names
// that take takes, 0 if there is none.
func find(list []member, names []string, take func(name, value []byte) bool) int {
	for from := 0; ; from++ {
		best, at := len(names), 0
		for i, m := range list {
			name, _ := unquote(m.name)
			if r := rank(names[from:], name); r >= 0 && from+r < best {
				best, at = from+r, i+1
			}
		}
		if at == 0 {
			return 0
		}
		if take([]byte(names[best]), list[at-1].value) {
			return at
		}
		from = best
	}
}

// appendName appends the name of a member of the app's, with "app." in front if it
// is one of ours, or one that another member got by that.
func (j *JSON) appendName(dst, name []byte) []byte {
	plain, ok := unquote(name)
	base, inner := plain, plain
	for bytes.HasPrefix(base, appDot) {
		base = base[len(appDot):]
	}
	if !ok || rank(ours, base) < 0 {
		return append(dst, name...)
	}
	if inner, ok = bytes.CutPrefix(plain, appDot); ok && !j.has(inner) {
		return append(dst, name...)
	}
	return append(append(append(dst, `"app.`...), plain...), '"')
}

var appDot = []byte("app.")

// has says whether the app has a member of this name.
func (j *JSON) has(name []byte) bool {
	for _, m := range j.list {
		if plain, _ := unquote(m.name); bytes.Equal(plain, name) {
			return true
		}
	}
	return false
}

// clean is line without terminal sequences, good until the next call. It is line
// itself if it has none.
func (j *JSON) clean(line []byte) []byte {
	at := bytes.IndexByte(line, 0x1b)
	if at < 0 {
		return line
	}
	clean := append(j.scratch[:0], line[:at]...)
	for at < len(line) {
		if n := sequence(line[at:]); n > 0 {
			at += n
			continue
		}
		clean = append(clean, line[at])
		at++
	}
	j.scratch = clean
	return clean
}

// sequence is the length of the control sequence of ECMA-48 that text begins with,
// 0 if it begins with none.
func sequence(text []byte) int {
	if len(text) < 2 || text[0] != 0x1b {
		return 0
	}
	switch c := text[1]; {
	case c == '[': // CSI: parameters, then a final byte
		for i := 2; i < len(text); i++ {
			if c := text[i]; c >= 0x40 && c <= 0x7e {
				return i + 1
			} else if c < 0x20 || c > 0x7e {
				return i
			}
		}
		return len(text)
	case c == ']' || c == 'P' || c == '_' || c == '^': // OSC and others: up to BEL or ST
		for i := 2; i < len(text); i++ {
			if text[i] == 0x07 {
				return i + 1
			}
			if text[i] == 0x1b && i+1 < len(text) && text[i+1] == '\\' {
				return i + 2
			}
		}
		return 2 // it has no end: the rest is text
	case c >= 0x20 && c <= 0x2f: // intermediate bytes, then a final one
		for i := 2; i < len(text); i++ {
			if text[i] >= 0x30 {
				return i + 1
			}
		}
		return len(text)
	case c >= 0x30 && c <= 0x7e:
		return 2
	}
	return 0
}

// appendString appends text as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf && c != 0x7f {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(append(dst, text[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, text[start:]...), '"')
}
