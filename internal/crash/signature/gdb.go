package signature

import (
	"strconv"
	"strings"
)

// FromGDB reads the stack that gdb prints for `bt` or `bt full`. registers and libraries are
// gdb's output for `info registers` and `info sharedlibrary`; without them some frames get
// no Module. executable is the Module of code in no library.
func FromGDB(stack, registers, libraries, executable string) []Frame {
	list := libraryList(libraries)
	at := programCounter(registers)
	var frames []Frame
	for line := range strings.Lines(stack) {
		rest, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "#")
		if !ok {
			continue
		}
		number, rest, _ := strings.Cut(rest, " ")
		if _, err := strconv.Atoi(number); err != nil {
			continue
		}
		rest = strings.TrimLeft(rest, " ")
		// gdb omits the address if it is the one of the frame before, as in a function
		// with inlined calls, or if it begins a line.
		if address, behind, ok := strings.Cut(rest, " in "); ok && strings.HasPrefix(address, "0x") {
			at, _ = strconv.ParseUint(address, 0, 64)
			rest = behind
		}
		if strings.HasPrefix(rest, "<signal handler called>") {
			frames = append(frames, Frame{Signal: true})
			at = 0
			continue
		}
		f := Frame{Function: gdbFunction(rest)}
		if f.Function == "??" {
			f.Function = ""
		}
		if i := strings.LastIndex(rest, ") at "); i >= 0 {
			f.Place = rest[i+len(") at "):]
		} else if i := strings.LastIndex(rest, ") from "); i >= 0 {
			f.Module = rest[i+len(") from "):]
		}
		if f.Module == "" && at != 0 {
			f.Module = executable
			for _, l := range list {
				if l.from <= at && at < l.to {
					f.Module = l.path
				}
			}
		}
		frames = append(frames, f)
	}
	return frames
}

// gdbFunction returns the name at the beginning of "NAME (ARGUMENTS) at FILE:LINE". NAME may
// contain blanks and brackets.
func gdbFunction(text string) string {
	nested := 0
	for i := range len(text) {
		switch text[i] {
		case '<', '{':
			nested++
		case '>', '}':
			nested--
		case '(':
			if i > 0 && text[i-1] == ' ' && nested == 0 {
				return strings.TrimSpace(text[:i])
			}
			nested++
		case ')':
			nested--
		}
		if i >= len("operator") && strings.HasSuffix(text[:i], "operator") || i > len("operator") && strings.HasSuffix(text[:i-1], "operator") {
			nested = 0 // the brackets are the operator's name
		}
	}
	name, _, _ := strings.Cut(text, " (")
	return strings.TrimSpace(name)
}

// A library is the address range of a file's code.
type library struct {
	from, to uint64
	path     string
}

func libraryList(text string) (list []library) {
	for line := range strings.Lines(text) {
		var l library
		fields := strings.Fields(line)
		i := strings.Index(line, " /")
		if len(fields) < 3 || i < 0 {
			continue
		}
		var err, err2 error
		l.from, err = strconv.ParseUint(fields[0], 0, 64)
		l.to, err2 = strconv.ParseUint(fields[1], 0, 64)
		if l.path = strings.TrimSpace(line[i:]); err == nil && err2 == nil {
			list = append(list, l)
		}
	}
	return list
}

// programCounter returns the value of rip (amd64) or pc (arm64), or 0.
func programCounter(registers string) uint64 {
	for line := range strings.Lines(registers) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "rip" || f[0] == "pc") {
			at, _ := strconv.ParseUint(f[1], 0, 64)
			return at
		}
	}
	return 0
}
