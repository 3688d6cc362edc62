package entry

import (
	"bytes"
	"strconv"
	"time"
)

// stampOf reads the time that a line of text begins with, in the forms of common
// loggers; year and zone are taken from now where the line has none. ok is false
// if there is no time.
func stampOf(line []byte, now time.Time) (t time.Time, ok bool) {
	if len(line) > 0 && line[0] == '<' {
		_, n := priority(line)
		line = line[n:]
		if bytes.HasPrefix(line, []byte("1 ")) { // RFC 5424
			line = line[2:]
		}
	}
	if isGlog(line) && line[5] == ' ' {
		return clock(line[6:], date{now.Year(), two(line[1:]), two(line[3:])}, now, true)
	} else if isGlog(line) {
		return clock(line[10:], date{100*two(line[1:]) + two(line[3:]), two(line[5:]), two(line[7:])}, now, false)
	}
	line = skipLevel(line)
	switch {
	case len(line) < 8:
		return time.Time{}, false
	case line[0] == '[' && len(line) > 12 && line[1]-'0' < 10:
		if t, ok := epochStamp(line[1:]); ok { // ROS: [1700000000.123456789]
			return t, true
		}
		line = line[1:]
	case line[0] == '"' || line[0] == '\'' || line[0] == '[' || line[0] == '(':
		line = line[1:]
	}
	for _, key := range [][]byte{[]byte("time="), []byte("ts="), []byte("timestamp="), []byte("t=")} {
		if rest, found := bytes.CutPrefix(line, key); found {
			line = bytes.TrimLeft(rest, `"'`)
			break
		}
	}
	if d, n := dateOf(line, now); n > 0 {
		return clock(line[n:], d, now, d.year == now.Year() && n < 8)
	}
	return time.Time{}, false
}

// skipLevel leaves out a level at the beginning: [INFO] [1700000000.1], INFO 2026-.
func skipLevel(line []byte) []byte {
	if w := word(line); len(w) > 2 && capitals(w) != NoLevel {
		return bytes.TrimLeft(line[len(w):], " ")
	}
	if len(line) < 7 || line[0] != '[' {
		return line
	}
	if end := bytes.IndexByte(line[:min(len(line), 14)], ']'); end > 0 && named(bytes.TrimSpace(line[1:end])) != NoLevel {
		return bytes.TrimLeft(line[end+1:], " ")
	}
	return line
}

type date struct{ year, month, day int }

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// dateOf reads a date and what parts it from the time behind it; n is its length,
// 0 if there is none.
func dateOf(line []byte, now time.Time) (d date, n int) {
	switch {
	case len(line) >= 11 && (line[4] == '-' || line[4] == '/' || line[4] == '.') && line[7] == line[4] && digits(line[:4]):
		// 2026-11-23T, 2026-11-23 , 2026/11/23
		d = date{100*two(line) + two(line[2:]), two(line[5:]), two(line[8:])}
		if c := line[10]; c != 'T' && c != ' ' && c != '_' && c != 't' {
			return d, 0
		}
		n = 11
	case len(line) >= 7 && line[3] == ' ' && line[6] == ' ':
		// Nov 23 , Nov  3 : RFC 3164
		i := bytes.Index([]byte(months), line[:3])
		if i < 0 || i%3 != 0 {
			return d, 0
		}
		day := int(line[5] - '0')
		if line[4] != ' ' {
			day = two(line[4:])
		}
		d, n = date{now.Year(), i/3 + 1, day}, 7
	default:
		return d, 0
	}
	if d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 {
		return d, 0
	}
	return d, n
}

