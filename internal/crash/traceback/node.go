package traceback

import (
	"bytes"
	"path/filepath"
	"strings"
)

// Node.js prints the place, its source line, a caret below it, then the error with its calls,
// and at the end its own version. It is a report once a call or the version follows.
var (
	nodeUncaught = form{
		language: "Node.js",
		starts:   []string{"/", "file://", "node:", "evalmachine.", "[eval]", "[stdin]:", "[worker eval]:", "<anonymous_script>:", "undefined:"},
		may:      func(line []byte) bool { last := line[len(line)-1]; return '0' <= last && last <= '9' },
		open: func(_ *block, line []byte) bool {
			place, ok := cutNumber(line)
			return ok && len(place) > 1
		},
		next: nextUncaught,
	}
	// V8 prints this when it runs out of memory.
	nodeCollector = form{
		language: "Node.js",
		starts:   []string{lastCollections},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			return string(line) == lastCollections
		},
		next: nextNodeFatal,
		gap:  slowGap,
	}
	// It is a report once the native stack follows.
	nodeFatal = form{
		language: "Node.js",
		starts:   []string{"FATAL ERROR: "},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			return true
		},
		next: nextNodeFatal,
		gap:  slowGap,
	}
)

const lastCollections = "<--- Last few GCs --->"

const (
	nodeSource = iota
	nodeCaret
	nodeError // the error's first line is still to come
	nodeRest
)

func nextUncaught(b *block, line []byte) verdict {
	switch b.state {
	case nodeSource:
		if len(line) == 0 {
			return over
		}
		b.state = nodeCaret
		if len(line) > 1<<10 {
			return part // a line of a minified file
		}
		return foreign // a line that opens another block is not the source
	case nodeCaret:
		b.state = nodeError
		if !isCaret(line) {
			return over
		}
		return part
	}
	switch {
	case len(line) == 0:
		return foreign
	case has(line, "Node.js v"):
		b.confirm(true)
		return last
	case !b.confirmed && isCaret(line):
		// A second place: the one at which a worker's error reached the main thread.
		b.state = nodeError
		return part
	case b.state == nodeError:
		b.state = nodeRest
		b.entitle(unbracketed(line))
		return part
	case has(line, "    at "):
		b.confirm(false)
		return part
	case line[0] == ' ', line[0] == '}', line[0] == ']', hasOne(line, "Emitted ", "(Use `node "):
		return part
	}
	return foreign
}

// unbracketed returns an error without brackets: up to version 18, Node.js prints a
// rejection with a value, which has no calls, as "[UnhandledPromiseRejection: …] {".
func unbracketed(line []byte) []byte {
	if !has(line, "[UnhandledPromiseRejection: ") {
		return line
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line[1:], []byte(" {")), []byte("]"))
}

// isCaret says whether line points at a part of the line above.
func isCaret(line []byte) bool {
	return bytes.IndexByte(line, '^') >= 0 && len(bytes.Trim(line, " \t^")) == 0
}

func nextNodeFatal(b *block, line []byte) verdict {
	switch {
	case len(line) == 0:
		return foreign
	case has(line, "FATAL ERROR: "):
		b.entitle(line)
		return part
	case hasOne(line, "<--- JS stacktrace --->", "----- "), isFrame(line):
		b.confirm(true)
		return part
	case b.confirmed && (line[0] == ' ' || has(line, "==== ")), line[0] == '[' && digits(line[1:]) > 0:
		return part
	}
	return foreign
}

// isFrame says whether line is like " 1: 0xb78db3 node::Abort() [node]".
func isFrame(line []byte) bool {
	rest := bytes.TrimLeft(line, " ")
	n := digits(rest)
	return n > 0 && has(rest[n:], ": 0x")
}

// nodeStack reads the calls of an uncaught error.
func nodeStack(title string, lines []string) (s stack) {
	s.kind = "throw" // of a value that is no error
	if n := name([]byte(title), "."); n > 0 && (n == len(title) || title[n] == ':' || strings.HasPrefix(title[n:], " [")) {
		s.kind = title[:n]
	} else if strings.HasPrefix(title, "FATAL ERROR: ") || strings.HasPrefix(title, "Fatal error in ") || strings.HasPrefix(title, lastCollections) {
		s.kind = wording(title)
	}
	for _, line := range lines {
		call, ok := strings.CutPrefix(line, "    at ")
		if !ok {
			if len(s.frames) > 0 {
				break
			}
			continue
		}
		call = strings.TrimSuffix(call, " {") // its properties follow
		function, at := "<anonymous>", call
		if i := strings.LastIndex(call, " ("); i > 0 && strings.HasSuffix(call, ")") {
			function, at = call[:i], call[i+2:len(call)-1]
		}
		function = strings.TrimPrefix(strings.TrimPrefix(function, "async "), "new ")
		function, _, _ = strings.Cut(function, " [as ")
		file, short := fileOf(at)
		s.frames = append(s.frames, frame{
			function: inFile(file, function), place: short,
			foreign: strings.HasPrefix(file, "node:") || strings.Contains(file, "/node_modules/"),
		})
	}
	if len(s.frames) == 0 && len(lines) > 0 {
		if file, short := fileOf(strings.TrimPrefix(lines[0], "file://")); short != "" {
			s.frames = []frame{{function: filepath.Base(file), place: short}}
		}
	}
	return s
}
