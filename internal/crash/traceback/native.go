package traceback

import "bytes"

// What C and C++ say as they die is one line, or little more, that nothing else
// has to follow: its wording is fixed, and it is the whole line.
var (
	terminate = form{
		language: native,
		starts:   []string{"terminate called ", "pure virtual method called", "deleted virtual method called", "libc++abi: "},
		open:     openTerminate,
		next: func(b *block, line []byte) verdict {
			const what = "  what():  "
			switch {
			case has(line, what):
				// The message may have more lines. No one else writes them: the
				// process ends here.
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
	// "*** stack smashing detected ***: terminated" and what older ones say.
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
	case isOne(line, "terminate called without an active exception\nterminate called recursively\n"+
		"terminate called after throwing a foreign exception\n"):
		b.confirm(true)
		b.follows = true
		return true
	case isOne(line, "pure virtual method called\ndeleted virtual method called\n"):
		return true
	}
	b.confirm(true)
	return has(line, "terminate called after throwing an instance of '") && ends(line, "'") ||
		has(line, "libc++abi: terminating")
}

const mallocLines = `corrupted size vs. prev_size
corrupted size vs. prev_size while consolidating
corrupted size vs. prev_size in fastbins
corrupted double-linked list
corrupted double-linked list (not small)
break adjusted to free malloc space
invalid fastbin entry (free)
double free or corruption (fasttop)
double free or corruption (top)
double free or corruption (out)
double free or corruption (!prev)
`

// What may follow a function's name and a colon.
const mallocStarts = "invalid \ncorrupted \ndouble free detected in tcache\nunaligned \nmismatching \nunsorted double linked \n" +
	"smallbin double linked \nlargebin double linked \nmemory corruption\ntoo many chunks detected in tcache\nunexpected \ntcache "

// isMalloc says whether line is what glibc says of a broken heap, in a few
// words and nothing else.
func isMalloc(line []byte) bool {
	if len(line) > 80 {
		return false
	}
	if isOne(line, mallocLines) {
		return true
	}
	_, what, ok := bytes.Cut(line, []byte(": "))
	return ok && hasOne(what, mallocStarts) && !bytes.ContainsAny(what, ",;:'\"=%")
}

// nextNative takes the stack that old C libraries and Node.js print by
// themselves.
func nextNative(_ *block, line []byte) verdict {
	if hasOne(line, "======= \n----- ") || isFrame(line) || has(line, "/lib") && ends(line, "]") {
		return part
	}
	return foreign
}
