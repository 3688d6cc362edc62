// Package markers reads the markers in an app's output: {{key}} and {{key:42}}, which count
// and set values, and >>| … |<< around a block of lines that are one entry.
//
// A key is of letters, digits and "_"; a value is a decimal number: an optional
// "-", digits, and optionally "." and digits. Anything else in braces is ordinary text.
package markers

import (
	"bytes"
	"slices"
)

// A Marker is one marker. Its slices are parts of the line it was found in.
type Marker struct {
	Key   []byte
	Value []byte // nil for {{key}}, which counts
}

// longestKey bounds the key of a pool's marker, in bytes, because the names of pools stay in
// memory. Package values has the same bound for every key.
const longestKey = 256

var (
	opening    = []byte("{{")
	poolPrefix = []byte("__healthpool__")
)

// Pool returns the category and the property that a marker of a health pool
// names, {{__healthpool__<category>_<property>}}. ok is false for other markers.
// A category may have "_" in it; the property is one of those that an app may set. A key
// longer than longestKey names no pool.
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

// Extract calls f for each marker of line, from left to right, and returns the line without
// them, shortened in place. found: there was a marker. f must not keep its argument.
func Extract(line []byte, f func(Marker)) (rest []byte, found bool) {
	at := bytes.Index(line, opening)
	if at < 0 {
		return line, false
	}
	kept := at // line[:kept] is finished: text without markers
	for {
		m, size := parse(line[at:])
		if size == 0 {
			size = 1 // one brace is text; the next two may open a marker
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

// parse reads the marker at the beginning of text, which begins with "{{". size is 0
// without one.
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

// number returns the length of the decimal number at the beginning of text, or 0.
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

// longest bounds an unfinished marker, in bytes. Package values drops the keys and values that
// would need more.
const longest = 2 << 10

// Unfinished returns how many bytes at the end of piece may be the beginning of a marker or
// of a block's delimiter: a long line is better cut before them. It is at most longest for a
// marker.
func Unfinished(piece []byte) int {
	tail := piece[max(0, len(piece)-longest):]
	if bytes.Contains(tail, opening) { // far quicker than LastIndex, and mostly false
		// Only the last opening can be unfinished, because no marker has a brace in it. It is
		// the beginning of a marker if one of these ends completes it.
		at := bytes.LastIndex(tail, opening)
		for _, end := range [...]string{"0}}", "}"} {
			whole := append(slices.Clip(tail[at:]), end...)
			if _, size := parse(whole); size == len(whole) {
				return len(tail) - at
			}
		}
	}
	if bytes.HasSuffix(tail, opening[:1]) {
		return 1
	}
	return len(tail) - len(bytes.TrimRight(tail, ">|<"))
}
