package entry

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// A role says which key of ours a member of the app's object is for.
type role uint8

const (
	noRole role = iota
	timeRole
	levelRole
	msgRole
)

// recognise returns the role that loggers give a member. Of several members with one role,
// the valid one with the lowest rank is used.
func recognise(key, value []byte) (role, int) {
	switch string(key) {
	case "time": // slog, zerolog, logrus, bunyan, pino, GCP
		return timeRole, 1
	case "ts": // zap
		return timeRole, 2
	case "timestamp": // structlog, winston, GCP
		return timeRole, 3
	case "@timestamp": // ECS, logback
		return timeRole, 4
	case "@t", "Timestamp", "instant", "timeMillis", "asctime", "datetime", "t", "T", "eventTime",
		"timestampSeconds", "__REALTIME_TIMESTAMP":
		return timeRole, 5

	case "levelname", "level_name", "severity_text", "severityText", "SeverityText": // words beside a number
		return levelRole, 1
	case "level":
		if value[0] == '"' && !isDigit(value[1]) {
			return levelRole, 1
		}
		return levelRole, 2
	case "severity": // GCP
		return levelRole, 3
	case "log.level", "log": // ECS, flat or nested
		return levelRole, 4
	case "@l", "Level", "LogLevel", "lvl", "L", "loglevel", "log_level", "PRIORITY", "levelno",
		"severity_number", "severityNumber", "SeverityNumber", "level_value", "level_number":
		return levelRole, 5

	case "msg": // slog, zap, logrus, bunyan, pino
		return msgRole, 1
	case "message": // zerolog, winston, log4j, GCP, ECS
		return msgRole, 2
	case "@m", "RenderedMessage": // Serilog
		return msgRole, 3
	case "event": // structlog
		return msgRole, 4
	case "short_message", "Message", "MESSAGE", "M", "Body":
		return msgRole, 5
	case "@mt", "MessageTemplate":
		return msgRole, 6
	}
	return noRole, 0
}

// ours reports whether a key is one that wrapp writes in each message.
func ours(key []byte) bool {
	switch string(key) {
	case "time", "level", "msg", "service", "source", "run", "pid", "seq":
		return true
	}
	return false
}

// levelValue reads a level out of a JSON value. exact: the level says as much as the value.
// syslog: a number is a syslog severity.
func levelValue(key, value []byte, syslog bool) (level loglevel.Level, exact bool) {
	switch c := value[0]; {
	case string(key) == "log":
		return objectLevelIn(value), false
	case c == '"':
		text := jsontext.Unquote(value)
		if bytes.IndexByte(text, 0x1b) >= 0 {
			text = appendWithoutEscapes(nil, text, len(text))
		}
		if len(text) > 0 && digits(text) == len(text) {
			level, _ = levelNumber(key, text, syslog || string(key) == "PRIORITY")
			return level, false
		}
		return levelText(text)
	case isDigit(c):
		return levelNumber(key, value, syslog)
	}
	return loglevel.None, false
}

// levelText reads a level's name, as in "warning" or "INFO+2".
func levelText(text []byte) (level loglevel.Level, exact bool) {
	text = bytes.TrimSpace(text)
	if level, exact = loglevel.Word(text); level != loglevel.None {
		return level, exact
	}
	if n := bytes.IndexAny(text, "+-"); n > 0 && n+1 < len(text) && digits(text[n+1:]) == len(text)-n-1 {
		level, _ = loglevel.Word(text[:n]) // slog's levels between the levels
		return level, false
	}
	switch {
	case bytes.EqualFold(text, []byte("silly")) || bytes.EqualFold(text, []byte("http")): // npm's
		return loglevel.Debug, false
	case bytes.EqualFold(text, []byte("default")): // GCP's
		return loglevel.Info, false
	}
	return loglevel.None, false
}

// levelNumber reads a level that is a number. The key, syslog or the number's size decides
// its scale.
func levelNumber(key, value []byte, syslog bool) (level loglevel.Level, exact bool) {
	if len(value) > 5 || digits(value) != len(value) {
		return loglevel.None, false
	}
	n := number(value)
	scale := []int{10, 30, 40, 50, 70} // bunyan, pino, Python: where each level begins
	switch k := string(key); {
	case syslog || k == "PRIORITY":
		return syslogLevel(n), false
	case strings.HasSuffix(strings.ToLower(k), "number") && k != "level_number":
		scale = []int{1, 9, 13, 17, 25} // OpenTelemetry
	case k == "level_value":
		scale = []int{5000, 20000, 30000, 40000, 50001} // logback
	case k == "levelno" || k == "level_number":
		scale = []int{1, 20, 30, 40, 51} // Python
	case k == "severity" && n >= 100:
		scale = []int{100, 200, 400, 500, 801} // GCP
	case n >= 100:
		scale = []int{100, 200, 300, 400, 601} // Monolog
	default:
		exact = n == 20 || n == 30 || n == 40 || n == 50
	}
	for i := len(scale) - 2; i >= 0; i-- {
		if n >= scale[i] && n < scale[len(scale)-1] {
			return loglevel.Debug + loglevel.Level(i), exact
		}
	}
	return loglevel.None, false
}

