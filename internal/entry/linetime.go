package entry

import (
	"bytes"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// inLine reads the time that a line of text states: at its beginning, behind a
// level or a program's name, or after time= or the like.
func (c clock) inLine(line []byte) (t time.Time, ok bool) {
	b := line
	if len(b) > 0 && b[0] == '<' {
		if _, n := priority(b); n > 0 {
			b = bytes.TrimPrefix(b[n:], []byte("1 "))
		}
	}
	if t, ok = c.bracketed(b); ok {
		return t, true
	}
	if t, ok = c.behindToken(b); ok {
		return t, true
	}
	if len(b) > 5 && b[4] == '[' {
		if level, _ := loglevel.Word(b[:4]); level != loglevel.None {
			t, n := c.at(b[5:]) // INFO[2006-01-02T15:04:05Z], logrus's
			return t, n > 0
		}
	}
	head := b[:min(len(b), levelReach)]
	if i := bytes.IndexAny(head, " ="); i > 0 && head[i] == '=' {
		if t, ok = c.logfmt(head); ok {
			return t, true
		}
	}
	// host - user [23/Nov/2026:20:15:01 +0000], as web servers write it
	if i := bytes.IndexByte(head, '['); i > 0 && len(b) > i+21 && b[i+3] == '/' && b[i+12] == ':' {
		t, n := c.at(b[i+1:])
		return t, n > 0
	}
	return t, false
}

// bracketed reads a time at the beginning of b, with or without an opening bracket.
func (c clock) bracketed(b []byte) (t time.Time, ok bool) {
	if len(b) > 3 && (b[0] == '[' || b[0] == '(') {
		b = b[1:]
		if b[1] == ' ' && isLetter(b[0]) {
			b = b[2:] // [I 2006-01-02 15:04:05.000 App], Jupyter's
		}
	}
	t, n := c.at(b)
	return t, n > 0
}

// behindToken reads a time behind a level, a program's name with a colon, or a process's
// number.
func (c clock) behindToken(b []byte) (t time.Time, ok bool) {
	levelled := false
	for range 3 {
		n := bytes.IndexByte(b[:min(len(b), 40)], ' ')
		if n <= 0 {
			return t, false
		}
		token := b[:n]
		b = bytes.TrimLeft(b[n:], " ")
		switch level, _ := loglevel.Word(bytes.Trim(token, "[]:()")); {
		case level != loglevel.None:
			levelled = true
		case token[n-1] == ':' || token[n-1] == ']' || len(token) == 1 && token[0] == '[':
		case n > 2 && token[n-2] == ':' && digits(token) == n-2: // 7:M, Redis's
		default:
			return t, false
		}
		if t, ok = c.bracketed(b); ok {
			return t, true
		}
		if levelled && len(b) > 0 && b[0] == '[' {
			// [INFO] [1700000000.123456789] [node]: , ROS's
			if end := bytes.IndexByte(b[:min(len(b), 40)], ']'); end > 0 && bytes.IndexByte(b[:end], '.') > 0 {
				if t, _, ok = epoch(b[1:end]); ok {
					return t, true
				}
			}
		}
	}
	return t, false
}

// logfmt reads a time after time=, ts= and the like.
func (c clock) logfmt(head []byte) (t time.Time, ok bool) {
	for i := 0; i < len(head); i++ {
		n := bytes.IndexByte(head[i:], '=')
		if n < 0 {
			return t, false
		}
		i += n
		start := i
		for start > 0 && (isWord(head[start-1]) || head[start-1] == '@') {
			start--
		}
		if start > 0 && head[start-1] != ' ' {
			continue
		}
		switch string(head[start:i]) {
		case "time", "ts", "t", "timestamp", "@timestamp", "datetime":
			value := bytes.TrimPrefix(head[i+1:], []byte(`"`))
			if t, n := c.at(value); n > 0 {
				return t, true
			}
			if end := bytes.IndexAny(value, `" `); end >= 0 {
				value = value[:end]
			}
			t, _, ok = epoch(value)
			return t, ok
		}
	}
	return t, false
}

// epoch reads a number of seconds, milliseconds, microseconds or nanoseconds since 1970; its
// size decides the unit. It accepts the years 1973 to 2286: a smaller number is a duration, a
// larger one a date in digits (20261123201501) or a duration. exact is false if the number is
// more precise than nanoseconds.
func epoch(b []byte) (t time.Time, exact, ok bool) {
	d := digits(b)
	if d < 9 || d > 19 {
		return t, false, false
	}
	var v uint64
	for _, c := range b[:d] {
		v = v*10 + uint64(c-'0')
	}
	perSecond, places := uint64(1), 9 // units in a second; decimals left to a nanosecond
	for v/perSecond >= 1e11 && places > 0 {
		perSecond *= 1000
		places -= 3
	}
	seconds := v / perSecond
	if seconds < 1e8 || seconds >= 1e10 {
		return t, false, false
	}
	nanos := v % perSecond
	for range places / 3 {
		nanos *= 1000
	}
	exact = true
	if d < len(b) {
		decimals := b[d+1:]
		if b[d] != '.' || len(decimals) == 0 || digits(decimals) != len(decimals) {
			return t, false, false
		}
		part := uint64(fraction(decimals))
		for range 9 - places {
			exact = exact && part%10 == 0
			part /= 10
		}
		nanos += part
		exact = exact && len(bytes.TrimRight(decimals, "0")) <= 9
	}
	return time.Unix(int64(seconds), int64(nanos)), exact, true
}
