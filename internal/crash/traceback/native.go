package traceback

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// A dying C or C++ runtime prints one line or a few, with fixed words. The line alone
// suffices for a report.
var (
	terminate = form{
		language: native,
		starts:   []string{"terminate called ", "pure virtual method called", "deleted virtual method called", "libc++abi: "},
		open:     openTerminate,
		next: func(b *block, line []byte) verdict {
			const what = "  what():  "
			switch {
			case has(line, what):
				// The message may have more lines. All further output is part of
				// it: the process ends here.
				b.takesRest = true
				b.subtitle(": ", line[len(what):])
				return part
			case has(line, "terminate called ") && openTerminate(&block{}, line):
				if !b.confirmed {
					b.subtitle("; ", line)
				}
				b.confirm(true)
				return part
			}
			return foreign
		},
	}
	// "*** stack smashing detected ***: terminated", and the wordings of older versions.
	glibcFatal = form{
		language: native,
		starts:   []string{"*** ", "Fatal glibc error: "},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.confirm(true)
			return has(line, "Fatal glibc error: ") || ends(line, " ***: terminated") || ends(line, " ***: <unknown> terminated") ||
				(has(line, "*** Error in `") && ends(line, " ***"))
		},
		next: nextNative,
	}
	glibcMalloc = form{
		language: native,
		starts: []string{
			"free(): ", "malloc(): ", "realloc(): ", "calloc(): ", "munmap_chunk(): ", "mremap_chunk(): ", "malloc_consolidate(): ",
			"tcache_thread_shutdown(): ", "malloc_check_get_size: ", "double free or corruption (", "corrupted ", "break adjusted to free ",
			"invalid fastbin entry ",
		},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.confirm(true)
			return isMalloc(line)
		},
		next: nextNative,
	}
	// "app: file.c:3: main: Assertion `n == 0' failed."
	assertion = form{
		language: native,
		may:      func(line []byte) bool { return ends(line, "' failed.") },
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.confirm(true)
			i := max(bytes.Index(line, []byte(": Assertion `")), bytes.Index(line, []byte(": Assertion '")))
			return i > 0 && hasNumber(line[:i])
		},
		next: nextNative,
	}
	// "Assertion failed: n == 0 (file.c: main: 3)"
	musl = form{
		language: native,
		starts:   []string{"Assertion failed: "},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.confirm(true)
			line, ok := bytes.CutSuffix(line, []byte(")"))
			place := line[bytes.LastIndex(line, []byte(" ("))+1:]
			colon := bytes.LastIndex(place, []byte(": "))
			return ok && has(place, "(") && colon > 0 && digits(place[colon+2:]) == len(place)-colon-2 && bytes.Count(place, []byte(": ")) == 2
		},
		next: nextNative,
	}
)

const native = "C/C++"

// hasNumber says whether place has a number between colons, or after one and
// before a space as in "file.c:3 f".
func hasNumber(place []byte) bool {
	for {
		i := bytes.IndexByte(place, ':')
		if i < 0 {
			return false
		}
		place = place[i+1:]
		if n := digits(place); n > 0 && (n == len(place) || place[n] == ':' || place[n] == ' ') {
			return true
		}
	}
}

func openTerminate(b *block, line []byte) bool {
	b.entitle(line)
	switch {
	case isOne(line, "terminate called without an active exception", "terminate called recursively",
		"terminate called after throwing a foreign exception"):
		b.confirm(true)
		b.follows = true
		return true
	case isOne(line, "pure virtual method called", "deleted virtual method called"):
		return true
	}
	b.confirm(true)
	return has(line, "terminate called after throwing an instance of '") && ends(line, "'") ||
		has(line, "libc++abi: terminating")
}

var mallocLines = []string{
	"corrupted size vs. prev_size",
	"corrupted size vs. prev_size while consolidating",
	"corrupted size vs. prev_size in fastbins",
	"corrupted double-linked list",
	"corrupted double-linked list (not small)",
	"break adjusted to free malloc space",
	"invalid fastbin entry (free)",
	"double free or corruption (fasttop)",
	"double free or corruption (top)",
	"double free or corruption (out)",
	"double free or corruption (!prev)",
}

// mallocStarts may follow a function's name and a colon.
var mallocStarts = []string{
	"invalid ",
	"corrupted ",
	"double free detected in tcache",
	"unaligned ",
	"mismatching ",
	"unsorted double linked ",
	"smallbin double linked ",
	"largebin double linked ",
	"memory corruption",
	"too many chunks detected in tcache",
	"unexpected ",
	"tcache ",
}

