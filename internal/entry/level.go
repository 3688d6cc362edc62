package entry

import "bytes"

// A Level is how bad a log line says it is.
type Level int8

// The levels, in slog's order.
const (
	NoLevel Level = iota
	Debug
	Information
	Warning
	Severe // ERROR and worse
)

var levelWords = map[string]Level{
	"TRACE": Debug, "DEBUG": Debug,
	"INFO": Information, "NOTICE": Information,
	"WARN": Warning, "WARNING": Warning,
	"ERROR": Severe, "ERR": Severe, "CRITICAL": Severe, "FATAL": Severe, "PANIC": Severe, "EMERG": Severe,
}

// levelReach is how far into a line its level is looked for, in bytes: behind a
// time, a host and a logger's name, but not in the text.
const levelReach = 80

// LevelOf reads the level out of a line: the first word in capitals that names
// one, or what follows `level=`.
func LevelOf(line []byte) Level {
	head := line[:min(len(line), levelReach)]
	if _, value, ok := bytes.Cut(head, []byte("level=")); ok {
		return levelWords[string(bytes.ToUpper(word(bytes.TrimLeft(value, `"`))))]
	}
	for len(head) > 0 {
		w := word(head)
		if level, ok := levelWords[string(w)]; ok {
			return level
		}
		head = head[max(len(w), 1):]
	}
	return NoLevel
}

// word is the run of letters at the beginning of b.
func word(b []byte) []byte {
	n := 0
	for n < len(b) && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z') {
		n++
	}
	return b[:n]
}
