package entry

import (
	"bytes"
	"fmt"
	"math"
)

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

var levelNames = [...]string{"", "DEBUG", "INFO", "WARN", "ERROR"}

// String is slog's name of the level, and empty for NoLevel.
func (l Level) String() string { return levelNames[l] }

// ParseLevel reads a level as a person or a logger writes it, in any case.
func ParseLevel(s string) (Level, error) {
	level, _ := levelWord([]byte(s))
	if level == NoLevel {
		return NoLevel, fmt.Errorf("no level: %q (want debug, info, warn or error)", s)
	}
	return level, nil
}

// levelReach is how far into a line its level is looked for, in bytes: behind a
// time, a host and a logger's name, but not in the text.
const levelReach = 80

// LevelOf reads the level out of a line of the app, NoLevel if it states none.
// docs/logs.md lists what is recognised. It allocates nothing, and most lines
// without a level cost it a few looks at whole words of the machine.
func LevelOf(line []byte) Level {
	if len(line) == 0 {
		return NoLevel
	}
	if line[0] == '{' || line[0] <= ' ' {
		if level, ok := objectLevel(line); ok {
			return level
		}
	}
	if bytes.IndexByte(line[:min(len(line), levelReach)], 0x1b) >= 0 {
		var clean [2 * levelReach]byte
		line = appendWithoutEscapes(clean[:0], line[:min(len(line), 2*levelReach)], 2*levelReach)
	}
	return textLevel(line)
}

// levelWord is the level that a word names, in any case. exact means that the
// level says all that the word did: FATAL is Severe, but not exactly.
func levelWord(w []byte) (level Level, exact bool) {
	var upper [13]byte
	if len(w) > len(upper) {
		return NoLevel, false
	}
	for i, c := range w {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	switch string(upper[:len(w)]) {
	case "DEBUG", "DBG", "DEBU", "DBUG":
		return Debug, true
	case "TRACE", "TRAC", "TRC", "TRCE", "VERBOSE", "VRB", "FINE", "FINER", "FINEST":
		return Debug, false
	case "INFO", "INF", "INFORMATION":
		return Information, true
	case "NOTICE", "NOTE", "SUCCESS", "INFORMATIONAL":
		return Information, false
	case "WARN", "WARNING", "WRN":
		return Warning, true
	case "ERROR", "ERR", "ERRO":
		return Severe, true
	case "FATAL", "FATA", "FTL", "CRITICAL", "CRIT", "PANIC", "PANI", "PNC", "DPANIC",
		"ALERT", "EMERG", "EMERGENCY", "SEVERE":
		return Severe, false
	}
	return NoLevel, false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// digits is how many digits b begins with.
func digits(b []byte) int {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

// number is the value of up to nine digits.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return min(n, math.MaxInt32)
}