// isMalloc says whether line is one of glibc's short messages about a corrupt heap.
func isMalloc(line []byte) bool {
	if len(line) > 80 {
		return false
	}
	if isOne(line, mallocLines...) {
		return true
	}
	_, what, ok := bytes.Cut(line, []byte(": "))
	return ok && hasOne(what, mallocStarts...) && !bytes.ContainsAny(what, ",;:'\"=%")
}

// nextNative accepts the stack that old C libraries and Node.js print.
func nextNative(_ *block, line []byte) verdict {
	if hasOne(line, "======= ", "----- ") || isFrame(line) || has(line, "/lib") && ends(line, "]") {
		return part
	}
	return foreign
}

// nativeStack reads the first stack of a sanitizer, glog or abseil. The C library prints no
// stack, but an assertion names the function.
func nativeStack(title string, lines []string) (s stack) {
	if what, ok := strings.CutPrefix(title, "terminate called after throwing an instance of '"); ok {
		what, _, _ = strings.Cut(what, "'")
		return stack{kind: "terminate: " + what}
	}
	if before, _, ok := strings.Cut(title, ": Assertion "); ok {
		return stack{kind: "assertion", frames: assertedIn(before)}
	}
	if i := strings.LastIndex(title, " ("); i > 0 && strings.HasPrefix(title, "Assertion failed: ") {
		if words := strings.Split(title[i+2:], ": "); len(words) == 3 {
			return stack{kind: "assertion", frames: []frame{{function: words[1], place: place(words[0], strings.TrimSuffix(words[2], ")"))}}}
		}
	}
	before, undefined, _ := strings.Cut(title, ": runtime error: ")
	logged, _, fatal := strings.Cut(title, "] ")
	var fallback []frame
	switch {
	case undefined != "":
		s.kind = "UndefinedBehaviorSanitizer"
		file, short := fileOf(before)
		fallback = []frame{{function: filepath.Base(file), place: short}}
	case fatal && !strings.Contains(logged, " "):
		s.kind = "fatal log"
		file, short := fileOf(logged)
		fallback = []frame{{function: filepath.Base(file), place: short}}
	default:
		s.kind = wording(title, " on ", " (", " received ", " at ")
	}
	for _, line := range lines {
		f, ok := nativeFrame(line)
		if ok {
			s.frames = append(s.frames, f)
		} else if len(s.frames) > 0 && !strings.HasPrefix(line, "*** ") {
			break
		}
	}
	if len(s.frames) == 0 {
		s.frames = fallback
	}
	return s
}

// assertedIn reads "app: file.c:3: int f(int)".
func assertedIn(text string) []frame {
	for at := 0; ; {
		i := strings.Index(text[at:], ": ")
		if i < 0 {
			return nil
		}
		if file, short := fileOf(text[:at+i]); short != "" {
			short = short[strings.LastIndexByte(short, ' ')+1:]
			return []frame{{function: signature.Name(text[at+i+2:]), place: short, foreign: strings.Contains(file, "/usr/include/")}}
		}
		at += i + 2
	}
}

// nativeFrame reads "    #0 0x55 in f file.c:3", "    #0 f file.c:3 (app+0x2519)" and
// "    @     0x55  16  f".
func nativeFrame(line string) (f frame, ok bool) {
	line = strings.TrimSpace(strings.TrimPrefix(line, "PC: "))
	switch {
	case strings.HasPrefix(line, "#"):
		_, rest, _ := strings.Cut(line, " ")
		if address, name, ok := strings.Cut(rest, " in "); ok && strings.HasPrefix(address, "0x") {
			rest = name
		}
		if i := strings.LastIndex(rest, " ("); i > 0 && strings.Contains(rest[i:], "+0x") {
			rest = rest[:i]
		}
		if i := strings.LastIndexByte(rest, ' '); i > 0 {
			if file, short := fileOf(rest[i+1:]); short != "" || strings.HasPrefix(file, "<") || strings.HasPrefix(file, "/") {
				f.place, f.foreign = short, strings.HasPrefix(file, "/usr/include/") || strings.Contains(file, "/libsanitizer/") || strings.Contains(file, "/sysdeps/")
				rest = rest[:i]
			}
		}
		if !strings.HasPrefix(rest, "<null>") {
			f.function = signature.Name(rest)
		}
	case strings.HasPrefix(line, "@ "):
		fields := strings.Fields(line)
		for len(fields) > 1 && (strings.HasPrefix(fields[0], "0x") || fields[0] == "@" || digits([]byte(fields[0])) == len(fields[0]) || fields[0] == "(unknown)") {
			fields = fields[1:]
		}
		f.function = signature.Name(strings.Join(fields, " "))
	default:
		return f, false
	}
	if strings.HasPrefix(f.function, "<") || f.function == "" || f.function == "unknown" {
		f.function = ""
	}
	f.foreign = f.foreign || signature.Machinery(f.function)
	return f, true
}
