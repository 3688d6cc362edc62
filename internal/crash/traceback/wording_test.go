package traceback

import (
	"strings"
	"testing"
)

// TestWordings has output of other versions and other libraries, which no program under
// testdata prints. A report's lines are indented by one tab here.
func TestWordings(t *testing.T) {
	for _, w := range []struct {
		what, text string
		lang       string
		title      string
		fatal      bool
	}{
		{"Python, a group out of except*", `
			  | ExceptionGroup:  (1 sub-exception)
			  +-+---------------- 1 ----------------
			    | Exception Group Traceback (most recent call last):
			    |   File "/app/x.py", line 5, in <module>
			    |     f(3)
			    | ExceptionGroup: many (1 sub-exception)
			    +-+---------------- 1 ----------------
			      | KeyError: 'b'
			      +------------------------------------
			`, "Python", "ExceptionGroup:  (1 sub-exception)", false},
		{"Node.js, text that is no JSON", `
			<anonymous_script>:1
			{bad
			 ^

			SyntaxError: Expected property name or '}' in JSON at position 1
			    at JSON.parse (<anonymous>)
			    at /app/x.js:2:28

			Node.js v20.20.2
			`, "Node.js", "SyntaxError: Expected property name or '}' in JSON at position 1", true},
		{"Node.js, text that is no JSON, before 20", `
			undefined:1
			{bad
			 ^

			SyntaxError: Unexpected token b in JSON at position 1
			    at JSON.parse (<anonymous>)
			`, "Node.js", "SyntaxError: Unexpected token b in JSON at position 1", false},
		{"Node.js, a rejection by a value, before 20", `
			node:internal/process/promises:288
			            triggerUncaughtException(err, true /* fromPromise */);
			            ^

			[UnhandledPromiseRejection: This error originated either by throwing. The promise rejected with the reason "42".] {
			  code: 'ERR_UNHANDLED_REJECTION'
			}

			Node.js v18.20.4
			`, "Node.js", `UnhandledPromiseRejection: This error originated either by throwing. The promise rejected with the reason "42".`, true},
		{"Rust before 1.73", `
			thread 'main' panicked at 'boom', src/main.rs:2:5
			note: run with §RUST_BACKTRACE=1§ environment variable to display a backtrace
			`, "Rust", "thread 'main' panicked at 'boom', src/main.rs:2:5", false},
		{"Rust before threads had numbers", `
			thread '<unnamed>' panicked at src/main.rs:2:5:
			boom
			`, "Rust", "thread '<unnamed>' panicked at src/main.rs:2:5: boom", false},
		{"Rust's runtime", `
			fatal runtime error: failed to initiate panic, error 5, aborting
			`, "Rust", "fatal runtime error: failed to initiate panic, error 5, aborting", true},
		{"klog", `
			F1123 15:04:05.123456       1 main.go:12] no configuration
			goroutine 1 [running]:
			main.main()
			→/app/main.go:12 +0x1d
			`, "Go", "main.go:12] no configuration", true},
		{"Go, out of memory", `
			runtime: out of memory: cannot allocate 4194304-byte block (12345 in use)
			fatal error: out of memory

			runtime stack:
			runtime.throw({0x1, 0x2})
			→/usr/local/go/src/runtime/panic.go:1 +0x48
			`, "Go", "fatal error: out of memory", true},
		{"Go, a bad address", `
			unexpected fault address 0x7f0000000000
			fatal error: fault
			[signal SIGBUS: bus error code=0x2 addr=0x7f0000000000 pc=0x48]

			goroutine 1 [running]:
			runtime.throw({0x1, 0x2})
			→/usr/local/go/src/runtime/panic.go:1 +0x48
			`, "Go", "fatal error: fault", true},
		{"Go, registers of ARM64", `
			SIGSEGV: segmentation violation
			PC=0x48b530 m=0 sigcode=1 addr=0x8
			signal arrived during cgo execution

			goroutine 1 gp=0x4000002380 m=0 mp=0x5a0 [syscall]:
			main._Cfunc_wild()
			→_cgo_gotypes.go:61 +0x3a

			r0      0x8
			lr      0x48b530
			fault   0x8
			`, "Go", "SIGSEGV: segmentation violation", true},
		{"a Python of C stacks", `
			Fatal Python error: Segmentation fault

			<Cannot show all threads while the GIL is disabled>
			Current thread 0x00007f12 [app] (most recent call first):
			  File "/app/a.py", line 3 in f
			  File "/app/a.py", line 9 in <module>

			Current thread's C stack trace (most recent call first):
			  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x31 [0x56]

			Extension modules: numpy.core (total: 1)
			`, "Python", "Fatal Python error: Segmentation fault", true},
		{"a Python without its library", `
			Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding
			Python runtime state: core initialized
			ModuleNotFoundError: No module named 'encodings'

			Current thread 0x00007f71 (most recent call first):
			  <no Python frame>
			`, "Python", "Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding", true},
		{"libc++", `
			libc++abi: terminating due to uncaught exception of type std::runtime_error: boom
			`, native, "libc++abi: terminating due to uncaught exception of type std::runtime_error: boom", true},
		{"musl", `
			Assertion failed: n == 0 (src/app.c: check: 17)
			`, native, "Assertion failed: n == 0 (src/app.c: check: 17)", true},
		{"glibc's own check", `
			Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: (old_top == initial_top (av))
			`, native, "Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: (old_top == initial_top (av))", true},
		{"an old glibc", `
			*** Error in §./app': double free or corruption (fasttop): 0x0000000001a2 ***
			======= Backtrace: =========
			/lib/x86_64-linux-gnu/libc.so.6(+0x777e5)[0x7f]
			======= Memory map: ========
			`, native, "*** Error in §./app': double free or corruption (fasttop): 0x0000000001a2 ***", true},
		{"MemorySanitizer", `
			==7==WARNING: MemorySanitizer: use-of-uninitialized-value
			    #0 0x49 in main a.c:3:7

			SUMMARY: MemorySanitizer: use-of-uninitialized-value a.c:3:7 in main
			`, native, "MemorySanitizer: use-of-uninitialized-value", false},
		{"clang's undefined behaviour", `
			a.c:3:5: runtime error: load of misaligned address 0x7ffd1 for type 'int', which requires 4 byte alignment
			0x7ffd1: note: pointer points here
			 00 00 00  01 02 03 04 05
			              ^ 
			    #0 0x42 in main a.c:3:5
			SUMMARY: UndefinedBehaviorSanitizer: misaligned-pointer-use a.c:3:5
			`, native, "a.c:3:5: runtime error: load of misaligned address 0x7ffd1 for type 'int', which requires 4 byte alignment", false},
		{"V8", `
			#
			# Fatal error in , line 0
			# Check failed: result.
			#
			#FailureMessage Object: 0x7ffe
			 1: 0xb7 node::NodePlatform::Print() [node]
			 2: 0x1c V8_Fatal(char const*, ...) [node]
			`, "Node.js", "Fatal error in , line 0: Check failed: result.", true},
		{"Node.js's own check", `
			node[17]: ../src/node.cc:33:void node::f(): Assertion §(a) == (b)' failed.
			 1: 0xa1 node::Abort() [node]
			 2: 0xa2 node::Assert(node::AssertionInfo const&) [node]
			`, native, "node[17]: ../src/node.cc:33:void node::f(): Assertion §(a) == (b)' failed.", true},
		{"a native module", `
			FATAL ERROR: Error::New napi_get_last_error_info
			 1: 0xb0 node::Abort() [node]
			`, "Node.js", "FATAL ERROR: Error::New napi_get_last_error_info", true},
		{"a JVM without memory", `
			#
			# There is insufficient memory for the Java Runtime Environment to continue.
			# Native memory allocation (mmap) failed to map 16384 bytes.
			# An error report file with more information is saved as:
			# /app/hs_err_pid7.log
			`, "Java", "There is insufficient memory for the Java Runtime Environment to continue.: Native memory allocation (mmap) failed to map 16384 bytes.", true},
		{"a JVM with no memory to say so", `
			Exception: java.lang.OutOfMemoryError thrown from the UncaughtExceptionHandler in thread "main"
			`, "Java", `Exception: java.lang.OutOfMemoryError thrown from the UncaughtExceptionHandler in thread "main"`, false},
		{"Kotlin", `
			Exception in thread "DefaultDispatcher-worker-1" app.Refused
			→at app.MainKt$main$1.invokeSuspend(Main.kt:7)
			→Suppressed: kotlinx.coroutines.internal.DiagnosticCoroutineContextException: [StandaloneCoroutine{Cancelling}@1]
			`, "Java", `Exception in thread "DefaultDispatcher-worker-1" app.Refused`, false},
		{"an assertion, and glog's handler", `
			app: a.c:3: main: Assertion §0' failed.
			*** Aborted at 1700000000 (unix time) try "date -d @1700000000" if you are using GNU date ***
			PC: @     0x7f gsignal
			*** SIGABRT (@0x1) received by PID 7 (TID 0x7f) from PID 1; stack trace: ***
			    @     0x7f gsignal
			`, native, "app: a.c:3: main: Assertion §0' failed.", true},
	} {
		t.Run(w.what, func(t *testing.T) {
			text := strings.NewReplacer("\t", "", "§", "`", "→", "\t").Replace(w.text)
			reports := recognise([]byte("before\n"+text+"after\nand after\n"), 64)
			if len(reports) != 1 {
				t.Fatalf("%d reports: %+v", len(reports), reports)
			}
			r := reports[0]
			title := strings.ReplaceAll(w.title, "§", "`")
			if r.Language != w.lang || r.Title != title || r.Fatal != w.fatal {
				t.Errorf("%s, %q, %v; want %s, %q, %v", r.Language, r.Title, r.Fatal, w.lang, title, w.fatal)
			}
			if got, want := r.Text, strings.Trim(text, "\n"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
