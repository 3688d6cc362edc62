package entry

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// A member is one member of a JSON object; both are as they stand in the text, the
// name with its quotes.
type member struct{ name, value []byte }

// members reads text as one JSON object and appends its members to list. ok is
// false if text is anything else.
func members(list []member, text []byte) (_ []member, ok bool) {
	text = bytes.TrimRight(bytes.TrimLeft(text, " \t"), " \t")
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' || !json.Valid(text) || !utf8.Valid(text) {
		return list, false
	}
	// The text is valid, so that only the structure is left to be found.
	rest := bytes.TrimLeft(text[1:], " \t\r\n")
	for rest[0] != '}' {
		n := valueSize(rest)
		name := rest[:n]
		rest = bytes.TrimLeft(rest[n:], " \t\r\n:")
		n = valueSize(rest)
		list = append(list, member{name, rest[:n]})
		rest = bytes.TrimLeft(rest[n:], " \t\r\n,")
	}
	return list, true
}

// valueSize is the length of the JSON value that text begins with; text that is no
// JSON has some length up to its own.
func valueSize(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			i += stringSize(text[i:]) - 1
			if depth == 0 {
				return min(i+1, len(text))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// stringSize is the length of the JSON string that text begins with.
func stringSize(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// unquote is what a JSON string says; it is a part of it where it can be.
func unquote(text []byte) (s []byte, ok bool) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return nil, false
	}
	s = text[1 : len(text)-1]
	if bytes.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var plain string
	if json.Unmarshal(text, &plain) != nil {
		return nil, false
	}
	return []byte(plain), true
}

// The names under which loggers write what every line has, the most certain first.
var (
	timeKeys = []string{
		"time", "timestamp", "@timestamp", "ts", "@t", "Timestamp", "timeMillis", "asctime", "datetime", "date", "eventTime", "instant",
	}
	levelKeys = []string{
		"level", "severity", "log.level", "levelname", "lvl", "@l", "Level", "loglevel", "log_level", "priority", "PRIORITY", "severityText", "severityNumber",
	}
	messageKeys = []string{
		"msg", "message", "@m", "short_message", "event", "RenderedMessage", "@mt", "Message", "MessageTemplate", "textPayload", "body",
	}
)

// rank is the place of name in names, -1 if it is not there.
func rank(names []string, name []byte) int {
	for i, n := range names {
		if n == string(name) {
			return i
		}
	}
	return -1
}

// levelValue is the level that a JSON value stands for under a name: a word, or a
// number of bunyan and pino (10 to 60), of syslog, Google Cloud or OpenTelemetry
// where the name says so.
func levelValue(name, value []byte) Level {
	if s, ok := unquote(value); ok {
		// slog writes INFO+2 for what lies between its levels.
		if i := bytes.IndexAny(s, "+-"); i > 0 {
			s = s[:i]
		}
		if level := named(s); level != NoLevel {
			return level
		}
		value = s
	}
	n, err := strconv.ParseUint(string(value), 10, 16)
	if err != nil {
		return NoLevel
	}
	switch string(name) {
	case "priority", "PRIORITY":
		if n <= 7 {
			return syslogLevel(int(n))
		}
	case "severityNumber":
		return step(n, 1, 9, 13, 17, 24)
	case "severity":
		if n <= 7 {
			return syslogLevel(int(n))
		}
		return step(n, 100, 200, 400, 500, 800)
	case "level", "lvl":
		return step(n, 10, 30, 40, 50, 60)
	}
	return NoLevel
}

// step is the level of a number by where the levels begin; last is the largest
// number there is.
func step(n, debug, info, warning, severe, last uint64) Level {
	switch {
	case n < debug || n > last:
		return NoLevel
	case n < info:
		return Debug
	case n < warning:
		return Information
	case n < severe:
		return Warning
	default:
		return Severe
	}
}

// exact says whether a level's value says no more than the level itself, so that
// nothing is lost without it.
func exact(value []byte) bool {
	s, ok := unquote(value)
	if !ok {
		switch string(value) {
		case "20", "30", "40", "50":
			return true
		}
		return false
	}
	switch string(bytes.ToUpper(s)) {
	case "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "INFORMATION", "ERR":
		return true
	}
	return false
}
