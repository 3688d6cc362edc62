package entry

import (
	"bytes"
	"encoding/binary"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// textLevel returns the level of a line of text without terminal sequences.
func textLevel(line []byte) loglevel.Level {
	if len(line) == 0 {
		return loglevel.None
	}
	head := line
	if n := levelReach; len(line) > n {
		for n > 0 && isLetter(line[n-1]) && isLetter(line[n]) {
			n-- // do not cut a word
		}
		head = line[:n]
	}
	if len(head) == 0 {
		return loglevel.None
	}
	if head[0] == '<' {
		if level, _ := priority(head); level != loglevel.None {
			return level
		}
	}
	if head[0] >= 'D' && head[0] <= 'W' {
		if level := glogLevel(head); level != loglevel.None {
			return level
		}
	}
	if len(head) > 3 && head[0] == '[' && head[2] == ' ' && isDigit(head[3]) {
		if level := letterLevel(head[1]); level != loglevel.None {
			return level // [I 2006-01-02 15:04:05 App], Jupyter's
		}
	}
	if i := bytes.IndexByte(head, '='); i > 0 {
		if level := logfmtLevel(head); level != loglevel.None {
			// The text may be about a level, as in "INFO  now level=error".
			before := head[:bytes.LastIndexByte(head[:i], ' ')+1]
			if own := statedLevel(before); own != loglevel.None {
				return own
			}
			return level
		}
	}
	return statedLevel(head)
}

// statedLevel is wordLevel with a cheap early exit for lines without a level.
func statedLevel(head []byte) loglevel.Level {
	if capitals(head) || marked(head) {
		return wordLevel(head)
	}
	return loglevel.None
}

// capitals reports whether b has two adjacent capital letters, as every level in capitals
// has. It checks eight bytes at a time.
func capitals(b []byte) bool {
	const (
		all  = 0x0101010101010101
		high = 0x80 * all
	)
	var carry uint64
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		y := x &^ high
		// The high bit of each byte of upper: the byte is in A to Z.
		upper := (y + (0x80-'A')*all) &^ (y + (0x80-'Z'-1)*all) &^ x & high
		if upper&(upper<<8|carry) != 0 {
			return true
		}
		carry = upper >> 56
		b = b[8:]
	}
	was := carry != 0
	for _, c := range b {
		is := c >= 'A' && c <= 'Z'
		if was && is {
			return true
		}
		was = is
	}
	return false
}

// marked reports whether a level may stand before a colon in b, as in "error: "
// and "file.c:1:5: warning: ", or a word in brackets, as in "[info ]".
func marked(b []byte) bool {
	for rest := b; ; {
		i := bytes.IndexByte(rest, ':')
		if i < 0 {
			break
		}
		n := i
		for n > 0 && isLetter(rest[n-1]) {
			n--
		}
		if i-n >= 3 {
			if level, _ := levelText(rest[n:i]); level != loglevel.None {
				return true
			}
		}
		rest = rest[i+1:]
	}
	for rest := b; ; {
		i := bytes.IndexByte(rest, '[')
		if i < 0 {
			return false
		}
		rest = bytes.TrimLeft(rest[i+1:], " ")
		if len(rest) > 0 && isLetter(rest[0]) {
			return true
		}
	}
}

// wordLevel returns the level that the first words of a line name: in capitals, in brackets,
// or before a colon. Three words of prose end the search.
func wordLevel(head []byte) loglevel.Level {
	gstreamer := isGStreamer(head)
	prose := 0
	bracket := -1         // offset of the last opening bracket
	weak := loglevel.None // by a word that may also name a module
	for i := 0; i < len(head); {
		c := head[i]
		if !isLetter(c) {
			if c == '[' {
				bracket = i
			}
			if c != ' ' {
				prose = 0
			}
			i++
			continue
		}
		n := i + 1
		capital, small := c < 'a', c >= 'a'
		for n < len(head) && isLetter(head[n]) {
			capital = capital && head[n] < 'a'
			n++
		}
		w := head[i:n]
		before, after := byte(' '), byte(' ')
		if i > 0 {
			before = head[i-1]
		}
		if n < len(head) {
			after = head[n]
		}
		if len(w) >= 3 && len(w) <= len("informational") {
			if capital && opens(before) && closes(after) {
				if level, _ := loglevel.Word(w); level != loglevel.None {
					return level
				}
				if level := lineWord(w, after, gstreamer); level != loglevel.None {
					return level
				}
			}
			boxed := inBracket(head, bracket, i, n)
			if boxed || after == ':' && (n+1 == len(head) || head[n+1] == ' ') && leads(head[:i]) {
				if level, _ := loglevel.Word(w); level != loglevel.None {
					return level
				}
				// "http: " is winston's level at the start of a line, and part of Go's errors elsewhere.
				if weak == loglevel.None && (boxed || i == 0 || !bytes.EqualFold(w, []byte("http"))) {
					weak, _ = levelText(w)
				}
			}
		}
		if small && (before == ' ' || before == '\t') && after == ' ' {
			if prose++; prose == 3 {
				return weak
			}
		} else {
			prose = 0
		}
		i = n
	}
	return weak
}

// isGStreamer reports whether a line begins like GStreamer's, with the time since the
// program's start: 0:00:00.121371801, and 12:00:00.121371801 after twelve hours.
func isGStreamer(head []byte) bool {
	n := digits(head)
	return n > 0 && len(head) > n+7 && head[n] == ':' && head[n+3] == ':' && head[n+6] == '.' && digits(head[n+7:]) == 9
}

