package signature

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Suffixes that compilers add to names: for specialised or split copies of a function, and
// for Go's closures, which are numbered in the order of the source.
var (
	clones = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(\.(constprop|isra|part|cold|hot|unlikely|lto_priv|localalias|llvm|clone|resolver|ifunc|avx2|sse[0-9_]*|default)(\.[0-9]+)*|\.[0-9]+|@@?[A-Za-z0-9_.]+)+$`)
	})
	goClosures = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(\.func[0-9]+|\.gowrap[0-9]+|\.deferwrap[0-9]+|-range[0-9]+|-fm|\.[0-9]+)+$`)
	})
	rustHash = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^h[0-9a-f]{16}$`) })
)

// longestName bounds a name, in bytes: names of templates may be huge.
const longestName = 8 << 10

// closureName is the name of a closure in C++.
const closureName = "operator()"

// anonymous stands for C++'s anonymous namespace in names.
const anonymous = "{anonymous}"

// Name returns a function's name without the parts that differ between builds or between
// readers of stacks: parameters, results, template arguments, copies, hashes, closure numbers.
func Name(function string) string {
	name, _, _ := strings.Cut(function[:min(len(function), longestName)], " (inlined)")
	name, _, _ = strings.Cut(name, " [clone ")
	name = clones().ReplaceAllString(strings.TrimSpace(name), "")
	if strings.Contains(name, ".") && !strings.Contains(name, "::") {
		return goClosures().ReplaceAllString(cutBrackets(name, '[', ']'), "")
	}
	name = strings.ReplaceAll(name, "(anonymous namespace)", anonymous)
	symbol := ""
	if before, rest, ok := cutOperator(name); ok {
		name, symbol = before, rest
	}
	for strings.HasPrefix(name, "<") {
		self := selfType(name)
		if self == name {
			break
		}
		name = self
	}
	name = cutBrackets(cutBrackets(cutBrackets(name, '<', '>'), '[', ']'), '(', ')')
	for _, qualifier := range []string{" noexcept", " &", " &&", " volatile", " const"} { // from behind
		name = strings.TrimSuffix(strings.ReplaceAll(name, qualifier+"::", "::"), qualifier)
	}
	// The text before the last space is the result's type.
	name = name[strings.LastIndexByte(name, ' ')+1:]
	closure := false
	parts := slices.DeleteFunc(strings.Split(name, "::"), func(part string) bool {
		if strings.HasPrefix(part, "{") && part != anonymous {
			closure = closure || strings.HasPrefix(part, "{lambda")
			return true
		}
		return part == "" || rustHash().MatchString(part)
	})
	if closure && symbol != "" {
		return symbol // closureName: gdb shows no more of a C++ closure
	}
	if symbol != "" {
		parts = append(parts, symbol)
	}
	return strings.Join(parts, "::")
}

// selfType rewrites Rust's `<T as Trait>::f` as `T::f`.
func selfType(name string) string {
	nested := 0
	for i := range len(name) {
		switch name[i] {
		case '<':
			nested++
		case '>':
			if i > 0 && name[i-1] == '-' {
				continue // of a function's type
			}
			if nested--; nested == 0 {
				self, _, _ := strings.Cut(name[1:i], " as ")
				if strings.HasPrefix(self, "lambda(") {
					self = "{lambda}"
				}
				return strings.TrimLeft(self, "&*") + name[i+1:]
			}
		}
	}
	return name
}

// cutOperator splits a C++ operator off the end of a name: `operator<<`, `operator()`,
// `operator new`.
func cutOperator(name string) (before, symbol string, ok bool) {
	const word = "operator"
	i := strings.LastIndex(name, word)
	if i < 0 || i > 0 && name[i-1] != ':' && name[i-1] != ' ' {
		return name, "", false
	}
	rest := name[i+len(word):]
	n := 0
	if strings.HasPrefix(rest, "()") {
		n = 2
	}
	for n < len(rest) && n < 3 && rest[n] != '(' && strings.IndexByte("<>=!+-*/%^&|~,[]", rest[n]) >= 0 {
		n++
	}
	switch {
	case n > 0:
		symbol = rest[:n]
	case strings.HasPrefix(rest, " "): // new, delete, or a type
		symbol = strings.TrimSuffix(cutBrackets(cutBrackets(rest, '<', '>'), '(', ')'), " const")
	default:
		return name, "", false // a longer word, such as operators
	}
	before = name[:i]
	// gdb writes the closure before it as <lambda(int)>.
	if strings.HasSuffix(before, ">::") && strings.Contains(before, "<lambda(") {
		before = before[:strings.LastIndex(before, "<lambda(")] + "{lambda}::"
	}
	return before, word + symbol, true
}

// cutBrackets returns text without its bracketed parts.
func cutBrackets(text string, open, shut byte) string {
	var b strings.Builder
	nested := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == open:
			nested++
		case c == shut && i > 0 && c == '>' && text[i-1] == '-':
			// an arrow
		case c == shut && nested > 0:
			nested--
		case nested == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Functions between the app and the kernel, in any module: a statically linked program
// contains its runtime. The names are as Name returns them.
var (
	machineryPrefixes = []string{
		"__", "_dl_", "_IO_", "_int_", "_nl_", "_Unwind_", "_cgo_", // the C library and the linker
		"std::", "rust_", "panic_abort::", "panic_unwind::", "rustc_", "gnu_cxx::", "_rust",
		"google::LogMessage", "google::logging_internal", "google::DumpStackTrace", "absl::log_internal", "absl::lts_", "absl::base_internal",
		"Py_", "PyEval_", "PyObject_", "PyRun_", "PyErr_", "PyImport_", "_Py", "v8::internal::", "uv__", "libunwind::", "llvm::sys::",
	}
	// Modules of Rust's core and alloc; C++ has namespaces of these names, too.
	rustLibrary = []string{
		"any", "array", "boxed", "borrow", "cell", "char", "collections", "convert", "fmt", "hint", "intrinsics", "iter", "mem", "num", "ops", "option",
		"panic", "panicking", "pin", "ptr", "raw_vec", "rc", "result", "slice", "str", "string", "vec", "alloc",
	}
	machineryNames = []string{
		"_start", "abort", "raise", "gsignal", "kill", "tgkill", "pthread_kill", "sigqueue", "start_thread", "clone", "clone3", "thread_start",
		"malloc", "free", "calloc", "realloc", "memalign", "posix_memalign", "malloc_printerr", "malloc_consolidate", "unlink_chunk", "sysmalloc",
		"munmap_chunk", "operator new", "operator new[]", "operator delete", "operator delete[]", "assert_fail_base",
		"memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strnlen", "strcpy", "strncpy", "strcat", "strcmp", "strncmp", "strchr", "strrchr",
		"strstr", "strdup", "printf", "fprintf", "sprintf", "snprintf", "vfprintf", "vsnprintf", "puts", "fputs", "fwrite", "qsort", "bsearch", "exit", "_exit",
		"poll", "select", "read", "write", "pause", "nanosleep", "sleep", "epoll_wait", "futex_wait", "syscall", "main_impl", "crosscall1", "crosscall2",
	}
	// Packages of Go's library, by the first part of their paths.
	goLibrary = []string{
		"bufio", "bytes", "cmp", "compress", "container", "context", "crypto", "database", "debug", "encoding", "errors", "expvar", "flag", "fmt", "go",
		"hash", "html", "image", "internal", "io", "iter", "log", "maps", "math", "mime", "net", "os", "path", "reflect", "regexp", "runtime", "rt0_go",
		"slices", "sort", "strconv", "strings", "sync", "syscall", "testing", "text", "time", "unicode", "unique", "vendor", "type:", "go:", "_rt0_amd64_linux",
	}
)

// Machinery says whether a function is not the app's own code: it belongs to a library, a
// runtime, or the code that turns a panic into a death.
func Machinery(name string) bool {
	if pkg, _, ok := strings.Cut(name, "."); ok && !strings.Contains(name, "::") {
		first, _, _ := strings.Cut(pkg, "/")
		return slices.Contains(goLibrary, first)
	}
	if crate, rest, _ := strings.Cut(name, "::"); crate == "core" || crate == "alloc" {
		module, _, ok := strings.Cut(rest, "::")
		return ok && slices.Contains(rustLibrary, module)
	}
	return slices.Contains(machineryNames, name) ||
		slices.ContainsFunc(machineryPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
