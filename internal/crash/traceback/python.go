package traceback

import (
	"bytes"
	"slices"
	"strings"
)

// Python prints "Traceback (most recent call last):", two lines or more for each call, and the
// exception. It is a report once a call follows. A sentence joins an exception and its cause.
// An exception's message may have any number of lines; those after the first count if they are
// indented or the sentence follows.
var (
	pythonTraceback = form{
		language: "Python",
		starts:   []string{traceback},
		open: func(b *block, line []byte) bool {
			b.state = pythonCalls
			return string(line) == traceback
		},
		next: nextPython,
	}
	pythonGroup = form{
		language: "Python",
		starts:   []string{groupTraceback},
		open: func(b *block, line []byte) bool {
			b.state = pythonTree
			return string(line) == groupTraceback
		},
		next: nextPython,
	}
	// A group that was not raised, such as one that "except*" makes of new exceptions, has
	// no traceback of its own. It is a report once its members follow.
	pythonBareGroup = form{
		language: "Python",
		starts:   []string{groupTitle},
		may:      func(line []byte) bool { return line[len(line)-1] == ')' },
		open: func(b *block, line []byte) bool {
			title := line[len(groupTitle):]
			b.entitle(title)
			b.state = pythonTree
			return isException(title) && (ends(title, " sub-exceptions)") || ends(title, " sub-exception)"))
		},
		next: nextPython,
	}
	// A syntax error has no traceback: `  File "x.py", line 3`, the source, a caret, the
	// error.
	pythonSyntax = form{
		language: "Python",
		starts:   []string{`  File "`},
		open: func(b *block, line []byte) bool {
			const between = `", line `
			b.state = pythonSource
			i := bytes.LastIndex(line, []byte(between))
			return i > 0 && i+len(between) < len(line) && digits(line[i+len(between):]) == len(line)-i-len(between)
		},
		next: nextPython,
	}
	// The output of the dying interpreter, or of its faulthandler.
	pythonFatal = form{
		language: "Python",
		starts:   []string{"Fatal Python error: "},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.state, b.follows = pythonDies, true
			return true
		},
		next: nextPython,
	}
	// A line that introduces a traceback and names its origin.
	pythonPreface = form{
		language: "Python",
		starts:   []string{"Exception in thread ", "Exception ignored ", "Error in atexit", "Error in sys.excepthook:"},
		open: func(b *block, line []byte) bool {
			b.state = pythonBefore
			return !has(line, javaThreadStart)
		},
		next: func(b *block, line []byte) verdict {
			if b.state == pythonBefore && string(line) != traceback {
				return over
			}
			return nextPython(b, line)
		},
	}
)

const (
	traceback      = "Traceback (most recent call last):"
	groupTraceback = "  + Exception Group Traceback (most recent call last):"
	groupTitle     = "  | "
)

const (
	pythonBefore = iota // a traceback follows
	pythonCalls         // in a traceback
	pythonAfter         // after the exception
	pythonJoined        // after the sentence that joins two
	pythonTree          // in a group of exceptions
	pythonSource        // of a syntax error
	pythonDies
)

func nextPython(b *block, line []byte) verdict {
	if len(line) == 0 {
		return foreign
	}
	switch b.state {
	case pythonBefore, pythonJoined:
		switch {
		case string(line) == traceback:
			b.state = pythonCalls
			return part
		case string(line) == groupTraceback:
			b.state = pythonTree
			return part
		case b.state == pythonJoined && isException(line):
			b.entitle(line)
			b.state = pythonAfter
			return part
		}
	case pythonCalls:
		switch {
		case has(line, `  File "`) && holds(line, `, in `):
			b.confirm(false)
			return part
		case !b.confirmed:
			if b.strays++; b.strays > 2 || line[0] == ' ' {
				return over
			}
			return foreign
		case has(line, "  "):
			return part
		case isException(line):
			b.entitle(line)
			b.state = pythonAfter
			return part
		}
	case pythonAfter:
		if line[0] == ' ' || line[0] == '\t' {
			return part
		}
		return joinsPython(b, line)
	case pythonTree:
		rest := bytes.TrimLeft(line, " ")
		if len(rest) == len(line) || len(rest) == 0 || (rest[0] != '|' && rest[0] != '+') {
			return joinsPython(b, line)
		}
		if hasOne(line, "  |   File \"", "  +-+---") {
			b.confirm(false)
		}
		if has(line, groupTitle) && isException(line[len(groupTitle):]) {
			b.confirm(false)
			b.entitle(line[len(groupTitle):])
		}
		return part
	case pythonSource:
		switch {
		case has(line, "    ") && b.lines < 8:
			return part
		case hasOne(line, "SyntaxError: ", "IndentationError: ", "TabError: "):
			b.entitle(line)
			b.confirm(false)
			b.state = pythonAfter
			return part
		}
		return over
	case pythonDies:
		switch {
		case hasOne(line, "Current thread ", "Thread 0x", "Python runtime state: ", "<no Python frame>"):
			b.confirm(true)
			return part
		case hasOne(line, "  ", "Extension modules: ", "<Cannot show "), string(line) == traceback,
			b.confirmed && isException(line) && holds(line, "Error: "):
			return part
		}
	}
	return foreign
}

func joinsPython(b *block, line []byte) verdict {
	if isOne(line, "During handling of the above exception, another exception occurred:",
		"The above exception was the direct cause of the following exception:",
		"Original exception was:") {
		b.state = pythonJoined
		return part
	}
	return foreign
}

// isException says whether line is like "package.SomeError: why".
func isException(line []byte) bool {
	n := name(line, ".<>")
	return n > 0 && (n == len(line) || line[n] == ':')
}

// pythonStack reads the last of several joined tracebacks: that one ended the thread. For a
// fatal error it reads the current thread.
func pythonStack(title string, lines []string) (s stack) {
	name, _, _ := strings.Cut(title, ":")
	s.kind = wording(name)
	start, prefix, fatal := 0, "  ", strings.HasPrefix(title, "Fatal Python error: ")
	if fatal {
		s.kind = wording(title)
	}
	for i, line := range lines {
		switch {
		case fatal && start == 0 && strings.HasPrefix(line, "Thread 0x"), fatal && strings.HasPrefix(line, "Current thread 0x"):
			start = i + 1
		case !fatal && line == traceback:
			start, prefix = i+1, "  "
		case !fatal && line == groupTraceback:
			start, prefix = i+1, "  |   "
		}
	}
	for _, line := range lines[start:] {
		call, ok := strings.CutPrefix(line, prefix)
		if !ok {
			break
		}
		call, ok = strings.CutPrefix(call, `File "`)
		file, rest, ok2 := strings.Cut(call, `", line `)
		if !ok || !ok2 {
			continue
		}
		number, function, _ := strings.Cut(rest, " in ")
		f := frame{function: inFile(file, function), place: place(file, strings.TrimSuffix(number, ",")), foreign: pythonLibrary(file)}
		s.frames = append(s.frames, f)
	}
	if !fatal {
		slices.Reverse(s.frames) // the last call comes last
	}
	return s
}

func pythonLibrary(file string) bool {
	return strings.Contains(file, "/lib/python") || strings.Contains(file, "-packages/") || strings.HasPrefix(file, "<frozen ")
}

// BehindBar returns a line that begins with a progress bar without the bar, if a traceback
// begins behind it: the exception comes before the bar's line end.
func BehindBar(line []byte) []byte {
	for _, begins := range []string{groupTraceback, traceback} {
		if bytes.HasSuffix(line, []byte(begins)) {
			return line[len(line)-len(begins):]
		}
	}
	return line
}