// lineWord returns the level of words that are levels only in some programs' lines:
// GStreamer's, and PostgreSQL's "LOG:".
func lineWord(w []byte, after byte, gstreamer bool) loglevel.Level {
	switch string(w) {
	case "LOG":
		if gstreamer {
			return loglevel.Debug
		}
		if after == ':' {
			return loglevel.Info
		}
	case "MEMDUMP":
		if gstreamer {
			return loglevel.Debug
		}
	case "FIXME":
		if gstreamer {
			return loglevel.Warn
		}
	}
	return loglevel.None
}

// opens reports whether a level in capitals may follow c.
func opens(c byte) bool {
	switch c {
	case ' ', '\t', '[', '(', '<', '|', ':', '*', ']', '"':
		return true
	}
	return false
}

// closes reports whether c may follow a level in capitals.
func closes(c byte) bool {
	switch c {
	case ' ', '\t', ']', ')', '>', '|', ':', '*', '[', '/', ',', '(':
		return true
	}
	return false
}

// inBracket reports whether head[i:n] stands alone between the bracket and a closing one;
// blanks and a module, as in Apache's [core:error], may be there too. A word in the brackets
// of an index, as in sensor[error], is not a level.
func inBracket(head []byte, bracket, i, n int) bool {
	if bracket < 0 || i-bracket > 32 || bracket > 0 && isWord(head[bracket-1]) {
		return false
	}
	for n < len(head) && head[n] == ' ' {
		n++
	}
	if n == len(head) || head[n] != ']' {
		return false
	}
	for i--; head[i] == ' '; i-- {
	}
	return head[i] == '[' || head[i] == ':'
}

// leads reports whether a level before a colon may follow b: at the start of the line, behind
// a time, or behind a program's or a place's name with a colon.
func leads(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	token := bytes.TrimRight(b, " ")
	if len(token) == 0 || len(token) == len(b) {
		return false
	}
	token = token[bytes.LastIndexByte(token, ' ')+1:]
	switch last := token[len(token)-1]; {
	case last == ':' || last == ']':
		return true
	case isDigit(last) || last == 'Z':
		return isDigit(token[0]) && bytes.Count(token, []byte(":")) == 2
	}
	return false
}

// glogLevel returns the level of a line that begins like glog's and klog's: E1123 20:15:01,
// or E20261123 20:15:01 since glog 0.5.
func glogLevel(head []byte) loglevel.Level {
	n := 1 + digits(head[1:])
	if n != 5 && n != 9 || len(head) < n+4 || head[n] != ' ' || head[n+3] != ':' {
		return loglevel.None
	}
	return letterLevel(head[0])
}

// letterLevel returns the level of the letter that glog, klog and Jupyter write.
func letterLevel(c byte) loglevel.Level {
	switch c {
	case 'D':
		return loglevel.Debug
	case 'I':
		return loglevel.Info
	case 'W':
		return loglevel.Warn
	case 'E', 'F', 'C':
		return loglevel.Error
	}
	return loglevel.None
}

// priority reads the syslog priority at the beginning of b, as in <3> or <165>, of length n.
// It returns loglevel.None without one, and for one with a facility that no syslog
// header follows.
func priority(b []byte) (level loglevel.Level, n int) {
	d := 0
	if len(b) > 2 && b[0] == '<' {
		d = digits(b[1:min(len(b), 5)])
	}
	if d == 0 || d > 3 || 1+d >= len(b) || b[1+d] != '>' {
		return loglevel.None, 0
	}
	p := number(b[1 : 1+d])
	if p > 191 {
		return loglevel.None, 0
	}
	n = d + 2
	if p > 7 || d > 1 {
		rest := b[n:]
		if !bytes.HasPrefix(rest, []byte("1 ")) && month(rest) == 0 && (len(rest) < 5 || digits(rest[:4]) != 4) {
			return loglevel.None, 0
		}
	}
	return syslogLevel(p & 7), n
}

// syslogLevel returns the level of a syslog severity, 0 to 7.
func syslogLevel(severity int) loglevel.Level {
	switch {
	case severity < 0 || severity > 7:
		return loglevel.None
	case severity <= 3:
		return loglevel.Error
	case severity == 4:
		return loglevel.Warn
	case severity <= 6:
		return loglevel.Info
	}
	return loglevel.Debug
}

// logfmtLevel returns the level after level=, lvl=, severity= or the like. It skips the quoted
// values of other keys.
func logfmtLevel(head []byte) loglevel.Level {
	for i := 0; i < len(head); {
		n := bytes.IndexByte(head[i:], '=')
		if n < 0 {
			return loglevel.None
		}
		i += n
		start := i
		for start > 0 && (isLetter(head[start-1]) || head[start-1] == '_') {
			start--
		}
		key := head[start:i]
		if start > 0 && head[start-1] != ' ' && head[start-1] != '\t' {
			key = nil // only the end of a longer key
		}
		i++
		switch string(key) {
		case "level", "lvl", "severity", "loglevel", "log_level", "levelname", "LEVEL":
			value := bytes.TrimLeft(head[i:], `"`)
			n := 0
			for n < len(value) && isLetter(value[n]) {
				n++
			}
			if level, _ := loglevel.Word(value[:n]); level != loglevel.None {
				return level
			}
		}
		if i < len(head) && head[i] == '"' {
			for i++; i < len(head) && head[i] != '"'; i++ {
				if head[i] == '\\' {
					i++
				}
			}
		}
	}
	return loglevel.None
}
