// Package signature identifies a death by its kind and its place in the app's own code, so
// that the same death has the same signature in another build, process or thread. It accepts
// stacks from gdb, our own reader of cores, and languages' runtimes.
package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Frame is one call of a stack.
type Frame struct {
	Function string // as the stack's source writes it; empty: not known
	Module   string // path of the file that the code is from; empty: not known
	Offset   uint64 // of the code in Module; 0: not known
	Place    string // FILE:LINE, for people; empty: not known
	Signal   bool   // the kernel called a signal handler here
}

// A Signature identifies a kind of death.
type Signature struct {
	ID  string // 12 hexadecimal digits
	Top string // the topmost frame of the app's own, for people; empty: none is known
}

// depth is the number of frames in a signature. More frames would separate deaths that
// reached the same bug on different paths; fewer would mix deaths in a shared helper.
const depth = 3

// Of returns the signature of a death. kind is a signal's name or a traceback's type, and
// own the app's frames, topmost first, as Own returns them. Without a frame the kind alone
// makes the signature.
func Of(kind string, own []Frame) Signature {
	parts := []string{kind}
	for _, f := range own {
		// An optimizer inlines C++ closures into their callers, and gdb does not show their
		// owner.
		if f.Function != closureName && len(parts) <= depth {
			parts = append(parts, f.Function)
		}
	}
	if len(parts) == 1 && len(own) > 0 {
		parts = append(parts, closureName)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	s := Signature{ID: hex.EncodeToString(sum[:6])}
	if len(own) > 0 {
		s.Top = own[0].Function
		if own[0].Place != "" {
			s.Top += " at " + filepath.Base(own[0].Place)
		}
	}
	return s
}

// Present returns the path of a file without what the kernel puts behind it if the file was
// replaced meanwhile.
func Present(path string) string { return strings.TrimSuffix(path, " (deleted)") }

// Own returns the app's own frames of a native stack, named by Name. executable is the path
// of the program. If no own function has a name, as in a stripped program, a frame is named
// by its file and offset.
func Own(frames []Frame, executable string) []Frame {
	var named, nameless []Frame
	executable = Present(executable)
	for _, f := range frames[interruptedAt(frames):] {
		f.Module = Present(f.Module)
		if f.Signal || f.Module != "" && !ownModule(f.Module, executable) {
			continue
		}
		f.Function = Name(f.Function)
		switch {
		case f.Function == "" || f.Function == "??":
			if f.Module != "" && f.Offset != 0 {
				f.Function = filepath.Base(f.Module) + "+0x" + strconv.FormatUint(f.Offset, 16)
				nameless = append(nameless, f)
			}
		case !Machinery(f.Function):
			named = append(named, f)
		}
	}
	if len(named) == 0 {
		return nameless
	}
	return named
}

// interruptedAt returns the index of the first frame of the faulty stack: after a signal
// handler that gave up, because such a handler is on top of every fault of its app.
func interruptedAt(frames []Frame) int {
	start, gaveUp := 0, false
	for i, f := range frames {
		if !f.Signal {
			gaveUp = gaveUp || givesUp(f.Function)
		} else if gaveUp {
			start, gaveUp = i+1, false
		} else {
			break // the handler itself failed
		}
	}
	return start
}

// givesUp says whether a function ends the process on purpose.
func givesUp(function string) bool {
	name := strings.TrimPrefix(strings.TrimLeft(function, "_"), "GI_")
	return slices.Contains([]string{"abort", "raise", "gsignal", "kill", "tgkill"}, strings.TrimLeft(name, "_")) ||
		strings.HasPrefix(name, "pthread_kill") || strings.HasPrefix(name, "runtime.raise")
}

// systemDirs hold the system's libraries. The executable is the app's own even there.
var systemDirs = []string{"/lib/", "/lib32/", "/lib64/", "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libexec/"}

// interpreter matches the base names of files that run an app without being it.
var interpreter = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(lib)?(python|pypy|node|java|jvm|ruby|perl|php|lua|luajit|bun|deno|dotnet|coreclr|mono|julia|beam\.smp|bash|dash|sh|busybox)[-0-9.]*[a-z]?(\.so.*)?$`)
})

func ownModule(module, executable string) bool {
	if !filepath.IsAbs(module) || interpreter().MatchString(filepath.Base(module)) || strings.Contains(module, "/lib-dynload/") {
		return false // such as [vdso], or a module of Python's library
	}
	return module == executable || !slices.ContainsFunc(systemDirs, func(dir string) bool { return strings.HasPrefix(module, dir) })
}
