package traceback

import (
	"bytes"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// Go prints "panic: …" or "fatal error: …", then the stacks of one goroutine or of all, each
// headed "goroutine 1 [running]:". It is a report only with such a head, or that of the
// runtime's own stack, and a call below it. After a signal, the output begins with the
// signal's name and the program counter instead.
var (
	goPanic = form{
		language: "Go",
		starts:   []string{"panic: ", "fatal error: ", "runtime: ", "unexpected fault address "},
		open:     openGo,
		next:     nextGo,
	}
	goSignal = form{
		language: "Go",
		starts:   []string{"SIG"},
		open: func(b *block, line []byte) bool {
			n := name(line, "")
			b.entitle(line)
			b.state, b.follows = goOfSignal, true
			return n > len("SIG") && has(line[n:], ": ")
		},
		next: nextGo,
	}
	// The HTTP server goes on after a handler's panic. Its line begins with the
	// log's date and time: "2006/01/02 15:04:05 ".
	goServed = form{
		language: "Go",
		starts:   []string{"20??/"},
		may: func(line []byte) bool {
			return len(line) > goStamp && has(line[goStamp:], "http: panic serving ")
		},
		open: func(b *block, line []byte) bool {
			b.entitle(line[goStamp:])
			b.state = goSurvived
			return true
		},
		next: nextGo,
	}
)

const goStamp = len("2006/01/02 15:04:05 ")

const (
	goDies     = iota
	goOfSignal // "PC=" is still to come
	goSurvived // a handler recovered
)

func openGo(b *block, line []byte) bool {
	b.entitle(line)
	return len(line) < 1<<10 || has(line, "panic: ")
}

func nextGo(b *block, line []byte) verdict {
	if len(line) == 0 {
		b.blank = true
		return foreign
	}
	switch {
	case line[0] == '\t':
		// A place in a stack, a further line of the message, or a second panic.
		return part
	case isGoroutine(line), string(line) == "runtime stack:":
		if b.confirmed {
			return part
		}
		if b.strays > 0 && !b.blank {
			return over // a stack of something else
		}
		b.headed = true
		return part
	case (b.headed || b.confirmed) && (isCall(line) || has(line, "created by ")):
		// A program that prints its own stack lives on. A dying runtime leaves a
		// blank line above the first stack.
		if b.headed {
			b.headed = false
			b.confirm(b.state != goSurvived && b.blank && !has(line, "runtime/debug.Stack("))
		}
		return part
	case b.state == goOfSignal && has(line, "PC="):
		b.state = goDies
		b.confirm(true)
		return part
	case !b.confirmed && b.strays > 0 && has(b.title, "fatal error: ") && hasOne(line, "fatal error: ", "runtime: "):
		return over // the first line was not the runtime's, but a compiler's, for example
	case has(line, "fatal error: "):
		if !b.confirmed {
			b.entitle(line)
		}
		return part
	case hasOne(line, "[signal ", "runtime: ", "signal arrived during "):
		return part
	case !b.confirmed:
		b.strays++
		return foreign
	case hasOne(line, "...", "-----", "PC=", "SIG", "instruction bytes:", "stack: frame=", "[originating from ", "0x"), isRegister(line):
		return part
	case has(line, "exit status ") && digits(line[len("exit status "):]) > 0:
		return last
	}
	return foreign
}

// isGoroutine says whether line is like "goroutine 7 [select, 3 minutes]:".
func isGoroutine(line []byte) bool {
	const word = "goroutine "
	if !has(line, word) || !ends(line, ":") {
		return false
	}
	rest := line[len(word):]
	n := digits(rest)
	return n > 0 && has(rest[n:], " ") && bytes.IndexByte(rest, '[') > 0
}

// isCall says whether line is like "main.(*T).f(0x1, …)".
func isCall(line []byte) bool {
	open := bytes.IndexByte(line, '(')
	return open > 0 && ends(line, ")") && bytes.IndexByte(line[:open], ' ') < 0
}

// isRegister says whether line is like "rax    0x7f".
func isRegister(line []byte) bool {
	n := name(line, "")
	if n == 0 || n > 8 {
		return false
	}
	value := bytes.TrimLeft(line[n:], " ")
	return len(value) < len(line)-n && has(value, "0x") && bytes.IndexByte(value, ' ') < 0
}

// goStack reads the first goroutine's stack, or the one of a race's first access.
func goStack(title string, lines []string) (s stack) {
	switch {
	case strings.Contains(title, "panic: runtime error: "):
		s.kind = "panic: runtime error"
	case strings.HasPrefix(title, "panic: "), strings.HasPrefix(title, "http: panic "):
		s.kind = "panic"
	case strings.HasPrefix(title, "SIG"), strings.HasPrefix(title, "unexpected fault "):
		s.kind = wording(title, ":", " address ")
	case strings.HasPrefix(title, "fatal error: "), title == "WARNING: DATA RACE", strings.HasPrefix(title, "runtime: "):
		s.kind = wording(title)
	default:
		s.kind = "fatal log"
	}
	started := false
	for i, line := range lines {
		call := strings.TrimSpace(line)
		switch {
		case !started:
			started = isGoroutine([]byte(line)) || strings.HasPrefix(line, "Read at ") || strings.HasPrefix(line, "Write at ")
		case call == "", strings.HasPrefix(call, "created by "):
			if len(s.frames) > 0 {
				return s
			}
		case isCall([]byte(call)):
			name := signature.Name(withoutArguments(call))
			f := frame{function: name, foreign: name == "panic" || signature.Machinery(name)}
			if i+1 < len(lines) {
				at, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
				_, f.place = fileOf(at)
			}
			s.frames = append(s.frames, f)
		}
	}
	return s
}

// withoutArguments cuts off the last pair of brackets.
func withoutArguments(call string) string {
	nested := 0
	for i := len(call) - 1; i >= 0; i-- {
		switch call[i] {
		case ')':
			nested++
		case '(':
			if nested--; nested == 0 {
				return call[:i]
			}
		}
	}
	return call
}
