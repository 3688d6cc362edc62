package entry

import (
	"bytes"
	"math"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// levelReach is how far into a line its level is looked for, in bytes: behind a
// time, a host and a logger's name, but not in the text.
const levelReach = 80

// LevelOf reads the level out of a line of the app, None if it states none.
// docs/logs.md lists what is recognised. It allocates nothing, and most lines
// without a level cost it a few looks at whole words of the machine.
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
