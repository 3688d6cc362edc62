// Package markers is the grammar of what an app says in its output besides its
// text: {{key}} and {{key:42}}, which are counted rather than read, and >>| … |<<
// around what belongs together.
//
// A key is of letters, digits and "_", a value is a decimal number: an optional
// "-", digits, and optionally "." and digits. Whatever else stands in braces is
// ordinary text.
package markers

import "bytes"

// A Marker is one marker. Its slices are parts of the line it was found in.
type Marker struct {
	Key   []byte
	Value []byte // nil: {{key}}, which counts
}

// longestKey is how long a pool's key may be, in bytes: what an app writes must not fill
// our memory with names.
const longestKey = 256

var (
	opening    = []byte("{{")
	poolPrefix = []byte("__healthpool__")
)

// Pool returns the category and the property that a marker of a health pool
// names, {{__healthpool__<category>_<property>}}. ok is false for other markers.
// A category may have "_" in it; the properties are those that an app can say. A key that
// is too long for a value names no pool either.
func (m Marker) Pool() (category, property []byte, ok bool) {
	name, ok := bytes.CutPrefix(m.Key, poolPrefix)
	if !ok || len(m.Key) > longestKey {
		return nil, nil, false
	}
	for _, p := range properties {
		if category, ok := bytes.CutSuffix(name, p); ok && len(category) > 1 && category[len(category)-1] == '_' {
			return category[:len(category)-1], p, true
		}
	}
	return nil, nil, false
}

var properties = [][]byte{
	[]byte("beats"), []byte("init"), []byte("cap"), []byte("depletion_rate"), []byte("replenish_rate"),
}

// Take calls f for each marker of line, from left to right, and returns what is
// left without them, which is moved together in place. The bytes are the
// caller's; f must not keep its argument.
func Take(line []byte, f func(Marker)) (rest []byte, found bool) {
	at := bytes.Index(line, opening)
	if at < 0 {
		return line, false
	}
	kept := at // line[:kept] is text that stays and is in its place
	for {
		m, size := parse(line[at:])
		if size == 0 {
			size = 1 // one brace is text: behind it, another two may open a marker
			line[kept] = line[at]
			kept++
		} else {
			found = true
			f(m)
		}
		at += size
		next := bytes.Index(line[at:], opening)
		if next < 0 {
			break
		}
		kept += copy(line[kept:], line[at:at+next])
		at += next
	}
	kept += copy(line[kept:], line[at:])
	return line[:kept], found
}

// parse reads the marker that text begins with; size is 0 if text begins otherwise. text
// begins with "{{".
func parse(text []byte) (m Marker, size int) {
	i := len(opening)
	for i < len(text) && isKey(text[i]) {
		i++
	}
	m.Key = text[len(opening):i]
	if len(m.Key) == 0 {
		return Marker{}, 0
	}
	if i < len(text) && text[i] == ':' {
		n := number(text[i+1:])
		if n == 0 {
			return Marker{}, 0
		}
		m.Value = text[i+1 : i+1+n]
		i += 1 + n
	}
	if !bytes.HasPrefix(text[i:], closing) {
		return Marker{}, 0
	}
	return m, i + len(closing)
}

var closing = []byte("}}")

func isKey(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// number is the length of the decimal number that text begins with, 0 if it
// begins with none.
func number(text []byte) int {
	i := 0
	if i < len(text) && text[i] == '-' {
		i++
	}
	n := digits(text[i:])
	if n == 0 {
		return 0
	}
	i += n
	if i < len(text) && text[i] == '.' {
		n := digits(text[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	return i
}

func digits(text []byte) int {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i
}

// longest is how many bytes of an unfinished marker are waited for: more than those
// that are counted have.
const longest = 2 << 10

// Unfinished is how many bytes at the end of piece may be the beginning of a
// marker, or of an end of a block, that goes on behind it: where a long line is
// cut, it is better cut before them. What is longer than 2 KiB is not waited for.
func Unfinished(piece []byte) int {
	tail := piece[max(0, len(piece)-longest):]
	for from := 0; ; from++ {
		at := bytes.IndexByte(tail[from:], '{')
		if at < 0 {
			break
		}
		if from += at; begins(tail[from:]) {
			return len(tail) - from
		}
	}
	return len(tail) - len(bytes.TrimRight(tail, ">|<"))
}

// begins says whether some marker begins with all of text, and is longer.
func begins(text []byte) bool {
	i := 0
	for i < len(text) && i < len(opening) {
		if text[i] != opening[i] {
			return false
		}
		i++
	}
	key := i
	for i < len(text) && isKey(text[i]) {
		i++
	}
	if i == len(text) {
		return true
	}
	if i == key {
		return false
	}
	if text[i] == ':' {
		i++
		if i < len(text) && text[i] == '-' {
			i++
		}
		whole := i
		i += digits(text[i:])
		if i == len(text) {
			return true
		}
		if i == whole {
			return false
		}
		if text[i] == '.' {
			i++
			fraction := i
			i += digits(text[i:])
			if i == len(text) {
				return true
			}
			if i == fraction {
				return false
			}
		}
	}
	return string(text[i:]) == "}"
}
