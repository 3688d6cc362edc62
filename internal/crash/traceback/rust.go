package traceback

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// Rust prints "thread 'main' (123) panicked at src/main.rs:2:5:" and the message on the lines
// that follow; before 1.73 it was "thread 'main' panicked at 'why', src/main.rs:2:5". A note or
// a backtrace follows the first panic of a process, and any panic with RUST_BACKTRACE.
// Successive panics of one thread are one report: the later ones come from destructors that
// run after the first.
var (
	rustPanic = form{
		language: "Rust",
		starts:   []string{"thread '"},
		open: func(b *block, line []byte) bool {
			thread, ok := rustHead(line)
			if !ok {
				return false
			}
			b.entitle(bytes.TrimSuffix(line, []byte(":")))
			b.thread = append(b.thread[:0], thread[:min(len(thread), 256)]...)
			b.confirm(ends(line, rustOverflow))
			if ends(line, ":") {
				b.state = rustMessage
			}
			return true
		},
		next: nextRust,
		gap:  slowGap,
	}
	rustAbort = form{
		language: "Rust",
		starts:   []string{"fatal runtime error: ", "memory allocation of "},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.confirm(true)
			b.follows = true
			const allocation = "memory allocation of "
			if has(line, allocation) {
				n := digits(line[len(allocation):])
				return n > 0 && string(line[len(allocation)+n:]) == " bytes failed"
			}
			return ends(line, ", aborting")
		},
		next: nextRust,
		gap:  slowGap,
	}
)

const (
	rustOverflow = " has overflowed its stack"
	rustMessage  = 1 // the state before the message's first line
)

// rustHead returns the part of a panic's first line that names the thread.
func rustHead(line []byte) ([]byte, bool) {
	i := bytes.Index(line, []byte(" panicked at "))
	if i < 0 && ends(line, rustOverflow) {
		i = len(line) - len(rustOverflow)
	} else if i < 0 || !isPlace(line[i:]) {
		return nil, false
	}
	thread := line[:i]
	if ends(thread, ")") {
		open := bytes.LastIndex(thread, []byte(" ("))
		if open < 0 || digits(thread[open+2:]) != len(thread)-open-3 {
			return nil, false
		}
		return thread, ends(thread[:open], "'")
	}
	return thread, len(thread) > len("thread ''") && ends(thread, "'")
}

// isPlace says whether line ends with a file, a line and a column, and then a colon unless the
// message comes before them.
func isPlace(line []byte) bool {
	line, colon := bytes.CutSuffix(line, []byte(":"))
	line, column := cutNumber(line)
	line, number := cutNumber(line)
	return column && number && (colon || holds(line, "', "))
}

func nextRust(b *block, line []byte) verdict {
	if b.state == rustMessage {
		b.state = 0
		if b.again {
			b.subtitle("; then: ", line)
		} else {
			b.subtitle(": ", line)
		}
		return part
	}
	switch {
	case len(line) == 0:
		return foreign
	case line[0] == ' ', string(line) == "stack backtrace:",
		hasOne(line, "note: run with `RUST_BACKTRACE=", "note: Some details are omitted"):
		return part
	case has(line, "fatal runtime error: "), ends(line, " aborting."):
		b.confirm(true)
		return part
	}
	if thread, ok := rustHead(line); ok && bytes.Equal(thread[:min(len(thread), 256)], b.thread) {
		b.confirm(ends(line, rustOverflow))
		if ends(line, ":") {
			b.state, b.again = rustMessage, true
		}
		return part
	}
	return foreign
}

// rustStack reads the first backtrace. Without RUST_BACKTRACE, the file of the panic is the
// only frame.
func rustStack(title string, lines []string) (s stack) {
	where := ""
	switch {
	case strings.Contains(title, " panicked at "):
		s.kind = "panic"
		for _, line := range lines {
			if i := strings.Index(line, " panicked at "); i >= 0 {
				line = strings.TrimSuffix(line[i+len(" panicked at "):], ":")
				where = line[strings.LastIndexByte(line, ' ')+1:]
				break
			}
		}
	case strings.HasSuffix(title, rustOverflow):
		s.kind = "stack overflow"
	default:
		s.kind = wording(title)
	}
	started := false
	for i, line := range lines {
		number, call, ok := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case line == "stack backtrace:":
			if started {
				return s
			}
			started = true
		case started && ok && digits([]byte(number)) == len(number):
			if address, name, ok := strings.Cut(strings.TrimSpace(call), " - "); ok && strings.HasPrefix(address, "0x") {
				call = name
			}
			name := signature.Name(strings.TrimSpace(call))
			if name == "" || name == "unknown" {
				continue
			}
			// A plain main is the C entry point; the app's own has its crate before it.
			f := frame{function: name, foreign: name == "main" || signature.Machinery(name)}
			if i+1 < len(lines) {
				if at, ok := strings.CutPrefix(strings.TrimSpace(lines[i+1]), "at "); ok {
					_, f.place = fileOf(at)
				}
			}
			s.frames = append(s.frames, f)
		}
	}
	if len(s.frames) == 0 && where != "" {
		file, short := fileOf(where)
		s.frames = []frame{{function: filepath.Base(file), place: short}}
	}
	return s
}