// clock reads hours, minutes and seconds behind a date, a fraction, and a zone.
// guessed says that the year is only now's: a date in the future is one of last
// year.
func clock(text []byte, d date, now time.Time, guessed bool) (time.Time, bool) {
	if len(text) < 8 || text[2] != ':' || text[5] != ':' || !digits(text[:2]) || !digits(text[3:5]) || !digits(text[6:8]) {
		return time.Time{}, false
	}
	hour, minute, second := two(text), two(text[3:]), two(text[6:])
	if hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	text = text[8:]
	nano := 0
	if len(text) > 1 && (text[0] == '.' || text[0] == ',') && text[1]-'0' < 10 {
		scale := 1_000_000_000
		i := 1
		for ; i < len(text) && text[i]-'0' < 10; i++ {
			if scale > 1 {
				scale /= 10
				nano += int(text[i]-'0') * scale
			}
		}
		text = text[i:]
	}
	zone := now.Location()
	switch {
	case len(text) > 0 && text[0] == 'Z':
		zone = time.UTC
	case len(text) > 0 && text[0] == ' ' && len(text) > 5 && (text[1] == '+' || text[1] == '-'):
		text = text[1:]
		fallthrough
	case len(text) >= 5 && (text[0] == '+' || text[0] == '-') && digits(text[1:3]):
		minutes := text[3:]
		if minutes[0] == ':' {
			minutes = minutes[1:]
		}
		if len(minutes) < 2 || !digits(minutes[:2]) || !digits(text[1:3]) {
			break
		}
		offset := 3600*two(text[1:]) + 60*two(minutes)
		if offset > 18*3600 {
			break
		}
		if text[0] == '-' {
			offset = -offset
		}
		zone = fixedZone(offset)
	}
	t := time.Date(d.year, time.Month(d.month), d.day, hour, minute, second, nano, zone)
	if t.Day() != d.day && second < 60 {
		return time.Time{}, false // no such day
	}
	if guessed && t.After(now.Add(48*time.Hour)) {
		t = time.Date(d.year-1, time.Month(d.month), d.day, hour, minute, second, nano, zone)
	}
	return t, true
}

func fixedZone(offset int) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	return time.FixedZone("", offset)
}

// two is a number of two digits.
func two(b []byte) int {
	if len(b) < 2 || b[0]-'0' > 9 || b[1]-'0' > 9 {
		return -1
	}
	return 10*int(b[0]-'0') + int(b[1]-'0')
}

func digits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// epochStamp reads seconds since 1970 with a fraction, as ROS writes them, up to
// "]".
func epochStamp(text []byte) (time.Time, bool) {
	end := bytes.IndexByte(text[:min(len(text), 24)], ']')
	if end < 12 || text[10] != '.' {
		return time.Time{}, false
	}
	return epoch(text[:end])
}

// The seconds since 1970 that a number is read as lie between these: 1973 and 2286.
const (
	firstSecond = 100_000_000
	lastSecond  = 9_999_999_999
)

// epoch reads a number as the time since 1970, in seconds, milliseconds,
// microseconds or nanoseconds: as whichever makes it a time of our age.
func epoch(number []byte) (time.Time, bool) {
	whole, fraction, _ := bytes.Cut(number, []byte("."))
	if bytes.ContainsAny(number, "eE") { // 1.7634567e+09, as zap may write it
		f, err := strconv.ParseFloat(string(number), 64)
		if err != nil || f < firstSecond || f > lastSecond {
			return time.Time{}, false
		}
		return time.UnixMicro(int64(f * 1e6)), true
	}
	if !digits(whole) || !digits(fraction) || len(whole) == 0 || len(whole) > 19 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	unit := int64(1) // of n, in parts of a second
	for n/unit > lastSecond {
		unit *= 1000
	}
	if n/unit < firstSecond || unit > 1_000_000_000 {
		return time.Time{}, false
	}
	nano := n % unit * (1_000_000_000 / unit)
	scale := 1_000_000_000 / unit
	for _, c := range fraction {
		if scale /= 10; scale == 0 {
			break
		}
		nano += int64(c-'0') * scale
	}
	return time.Unix(n/unit, nano), true
}

// timeValue is the time that a JSON value stands for: a string in one of the forms
// of text, or a number since 1970. An object is Google Cloud's (seconds, nanos) or
// log4j's (epochSecond, nanoOfSecond).
func timeValue(value []byte, now time.Time) (time.Time, bool) {
	if len(value) == 0 {
		return time.Time{}, false
	}
	if value[0] == '{' {
		var seconds, nanos []byte
		parts, _ := members(nil, value)
		for _, m := range parts {
			switch string(m.name) {
			case `"seconds"`, `"epochSecond"`:
				seconds = bytes.Trim(m.value, `"`)
			case `"nanos"`, `"nanoOfSecond"`:
				nanos = m.value
			}
		}
		t, ok := epoch(seconds)
		n, err := strconv.ParseInt(string(nanos), 10, 64)
		if len(nanos) > 0 && (err != nil || n < 0 || n >= 1_000_000_000) {
			return time.Time{}, false
		}
		return t.Add(time.Duration(n)), ok
	}
	if s, ok := unquote(value); ok {
		if t, ok := stampOf(s, now); ok {
			return t, true
		}
		value = s
	}
	return epoch(value)
}