// objectLevel returns the level of the object at the beginning of line, as appendObject does.
// It stops as soon as no better member can follow, so it reads few lines to their end. ok is
// false if the part that it read is not an object and has no level.
func objectLevel(line []byte) (level loglevel.Level, ok bool) {
	s := scan(line)
	if !s.open() {
		return loglevel.None, false
	}
	scale := 0 // of a number in "level": 1 if a syslog severity, as in GELF
	var best [2]struct {
		rank  int
		level loglevel.Level
	}
	for first := true; best[0].rank != 1 || best[1].rank != 1; first = false {
		m, more, good := s.member(first)
		if ok = good; !ok || !more {
			break
		}
		key, value := m.plain(line), m.value(line)
		if string(key) == "short_message" {
			scale = 1
		}
		r, rank := recognise(key, value)
		if r != levelRole {
			continue
		}
		for i := range best {
			b := &best[i]
			if b.rank != 0 && b.rank <= rank {
				continue
			}
			if level, _ := levelValue(key, value, i == 1 && string(key) == "level"); level != loglevel.None {
				b.rank, b.level = rank, level
			}
		}
	}
	level = best[scale].level
	return level, ok || level != loglevel.None
}

// objectLevelIn returns the level in the member "level" of an object.
func objectLevelIn(value []byte) loglevel.Level {
	s := scan(value)
	if !s.open() {
		return loglevel.None
	}
	for first := true; ; first = false {
		m, more, ok := s.member(first)
		if !ok || !more {
			return loglevel.None
		}
		if v := m.value(value); string(m.key(value)) == "level" && v[0] == '"' {
			level, _ := levelText(jsontext.Unquote(v))
			return level
		}
	}
}

// value reads a time out of a JSON value. exact: t is as precise as the value.
func (c clock) value(value []byte) (t time.Time, exact, ok bool) {
	switch first := value[0]; {
	case first == '"':
		text := bytes.TrimSpace(jsontext.Unquote(value))
		if t, n := c.at(text); n > 0 && n == len(text) {
			decimals := text[bytes.LastIndexAny(text, ".,")+1:]
			decimals = decimals[:digits(decimals)]
			return t, len(bytes.TrimRight(decimals, "0")) <= 9, true
		}
		return epoch(text)
	case isDigit(first):
		if bytes.ContainsAny(value, "eE") {
			n, err := strconv.ParseFloat(string(value), 64)
			if err != nil {
				return t, false, false
			}
			t, _, ok = epoch(strconv.AppendFloat(nil, n, 'f', -1, 64))
			return t, false, ok
		}
		return epoch(value)
	case first == '{':
		t, ok = instant(value)
		return t, false, ok
	}
	return t, false, false
}

// nanosBeside returns GCP's timestampNanos, which belongs to timestampSeconds.
func nanosBeside(members []member, line []byte) time.Duration {
	for i := range members {
		if string(members[i].plain(line)) == "timestampNanos" {
			v := bytes.Trim(members[i].value(line), `"`)
			if len(v) <= 9 && digits(v) == len(v) {
				return time.Duration(number(v))
			}
		}
	}
	return 0
}

// instant reads a time that is an object: log4j's epochSecond and nanoOfSecond,
// GCP's seconds and nanos.
func instant(value []byte) (t time.Time, ok bool) {
	s := scan(value)
	if !s.open() {
		return t, false
	}
	nanos := 0
	for first := true; ; first = false {
		m, more, good := s.member(first)
		if !good {
			return t, false
		}
		if !more {
			return t.Add(time.Duration(nanos)), ok
		}
		v := m.value(value)
		switch string(m.key(value)) {
		case "epochSecond", "seconds":
			t, _, ok = epoch(v)
		case "nanoOfSecond", "nanos":
			if len(v) <= 9 && digits(v) == len(v) {
				nanos = number(v)
			}
		}
	}
}
