package traceback

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// recognised returns the first report of a text.
func recognised(t *testing.T, text string) (first Report) {
	t.Helper()
	r := New(func(r Report) {
		if first.Language == "" {
			first = r
		}
	})
	for line := range strings.Lines(text) {
		r.Line([]byte(strings.TrimSuffix(line, "\n")), time.Unix(0, 0))
	}
	r.Close()
	if first.Language == "" {
		t.Fatalf("no report in\n%s", text)
	}
	return first
}

func printed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".out"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sign(t *testing.T, text string) signature.Signature {
	t.Helper()
	r := recognised(t, text)
	kind, own := r.Stack()
	return signature.Of(kind, own)
}

// TestStack reads captures of the runtimes' real output.
func TestStack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"cpp/abseil-segv":     "C/C++ SIGSEGV: main",
		"cpp/asan-doublefree": "C/C++ AddressSanitizer: attempting double-free: main at crash.cpp:56",
		"cpp/asan-leak":       "C/C++ LeakSanitizer: detected memory leaks: main at crash.cpp:77",
		"cpp/asan-useafter":   "C/C++ AddressSanitizer: heap-use-after-free: main at crash.cpp:69",
		"cpp/assert":          "C/C++ assertion: main at crash.cpp:39",
		"cpp/doublefree":      "C/C++ free(): double free detected in tcache:",
		"cpp/glog-check":      "C/C++ fatal log: main",
		"cpp/glog-segv":       "C/C++ SIGSEGV: main",
		"cpp/throw":           "C/C++ terminate: std::runtime_error:",
		"cpp/tsan-race":       "C/C++ ThreadSanitizer: data race: operator() at crash.cpp:87",
		"cpp/ubsan":           "C/C++ UndefinedBehaviorSanitizer: crash.cpp at crash.cpp:83",
		"go/cgoassert":        "C/C++ assertion: check at cgo.go:8",
		"go/cgosegv":          "Go SIGSEGV: main._Cfunc_wild at _cgo_gotypes.go:61, main.main at cgo.go:17",
		"go/deadlock":         "Go fatal error: all goroutines are asleep - deadlock!: main.main at crash.go:57, main.(*server).handle at crash.go:26, main.(*server).handle at crash.go:22",
		"go/http":             "Go panic: main.main at crash.go:83",
		"go/nil":              "Go panic: runtime error: main.main at crash.go:48, main.(*server).handle at crash.go:26, main.(*server).handle at crash.go:22",
		"go/race":             "Go WARNING: DATA RACE: main.main at crash.go:97",
		"java/caused":         "Java Crash$Lines: Crash.caused at Crash.java:27, Crash.main at Crash.java:39",
		"java/segv":           "Java JVM: SIGSEGV: Unsafe_PutLong",
		"java/thread":         "Java java.lang.IllegalArgumentException: Crash.inner at Crash.java:20",
		"node/assert":         "Node.js AssertionError: crash.js:assert at crash.js:32, crash.js:Object.<anonymous> at crash.js:59",
		"node/memory":         "Node.js FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory:",
		"node/required":       "Node.js Error: crash.js:module at crash.js:29, crash.js:Object.<anonymous> at crash.js:59",
		"node/string":         "Node.js throw: crash.js at crash.js:7",
		"python/cause":        "Python NamedError: crash.py:cause at crash.py:49, crash.py:deeper at crash.py:21, crash.py:deeper at crash.py:19",
		"python/nogroup":      "Python ExceptionGroup: crash.py:nogroup at crash.py:70, crash.py:deeper at crash.py:21, crash.py:deeper at crash.py:19",
		"python/segv":         "Python Fatal Python error: Segmentation fault: crash.py:segv at crash.py:126, crash.py:deeper at crash.py:21, crash.py:deeper at crash.py:19",
		"python/syntax":       "Python SyntaxError: syntax.py at syntax.py:2",
		"python/thread":       "Python ValueError: crash.py:plain at crash.py:25",
		"rust/destructor":     "Rust panic: crash::Bomb::drop at crash.rs:8, crash::main at crash.rs:51",
		"rust/full":           "Rust panic: crash::main at crash.rs:31",
		"rust/overflow":       "Rust stack overflow:",
		"rust/traced":         "Rust panic: crash::main at crash.rs:25",
		"rust/unwrap":         "Rust panic: crash.rs at crash.rs:29",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := recognised(t, printed(t, name))
			kind, own := r.Stack()
			var frames []string
			for _, f := range own[:min(3, len(own))] {
				if f.Place != "" {
					f.Function += " at " + f.Place
				}
				frames = append(frames, f.Function)
			}
			if got := strings.TrimSpace(kind + ": " + strings.Join(frames, ", ")); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestStackSignatures wants the same signature for the same death with another message, other
// lines and another directory, and a different one for a death in another function.
func TestStackSignatures(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		same  []string // old and new, in turn
		other []string
	}{
		{"python/plain", []string{"line 25", "line 29", "/app/", "/opt/app/", "boom", "bang: 7"}, []string{"in plain", "in simple"}},
		{"python/thread", []string{"line 1045", "line 1044", "python3.11", "python3.12"}, []string{"ValueError", "KeyError"}},
		{"go/panic", []string{":38 +0x25", ":41 +0x31", "boom", "bang", "goroutine 1 ", "goroutine 77 "}, []string{"handle(", "serve("}},
		{"go/nil", []string{"addr=0x0 pc=0x65a522", "addr=0x8 pc=0x65b000", "main.func5", "main.func6"}, []string{"(*server)", "(*client)"}},
		{"rust/traced", []string{"crash.rs:25:", "crash.rs:27:"}, []string{"crash::main", "crash::other"}},
		{"java/plain", []string{"Crash.java:20", "Crash.java:21", "boom", "bang"}, []string{"Crash.inner", "Crash.outer"}},
		{"node/throw", []string{"crash.js:4", "crash.js:5", "boom", "bang"}, []string{"at throw", "at toss"}},
		{"cpp/asan-useafter", []string{"crash.cpp:69", "crash.cpp:70", "0x5651075c2d79", "0x5651075c2d70"}, []string{"heap-use-after-free", "heap-buffer-overflow"}},
		{"cpp/glog-check", []string{"glog.cpp:9", "glog.cpp:10", "5 vs. 3", "6 vs. 3"}, []string{"  main\n", "  run()\n"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			text := printed(t, row.name)
			same, other := strings.NewReplacer(row.same...).Replace(text), strings.NewReplacer(row.other...).Replace(text)
			if same == text || other == text {
				t.Fatal("nothing was replaced")
			}
			first := sign(t, text)
			if again := sign(t, same); first.ID != again.ID {
				t.Errorf("%v and %v differ", first, again)
			}
			if differs := sign(t, other); first.ID == differs.ID {
				t.Errorf("%v and %v are the same", first, differs)
			}
		})
	}
}
