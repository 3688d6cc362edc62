package traceback

import "bytes"

// Node.js prints the place, the line there, a caret below it, then the error
// with its calls, and its own version as it ends. It is a report once a call or
// the version is there.
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
	// V8 without memory.
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
	// It counts once the native stack follows.
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
			return part // of a file made small
		}
		return foreign // What opens another block here is no source.
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
		// A second place, where a worker's error came to the main thread.
		b.state = nodeError
		return part
	case b.state == nodeError:
		b.state = nodeRest
		b.entitle(line)
		return part
	case has(line, "    at "):
		b.confirm(false)
		return part
	case line[0] == ' ', line[0] == '}', line[0] == ']', hasOne(line, "Emitted \n(Use `node "):
		return part
	}
	return foreign
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
	case hasOne(line, "<--- JS stacktrace --->\n----- "), isFrame(line):
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
