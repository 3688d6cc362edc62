// Package loglevel defines the levels of log lines and the words for them.
package loglevel

import "errors"

// A Level is the severity that a log line states.
type Level int8

// The levels, in slog's order.
const (
	None Level = iota // the line states none
	Debug
	Info
	Warn
	Error // ERROR and worse
)

// String returns slog's name of the level, "" for None.
func (l Level) String() string { return [...]string{"", "DEBUG", "INFO", "WARN", "ERROR"}[l] }

// Parse reads a level as a person or a logger writes it, in any case.
func Parse(s string) (Level, error) {
	level, _ := Word([]byte(s))
	if level == None {
		return None, errors.New("must be debug, info, warn or error")
	}
	return level, nil
}

// Word returns the level that a word names, in any case. exact: the level means the same as
// the word; FATAL is Error, but not exactly.
func Word(w []byte) (level Level, exact bool) {
	var upper [13]byte
	if len(w) > len(upper) {
		return None, false
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
		return Info, true
	case "NOTICE", "NOTE", "SUCCESS", "INFORMATIONAL":
		return Info, false
	case "WARN", "WARNING", "WRN":
		return Warn, true
	case "ERROR", "ERR", "ERRO":
		return Error, true
	case "FATAL", "FATA", "FTL", "CRITICAL", "CRIT", "PANIC", "PANI", "PNC", "DPANIC",
		"ALERT", "EMERG", "EMERGENCY", "SEVERE":
		return Error, false
	}
	return None, false
}
