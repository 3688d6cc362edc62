package traceback

import (
	"bytes"
	"encoding/binary"
)

// forms lists all forms. A line opens the first form whose open accepts it.
var forms = []*form{
	&goPanic, &goSignal, &goServed,
	&pythonTraceback, &pythonGroup, &pythonBareGroup, &pythonSyntax, &pythonFatal, &pythonPreface,
	&rustPanic, &rustAbort,
	&javaThread, &javaMemory, &hashes,
	&nodeUncaught, &nodeCollector, &nodeFatal,
	&terminate, &glibcFatal, &glibcMalloc, &assertion, &musl,
	&sanitizerRule, &sanitizerError, &sanitizerSignal, &threadSanitizer, &undefined,
	&glogFatal, &glogSignal,
}

// A start is the beginning of a form's first line.
type start struct {
	prefix string // "?" stands for any byte
	// want and mask compare the first eight bytes of prefix at once: a line that
	// begins with them has head&mask == want, head being its first eight bytes.
	want, mask uint64
	form       *form
}

// starts has the forms that a line may open, by its first byte; words has the forms whose
// first line begins with any word and a colon.
var starts, words = startTables()

func startTables() (starts [256][]start, words []*form) {
	for _, f := range forms {
		if len(f.starts) == 0 {
			words = append(words, f)
		}
		for _, prefix := range f.starts {
			s := start{prefix: prefix, form: f}
			for i := range min(len(prefix), 8) {
				if prefix[i] == '?' {
					continue
				}
				s.want |= uint64(prefix[i]) << (8 * i)
				s.mask |= 0xff << (8 * i)
			}
			starts[prefix[0]] = append(starts[prefix[0]], s)
		}
	}
	return starts, words
}

func (s *start) begins(line []byte) bool {
	if len(line) < len(s.prefix) {
		return false
	}
	for i := range len(s.prefix) {
		if c := s.prefix[i]; c != line[i] && c != '?' {
			return false
		}
	}
	return true
}

// wordSize bounds the first word, a path with a line number.
const wordSize = 256

// mayOpen rejects nearly all lines in a few nanoseconds: it runs for every line of the app.
func mayOpen(line []byte) bool {
	if len(line) < 8 {
		return len(line) > 0 && len(starts[line[0]]) > 0
	}
	if table := starts[line[0]]; len(table) > 0 {
		head := binary.LittleEndian.Uint64(line)
		for i := range table {
			if s := &table[i]; head&s.mask == s.want && (s.form.may == nil || s.form.may(line)) {
				return true
			}
		}
	}
	if firstWord(line) > 0 {
		for _, f := range words {
			if f.may(line) {
				return true
			}
		}
	}
	return false
}

// firstWord returns the length of line's first word if it ends in a colon. Otherwise, and for
// an indented line, it returns 0.
func firstWord(line []byte) int {
	i := bytes.IndexByte(line[:min(len(line), wordSize)], ' ')
	if i > 1 && line[i-1] == ':' && line[0] > ' ' {
		return i
	}
	return 0
}

// opening returns the form whose block line opens, and prepares b for it, or returns nil.
func opening(b *block, line []byte) *form {
	if !mayOpen(line) {
		return nil
	}
	for _, s := range starts[line[0]] {
		if s.begins(line) && s.form.opens(b, line) {
			return s.form
		}
	}
	if firstWord(line) > 0 {
		for _, f := range words {
			if f.opens(b, line) {
				return f
			}
		}
	}
	return nil
}

func (f *form) opens(b *block, line []byte) bool {
	if f.may != nil && !f.may(line) {
		return false
	}
	b.reset(f.language)
	return f.open(b, line)
}

// has says whether line begins with prefix.
func has(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix
}

// ends says whether line ends with suffix.
func ends(line []byte, suffix string) bool {
	return len(line) >= len(suffix) && string(line[len(line)-len(suffix):]) == suffix
}

// hasOne says whether line begins with one of the prefixes.
func hasOne(line []byte, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if has(line, prefix) {
			return true
		}
	}
	return false
}

// isOne says whether line is one of whole.
func isOne(line []byte, whole ...string) bool {
	for _, w := range whole {
		if string(line) == w {
			return true
		}
	}
	return false
}

// holds says whether line contains s.
func holds(line []byte, s string) bool { return bytes.Contains(line, []byte(s)) }

// isBlank says whether line has nothing but white space.
func isBlank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

// digits returns how many decimal digits line begins with.
func digits(line []byte) int {
	n := 0
	for n < len(line) && '0' <= line[n] && line[n] <= '9' {
		n++
	}
	return n
}

// cutNumber cuts ":" and a number off the end of line, or returns false.
func cutNumber(line []byte) ([]byte, bool) {
	n := len(line)
	for n > 0 && '0' <= line[n-1] && line[n-1] <= '9' {
		n--
	}
	if n == len(line) || n == 0 || line[n-1] != ':' {
		return line, false
	}
	return line[:n-1], true
}

// name returns the length of the name that line begins with: letters of any
// script, digits, "_" and the bytes in also.
func name(line []byte, also string) int {
	for i, c := range line {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c >= 0x80:
		case '0' <= c && c <= '9' && i > 0:
		case i > 0 && bytes.IndexByte([]byte(also), c) >= 0:
		default:
			return i
		}
	}
	return len(line)
}
