package traceback

import "bytes"

// glog, abseil and klog end with a FATAL line: "F20060102 15:04:05.000000 123 file.cc:9] why",
// with the year or without. That line suffices, because the program then aborts. A stack
// follows. Their signal handlers print the signal between asterisks, then the stack.
var (
	glogFatal = form{
		language: native,
		starts:   []string{"F"},
		may:      func(line []byte) bool { return len(line) > 1 && '0' <= line[1] && line[1] <= '9' },
		open:     openGlog,
		next:     nextGlog,
		gap:      slowGap,
	}
	glogSignal = form{
		language: native,
		starts:   []string{"*** Aborted at ", "*** SIG"},
		open: func(b *block, line []byte) bool {
			b.follows = true
			b.entitle(glogTitle(line))
			if has(line, "*** SIG") {
				b.confirm(true)
				return ends(line, " ***") && holds(line, " received ")
			}
			return ends(line, " ***") && holds(line, " (unix time) ")
		},
		next: nextGlog,
		gap:  slowGap,
	}
)

const (
	glogStack = iota
	glogGo    // klog: goroutines follow
)

func openGlog(b *block, line []byte) bool {
	// "F1123 15:04:05.000000", or with the year before the month.
	rest := line[1:]
	n := digits(rest)
	if n != 4 && n != 8 {
		return false
	}
	rest = rest[n:]
	for _, between := range []string{" ", ":", ":", "."} {
		if !has(rest, between) {
			return false
		}
		// abseil's raw log has a longer number here: the seconds.
		if n = digits(rest[1:]); n < 2 || n > 12 {
			return false
		}
		rest = rest[1+n:]
	}
	rest = bytes.TrimLeft(rest, " ")
	if n = digits(rest); n == 0 || !has(rest[n:], " ") {
		return false
	}
	rest = rest[n+1:]
	place, _, ok := bytes.Cut(rest, []byte("] "))
	if !ok {
		return false
	}
	file, ok := cutNumber(place)
	if !ok || len(file) == 0 || bytes.IndexByte(file, ' ') >= 0 {
		return false
	}
	b.entitle(rest)
	b.confirm(true)
	if ends(file, ".go") {
		b.language, b.state = "Go", glogGo
	}
	return true
}

func nextGlog(b *block, line []byte) verdict {
	switch {
	case hasOne(line, "    @ ", "PC: @"), string(line) == "*** Check failure stack trace: ***":
		b.confirm(true)
		return part
	case has(line, "*** SIG") && ends(line, " ***"):
		if !b.confirmed || has(b.title, "Aborted at ") {
			b.entitle(glogTitle(line))
		}
		b.confirm(true)
		return part
	case has(line, "*** Aborted at ") && ends(line, " ***"):
		return part
	case b.state == glogGo:
		return nextGo(&block{confirmed: true}, line)
	}
	return foreign
}

// glogTitle returns the text between the asterisks of line.
func glogTitle(line []byte) []byte {
	return bytes.TrimSuffix(bytes.Trim(line, "* "), []byte("; stack trace:"))
}
