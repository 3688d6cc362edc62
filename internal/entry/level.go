package entry

import (
	"bytes"
	"math"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// levelReach is how many bytes of a line may have its level: room for a time, a host and a
// logger's name, but not for much text.
const levelReach = 80

// LevelOf returns the level that a line of the app states, or None. docs/logs.md lists the
// recognised forms. It does not allocate. Most lines without a level cost only a scan of
// eight bytes at a time.
func LevelOf(line []byte) loglevel.Level {
	if len(line) == 0 {
		return loglevel.None
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

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// digits returns how many digits b begins with.
func digits(b []byte) int {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

// number returns the value of up to nine digits.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return min(n, math.MaxInt32)
}
