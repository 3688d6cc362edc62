package traceback

import (
	"bytes"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// The JVM prints `Exception in thread "main" java.lang.Error: why` and a line for each call,
// for Kotlin and Scala, too. Preallocated exceptions have no calls; then the class must look
// like one of the platform's. An exception that a program prints itself has no such head and
// is no report.
var (
	javaThread = form{
		language: "Java",
		starts:   []string{javaThreadStart},
		open: func(b *block, line []byte) bool {
			class := javaClass(line[len(javaThreadStart):])
			if class == nil {
				return false
			}
			b.entitle(line)
			if bytes.IndexByte(class, '.') > 0 && (ends(class, "Error") || ends(class, "Exception") || ends(class, "Throwable")) {
				b.confirm(false)
			}
			return true
		},
		next: func(b *block, line []byte) verdict {
			switch {
			case has(line, "\tat "):
				b.confirm(false)
				return part
			case hasOne(line, "\t", "Caused by: "):
				return part
			}
			return foreign
		},
	}
	// The short forms that the JVM prints when memory is exhausted.
	javaMemory = form{
		language: "Java",
		starts: []string{
			"Exception: java.lang.", "Terminating due to java.lang.OutOfMemoryError", "Aborting due to java.lang.OutOfMemoryError",
		},
		open: func(b *block, line []byte) bool {
			b.entitle(line)
			b.confirm(!has(line, "Exception: "))
			return b.fatal || holds(line, ` thrown from the UncaughtExceptionHandler in thread "`)
		},
		next: func(*block, []byte) verdict { return foreign },
	}
	// A dying JVM or V8 prints a block of lines that begin with "#". The JVM's names a
	// file with the details, hs_err_pid*.log.
	hashes = form{
		language: "Java",
		starts:   []string{"#"},
		may:      func(line []byte) bool { return len(line) == 1 || line[1] == ' ' },
		open: func(b *block, line []byte) bool {
			b.follows = true
			return string(line) == "#" || hashTitle(b, line)
		},
		next: nextHash,
		gap:  slowGap,
	}
)

const javaThreadStart = `Exception in thread "`

// javaClass returns the exception's class. rest is the text after the first quote of
// `Exception in thread "NAME" CLASS: why`; NAME may contain quotes.
func javaClass(rest []byte) []byte {
	for {
		i := bytes.Index(rest, []byte(`" `))
		if i < 0 {
			return nil
		}
		rest = rest[i+2:]
		if n := name(rest, ".$/"); n > 0 && (n == len(rest) || has(rest[n:], ": ")) {
			return rest[:n]
		}
	}
}

const (
	hashOpen   = iota // only "#" so far
	hashSignal        // the line that names the signal is still to come
	hashRest
)

func hashTitle(b *block, line []byte) bool {
	switch {
	case string(line) == "# A fatal error has been detected by the Java Runtime Environment:",
		has(line, "# There is insufficient memory for the Java Runtime Environment"):
	case has(line, "# Fatal error in "):
		b.language = "Node.js"
	default:
		return false
	}
	b.entitle(bytes.TrimSuffix(line[len("# "):], []byte(":")))
	b.state = hashSignal
	b.confirm(true)
	return true
}

func nextHash(b *block, line []byte) verdict {
	if len(line) == 0 {
		return foreign
	}
	if b.state == hashOpen {
		if b.lines > 3 || (string(line) != "#" && !hashTitle(b, line)) {
			return over
		}
		return part
	}
	switch {
	case line[0] == '#':
		if text := bytes.TrimLeft(line, "# "); b.state == hashSignal && len(text) > 0 {
			b.subtitle(": ", text)
			b.state = hashRest
		}
		return part
	case hasOne(line, "[error occurred ", "[thread ", "[timeout ", "[too many errors", "=== ", "==== ", "-----"),
		isFrame(line), b.language == "Node.js" && line[0] == ' ':
		return part
	}
	return foreign
}

// javaStack reads the calls of the exception that ended the thread, not of its causes.
func javaStack(title string, lines []string) (s stack) {
	if class := javaClass([]byte(strings.TrimPrefix(title, javaThreadStart))); strings.HasPrefix(title, javaThreadStart) && class != nil {
		s.kind = string(class)
	} else {
		s.kind = wording(strings.ReplaceAll(title, "A fatal error has been detected by the Java Runtime Environment", "JVM"), " (", " at pc=")
	}
	for i, line := range lines {
		call, ok := strings.CutPrefix(line, "\tat ")
		switch {
		case ok:
			name, at, _ := strings.Cut(call, "(")
			name = name[strings.LastIndexByte(name, '/')+1:] // without the module, as in java.base/java.lang.Thread.run
			name = strings.TrimRight(name, "0123456789$")    // of lambdas
			s.frames = append(s.frames, frame{function: name, place: strings.TrimSuffix(at, ")"), foreign: javaLibrary(name)})
		case len(s.frames) > 0:
			return s
		case strings.HasPrefix(line, "# Problematic frame:") && i+1 < len(lines):
			// "# C  [libx.so+0x650]  name+0x10"
			_, name, ok := strings.Cut(lines[i+1], "]  ")
			name, _, _ = strings.Cut(name, "+0x")
			if ok {
				return stack{s.kind, []frame{{function: signature.Name(name)}}}
			}
		}
	}
	return s
}

func javaLibrary(name string) bool {
	return hasOne([]byte(name), "java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.")
}
