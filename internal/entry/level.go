package entry

import (
	"bytes"
	"encoding/binary"
	"math/bits"
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

// String is the level as slog writes it, empty for NoLevel.
func (l Level) String() string { return levelNames[l] }

// levelReach is how far into a line its level is looked for, in bytes: behind a
// time, a host and a logger's name, but not in the text.
const levelReach = 80

// LevelOf reads the level out of a line: out of journald's <3> or glog's E1123 at
// its beginning, a JSON object, `level=`, a word in brackets, or the first word in
// capitals that names one. It allocates nothing, and takes some 30 ns for a line
// without one.
func LevelOf(line []byte) Level {
	if len(line) < 3 {
		return NoLevel
	}
	switch c := line[0]; {
	case c == '{':
		return objectLevel(line)
	case c == '<':
		if level, _ := priority(line); level != NoLevel {
			return level
		}
	case isGlog(line):
		return glogLevel(c)
	}
	head := line[:min(len(line), levelReach)]
	if lower := leading(head); lower != NoLevel {
		return lower
	}
	for at := capital(head, 0); at < len(head); {
		end := at
		for end < len(head) && isWord(head[end]) {
			end++
		}
		if at == 0 || !isWord(head[at-1]) || coloured(head[:at]) {
			if level := capitals(head[at:end]); level != NoLevel {
				return level
			}
		}
		at = capital(head, max(end, at+1))
	}
	if level := assigned(head); level != NoLevel {
		return level
	}
	return bracketed(head)
}

// capital is the index of the first letter from A to Z at or behind from, or
// len(b). It looks at eight bytes at once.
func capital(b []byte, from int) int {
	const high, ones = 0x8080808080808080, 0x0101010101010101
	for ; from+8 <= len(b); from += 8 {
		x := binary.LittleEndian.Uint64(b[from:])
		low := x &^ high
		// The high bit of a byte of the sum says that the byte is at least 'A',
		// of the other that it is at least '['.
		letters := (low + (0x80-'A')*ones) &^ (low + (0x80-'[')*ones) &^ x & high
		if letters != 0 {
			return from + bits.TrailingZeros64(letters)/8
		}
	}
	for ; from < len(b); from++ {
		if b[from]-'A' < 26 {
			return from
		}
	}
	return len(b)
}

func isWord(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c == '_'
}

// coloured says whether before ends with a colour sequence (ECMA-48, SGR).
func coloured(before []byte) bool {
	i := bytes.LastIndexByte(before, 0x1b)
	return i >= 0 && sequence(before[i:]) == len(before)-i
}

// capitals is the level that a word in capitals names. logrus writes INFO[0000]
// and its like, others three letters.
func capitals(w []byte) Level {
	if len(w) < 3 || len(w) > 11 {
		return NoLevel
	}
	switch string(w) {
	case "TRACE", "DEBUG", "DEBU", "DBG", "TRC", "TRAC", "VERBOSE", "FINE", "FINER", "FINEST", "DEBUG1", "DEBUG2", "DEBUG3":
		return Debug
	case "INFO", "INF", "NOTICE", "INFORMATION", "CONFIG":
		return Information
	case "WARN", "WARNING", "WRN":
		return Warning
	case "ERROR", "ERR", "ERRO", "SEVERE", "CRITICAL", "CRIT", "FATAL", "FATA", "FTL", "PANIC", "PANI", "PNC", "DPANIC", "EMERG", "EMERGENCY", "ALERT":
		return Severe
	}
	return NoLevel
}

// named is the level that a word names in whatever case, where it stands for a
// level and for nothing else.
func named(w []byte) Level {
	if len(w) == 0 || len(w) > 11 {
		return NoLevel
	}
	var upper [11]byte
	for i, c := range w {
		if c-'a' < 26 {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	return capitals(upper[:len(w)])
}

// leading is the level of a line that begins with its name, as compilers and
// tools say it (error: …).
func leading(head []byte) Level {
	if head[0]-'a' >= 26 {
		return NoLevel
	}
	if w := word(head); len(w) > 2 && len(w) < len(head) && head[len(w)] == ':' {
		return named(w)
	}
	return NoLevel
}

// bracketed is the level of a word in brackets, as nginx and spdlog write it.
func bracketed(head []byte) Level {
	for {
		i := bytes.IndexByte(head, '[')
		if i < 0 {
			return NoLevel
		}
		head = head[i+1:]
		w := word(head)
		if len(w) > 2 && bytes.HasPrefix(bytes.TrimLeft(head[len(w):], " "), []byte("]")) {
			if level := named(w); level != NoLevel {
				return level
			}
		}
	}
}

var (
	levelEquals = []byte("level=")
	lvlEquals   = []byte("lvl=")
)

// assigned is the level of level= or lvl=, as in logfmt.
func assigned(head []byte) Level {
	for at := 0; ; {
		i := bytes.IndexByte(head[at:], '=')
		if i < 0 {
			return NoLevel
		}
		at += i + 1
		if key := head[:at]; bytes.HasSuffix(key, levelEquals) || bytes.HasSuffix(key, lvlEquals) {
			return named(word(bytes.TrimLeft(head[at:], `"'`)))
		}
	}
}

// word is the run of letters at the beginning of b.
func word(b []byte) []byte {
	n := 0
	for n < len(b) && b[n]|0x20-'a' < 26 {
		n++
	}
	return b[:n]
}

// priority reads <N> at the beginning of a line as sd-daemon(3) and RFC 5424 have
// it: the level of N modulo 8, and the length of it. size is 0 if there is none.
func priority(line []byte) (level Level, size int) {
	n, i := 0, 1
	for i < len(line) && i < 4 && line[i]-'0' < 10 {
		n = 10*n + int(line[i]-'0')
		i++
	}
	if i == 1 || i == len(line) || line[i] != '>' || n > 191 {
		return NoLevel, 0
	}
	return syslogLevel(n % 8), i + 1
}

// syslogLevel is the level of a severity of RFC 5424, from 0 (emergency) to 7
// (debug).
func syslogLevel(severity int) Level {
	switch {
	case severity <= 3:
		return Severe
	case severity == 4:
		return Warning
	case severity <= 6:
		return Information
	default:
		return Debug
	}
}

// isGlog says whether a line begins as glog's and klog's do: a letter, month and
// day, a blank, and a time (I1123 20:15:01.123456); newer ones have the year, too.
func isGlog(line []byte) bool {
	if len(line) < 19 || glogLevel(line[0]) == NoLevel {
		return false
	}
	if line[5]-'0' < 10 {
		return digits(line[1:9]) && line[9] == ' ' && line[12] == ':' && line[15] == ':'
	}
	return digits(line[1:5]) && line[5] == ' ' && line[8] == ':' && line[11] == ':'
}

func glogLevel(c byte) Level {
	switch c {
	case 'D':
		return Debug
	case 'I':
		return Information
	case 'W':
		return Warning
	case 'E', 'F':
		return Severe
	}
	return NoLevel
}

// objectLevel is the level in a line that seems to be a JSON object. It looks for
// the key alone: whether the line really is one costs more to say.
func objectLevel(line []byte) Level {
	for at := 0; ; {
		i := bytes.IndexByte(line[at:], ':')
		if i < 0 {
			return NoLevel
		}
		at += i + 1
		key := bytes.TrimRight(line[:at-1], " ")
		if len(key) == 0 || key[len(key)-1] != '"' {
			continue
		}
		key = key[:len(key)-1]
		name := key[bytes.LastIndexByte(key, '"')+1:]
		if rank(levelKeys, name) >= 0 {
			value := bytes.TrimLeft(line[at:], " ")
			if level := levelValue(name, value[:valueSize(value)]); level != NoLevel {
				return level
			}
		}
	}
}
