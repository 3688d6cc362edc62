package traceback

// A deathCase is one way to fail, with or without the end of the process.
type deathCase struct {
	name  string // of the capture: testdata/NAME.out
	from  *program
	args  []string
	env   []string
	lang  string
	title string // with N for each number and DIR for the program's directory
	fatal bool
	count int // of reports; 0 is 1, see none
	// beyond is how many lines at the end of a message are left out: they look like
	// other output of the app.
	beyond int
}

// none is the count of cases without a report.
const none = -1

var deaths = []deathCase{
	{
		name: "go/panic", from: goProgram, args: []string{"panic"},
		lang: "Go", title: "panic: boom", fatal: true,
	},
	{
		name: "go/error", from: goProgram, args: []string{"error"},
		lang: "Go", title: "panic: open the store: no such file", fatal: true,
	},
	{
		name: "go/nested", from: goProgram, args: []string{"nested"},
		lang: "Go", title: "panic: first", fatal: true,
	},
	{
		name: "go/repanic", from: goProgram, args: []string{"repanic"},
		lang: "Go", title: "panic: again [recovered, repanicked]", fatal: true,
	},
	{
		name: "go/nil", from: goProgram, args: []string{"nil"},
		lang: "Go", title: "panic: runtime error: invalid memory address or nil pointer dereference", fatal: true,
	},
	{
		name: "go/goroutine", from: goProgram, args: []string{"goroutine"}, env: []string{"CRASH_TRACEBACK=all"},
		lang: "Go", title: "panic: in a goroutine", fatal: true,
	},
	{
		name: "go/system", from: goProgram, args: []string{"goroutine"}, env: []string{"CRASH_TRACEBACK=system"},
		lang: "Go", title: "panic: in a goroutine", fatal: true,
	},
	{
		name: "go/crash", from: goProgram, args: []string{"goroutine"}, env: []string{"CRASH_TRACEBACK=crash"},
		lang: "Go", title: "panic: in a goroutine", fatal: true,
	},
	{
		name: "go/deadlock", from: goProgram, args: []string{"deadlock"},
		lang: "Go", title: "fatal error: all goroutines are asleep - deadlock!", fatal: true,
	},
	{
		name: "go/unlock", from: goProgram, args: []string{"unlock"},
		lang: "Go", title: "fatal error: sync: unlock of unlocked mutex", fatal: true,
	},
	{
		name: "go/maps", from: goProgram, args: []string{"maps"},
		lang: "Go", title: "fatal error: concurrent map writes", fatal: true,
	},
	{
		name: "go/overflow", from: goProgram, args: []string{"overflow"},
		lang: "Go", title: "fatal error: stack overflow", fatal: true,
	},
	{
		name: "go/sigquit", from: goProgram, args: []string{"sigquit"},
		lang: "Go", title: "SIGQUIT: quit", fatal: true,
	},
	{
		name: "go/sigabrt", from: goProgram, args: []string{"sigabrt"},
		lang: "Go", title: "SIGABRT: abort", fatal: true,
	},
	{
		name: "go/printstack", from: goProgram, args: []string{"printstack"},
		lang: "Go", title: "panic: survived",
	},
	{
		name: "go/http", from: goProgram, args: []string{"http"},
		lang: "Go", title: "http: panic serving N.N.N.N:N: in a handler",
	},
	{
		name: "go/race", from: goRace, args: []string{"race"},
		lang: "Go", title: "WARNING: DATA RACE",
	},
	{
		name: "go/cgosegv", from: cgoProgram, args: []string{"segv"},
		lang: "Go", title: "SIGSEGV: segmentation violation", fatal: true,
	},
	{
		name: "go/cgoassert", from: cgoProgram, args: []string{"assert"},
		lang: "C/C++", title: "crash: DIR/cgo.go:N: check: Assertion `n == N' failed.", fatal: true,
	},

	{
		name: "python/plain", from: pythonCrash, args: []string{"plain"},
		lang: "Python", title: "ValueError: boom",
	},
	{
		name: "python/multiline", from: pythonCrash, args: []string{"multiline"},
		lang: "Python", title: "NamedError: first line",
	},
	{
		name: "python/noted", from: pythonCrash, args: []string{"noted"},
		lang: "Python", title: "ValueError: with notes", beyond: 1,
	},
	{
		name: "python/during", from: pythonCrash, args: []string{"during"},
		lang: "Python", title: "RuntimeError: while handling",
	},
	{
		name: "python/cause", from: pythonCrash, args: []string{"cause"},
		lang: "Python", title: "NamedError: first line",
	},
	{
		name: "python/recursion", from: pythonCrash, args: []string{"recursion"},
		lang: "Python", title: "RecursionError: maximum recursion depth exceeded",
	},
	{
		name: "python/group", from: pythonCrash, args: []string{"group"},
		lang: "Python", title: "RuntimeError: after the group",
	},
	{
		name: "python/nogroup", from: pythonCrash, args: []string{"nogroup"},
		lang: "Python", title: "ExceptionGroup: several (N sub-exceptions)",
	},
	{
		name: "python/compile", from: pythonCrash, args: []string{"syntax"},
		lang: "Python", title: "SyntaxError: invalid syntax",
	},
	{
		name: "python/caret", from: pythonCrash, args: []string{"caret"},
		lang: "Python", title: "TypeError: 'NoneType' object is not subscriptable",
	},
	{
		name: "python/thread", from: pythonCrash, args: []string{"thread"},
		lang: "Python", title: "ValueError: boom",
	},
	{
		name: "python/logged", from: pythonCrash, args: []string{"logged"},
		lang: "Python", title: "ValueError: boom",
	},
	{
		name: "python/task", from: pythonCrash, args: []string{"task"},
		lang: "Python", title: "ValueError: in a task",
	},
	{
		name: "python/hook", from: pythonCrash, args: []string{"hook"},
		lang: "Python", title: "ValueError: boom",
	},
	{
		name: "python/ignored", from: pythonCrash, args: []string{"ignored"},
		lang: "Python", title: "ValueError: boom",
	},
	{
		name: "python/segv", from: pythonCrash, args: []string{"segv"},
		lang: "Python", title: "Fatal Python error: Segmentation fault", fatal: true,
	},
	{
		name: "python/abort", from: pythonCrash, args: []string{"abort"},
		lang: "Python", title: "Fatal Python error: Aborted", fatal: true,
	},
	{
		name: "python/fatal", from: pythonCrash, args: []string{"fatal"},
		lang: "Python", title: "Fatal Python error: faulthandler_fatal_error_thread: in new thread", fatal: true,
	},
	{
		name: "python/overflow", from: pythonCrash, args: []string{"overflow"},
		lang: "Python", title: "Fatal Python error: Segmentation fault", fatal: true,
	},
	{
		name: "python/syntax", from: pythonRefused,
		lang: "Python", title: "SyntaxError: '(' was never closed",
	},
	{
		name: "python/indent", from: pythonIndent,
		lang: "Python", title: "IndentationError: unindent does not match any outer indentation level",
	},

	{
		name: "rust/panic", from: rustProgram, args: []string{"panic"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: boom",
	},
	{
		name: "rust/multiline", from: rustProgram, args: []string{"multiline"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: first line",
	},
	{
		name: "rust/unwrap", from: rustProgram, args: []string{"unwrap"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: called `Result::unwrap()` on an `Err` value: ParseIntError { kind: InvalidDigit }",
	},
	{
		name: "rust/asserteq", from: rustProgram, args: []string{"asserteq"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: assertion `left == right` failed: sums",
	},
	{
		name: "rust/index", from: rustProgram, args: []string{"index"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: index out of bounds: the len is N but the index is N",
	},
	{
		name: "rust/threads", from: rustProgram, args: []string{"threads"},
		lang: "Rust", title: "thread 'worker N' (N) panicked at DIR/crash.rs:N:N: in thread N", count: 2,
	},
	{
		name: "rust/caught", from: rustProgram, args: []string{"caught"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: survived",
	},
	{
		name: "rust/destructor", from: rustProgram, args: []string{"destructor"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: first; then: in a destructor; then: panic in a destructor during cleanup", fatal: true,
	},
	{
		name: "rust/nounwind", from: rustProgram, args: []string{"nounwind"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: where nothing may unwind; then: panic in a function that cannot unwind", fatal: true,
	},
	{
		name: "rust/overflow", from: rustProgram, args: []string{"overflow"},
		lang: "Rust", title: "thread 'main' (N) has overflowed its stack", fatal: true,
	},
	{
		name: "rust/memory", from: rustProgram, args: []string{"memory"},
		lang: "Rust", title: "memory allocation of N bytes failed", fatal: true,
	},
	{
		name: "rust/traced", from: rustTraced, args: []string{"panic"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: boom",
	},
	{
		name: "rust/tracedmultiline", from: rustTraced, args: []string{"multiline"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: first line",
	},
	{
		name: "rust/tracedthreads", from: rustTraced, args: []string{"threads"},
		lang: "Rust", title: "thread 'worker N' (N) panicked at DIR/crash.rs:N:N: in thread N", count: 2,
	},
	{
		name: "rust/traceddestructor", from: rustTraced, args: []string{"destructor"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: first; then: in a destructor; then: panic in a destructor during cleanup", fatal: true,
	},
	{
		name: "rust/full", from: rustTraced, args: []string{"asserteq"}, env: []string{"RUST_BACKTRACE=full"},
		lang: "Rust", title: "thread 'main' (N) panicked at DIR/crash.rs:N:N: assertion `left == right` failed: sums",
	},

	{
		name: "java/plain", from: javaProgram, args: []string{"plain"},
		lang: "Java", title: `Exception in thread "main" java.lang.IllegalArgumentException: boom`,
	},
	{
		name: "java/caused", from: javaProgram, args: []string{"caused"},
		lang: "Java", title: `Exception in thread "main" Crash$Lines: first line`,
	},
	{
		name: "java/suppressed", from: javaProgram, args: []string{"suppressed"},
		lang: "Java", title: `Exception in thread "main" java.lang.IllegalArgumentException: boom`,
	},
	{
		name: "java/overflow", from: javaProgram, args: []string{"overflow"},
		lang: "Java", title: `Exception in thread "main" java.lang.StackOverflowError`,
	},
	{
		name: "java/memory", from: javaProgram, args: []string{"memory"},
		lang: "Java", title: `Exception in thread "main" java.lang.OutOfMemoryError: Java heap space`,
	},
	{
		name: "java/thread", from: javaProgram, args: []string{"thread"},
		lang: "Java", title: `Exception in thread "worker "one"" java.lang.IllegalArgumentException: boom`,
	},
	{
		name: "java/exit", from: javaExits, args: []string{"memory"},
		lang: "Java", title: "Terminating due to java.lang.OutOfMemoryError: Java heap space", fatal: true,
	},
	{
		name: "java/abort", from: javaAborts, args: []string{"memory"},
		lang: "Java", title: "Aborting due to java.lang.OutOfMemoryError: Java heap space", fatal: true,
	},
	{
		name: "java/segv", from: javaNative, args: []string{"segv"},
		lang: "Java", title: "A fatal error has been detected by the Java Runtime Environment: SIGSEGV (N) at pc=N, pid=N, tid=N", fatal: true,
	},

	{
		name: "node/throw", from: nodeCrash, args: []string{"throw"},
		lang: "Node.js", title: "Error: boom", fatal: true,
	},
	{
		name: "node/string", from: nodeCrash, args: []string{"string"},
		lang: "Node.js", title: "only a string", fatal: true,
	},
	{
		name: "node/object", from: nodeCrash, args: []string{"object"},
		lang: "Node.js", title: "{ code: N, why: 'an object' }", fatal: true,
	},
	{
		name: "node/cause", from: nodeCrash, args: []string{"cause"},
		lang: "Node.js", title: "Error: first line", fatal: true,
	},
	{
		name: "node/rejection", from: nodeCrash, args: []string{"rejection"},
		lang: "Node.js", title: "Error: not awaited", fatal: true,
	},
	{
		name: "node/rejectvalue", from: nodeCrash, args: []string{"rejectvalue"},
		lang: "Node.js", title: `UnhandledPromiseRejection: This error originated either by throwing inside of an async function without a catch block, or by rejecting a promise which was not handled with .catch(). The promise rejected with the reason "N".`, fatal: true,
	},
	{
		name: "node/emitter", from: nodeCrash, args: []string{"emitter"},
		lang: "Node.js", title: "Error: nobody listens", fatal: true,
	},
	{
		name: "node/required", from: nodeCrash, args: []string{"module"},
		lang: "Node.js", title: "Error: Cannot find module './not-there'", fatal: true,
	},
	{
		name: "node/assert", from: nodeCrash, args: []string{"assert"},
		lang: "Node.js", title: "AssertionError [ERR_ASSERTION]: Expected values to be strictly deep-equal:", fatal: true,
	},
	{
		name: "node/overflow", from: nodeCrash, args: []string{"overflow"},
		lang: "Node.js", title: "RangeError: Maximum call stack size exceeded", fatal: true,
	},
	{
		name: "node/memory", from: nodeCrash, args: []string{"memory"},
		lang: "Node.js", title: "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", fatal: true,
	},
	{
		name: "node/worker", from: nodeCrash, args: []string{"worker"},
		lang: "Node.js", title: "Error: in a worker", fatal: true,
	},
	{
		name: "node/caught", from: nodeCrash, args: []string{"caught"}, count: none,
	},
	{
		name: "node/syntax", from: nodeSyntax,
		lang: "Node.js", title: "SyntaxError: Unexpected token '*'", fatal: true,
	},
	{
		name: "node/module", from: nodeModule,
		lang: "Node.js", title: "SyntaxError: The requested module 'node:fs' does not provide an export named 'nothing'", fatal: true,
	},

	{
		name: "cpp/throw", from: cppProgram, args: []string{"throw"},
		lang: "C/C++", title: "terminate called after throwing an instance of 'std::runtime_error': boom", fatal: true,
	},
	{
		name: "cpp/lines", from: cppProgram, args: []string{"lines"},
		lang: "C/C++", title: "terminate called after throwing an instance of 'std::runtime_error': first line", fatal: true,
	},
	{
		name: "cpp/plain", from: cppProgram, args: []string{"plain"},
		lang: "C/C++", title: "terminate called after throwing an instance of 'Plain'", fatal: true,
	},
	{
		name: "cpp/int", from: cppProgram, args: []string{"int"},
		lang: "C/C++", title: "terminate called after throwing an instance of 'int'", fatal: true,
	},
	{
		name: "cpp/terminate", from: cppProgram, args: []string{"terminate"},
		lang: "C/C++", title: "terminate called without an active exception", fatal: true,
	},
	{
		name: "cpp/virtual", from: cppProgram, args: []string{"virtual"},
		lang: "C/C++", title: "pure virtual method called; terminate called without an active exception", fatal: true,
	},
	{
		name: "cpp/thread", from: cppProgram, args: []string{"thread"},
		lang: "C/C++", title: "terminate called without an active exception", fatal: true,
	},
	{
		name: "cpp/assert", from: cppProgram, args: []string{"assert"},
		lang: "C/C++", title: "crash: DIR/crash.cpp:N: int main(int, char**): Assertion `how == \"something else\" && \"a reason\"' failed.", fatal: true,
	},
	{
		name: "cpp/smash", from: cppProgram, args: []string{"smash"},
		lang: "C/C++", title: "*** stack smashing detected ***: terminated", fatal: true,
	},
	{
		name: "cpp/doublefree", from: cppProgram, args: []string{"doublefree"},
		lang: "C/C++", title: "free(): double free detected in tcache N", fatal: true,
	},
	{
		name: "cpp/badfree", from: cppProgram, args: []string{"badfree"},
		lang: "C/C++", title: "free(): invalid pointer", fatal: true,
	},
	{
		name: "cpp/corrupt", from: cppProgram, args: []string{"corrupt"},
		lang: "C/C++", title: "malloc(): corrupted top size", fatal: true,
	},
	{
		name: "cpp/vector", from: cppFortified, args: []string{"vector"},
		lang: "C/C++", title: "/usr/include/c++/N/bits/stl_vector.h:N: std::vector<_Tp, _Alloc>::reference std::vector<_Tp, _Alloc>::operator[](size_type) [with _Tp = int; _Alloc = std::allocator<int>; reference = int&; size_type = long unsigned int]: Assertion '__n < this->size()' failed.", fatal: true,
	},
	{
		name: "cpp/fortify", from: cppFortified, args: []string{"fortify", "a string that is too long for it"},
		lang: "C/C++", title: "*** buffer overflow detected ***: terminated", fatal: true,
	},

	{
		name: "cpp/asan-useafter", from: cppAddress, args: []string{"useafter"},
		lang: "C/C++", title: "AddressSanitizer: heap-use-after-free on address N at pc N bp N sp N", fatal: true,
	},
	{
		name: "cpp/asan-stack", from: cppAddress, args: []string{"stack"},
		lang: "C/C++", title: "AddressSanitizer: stack-buffer-overflow on address N at pc N bp N sp N", fatal: true,
	},
	{
		name: "cpp/asan-null", from: cppAddress, args: []string{"null"},
		lang: "C/C++", title: "AddressSanitizer: SEGV on unknown address N (pc N bp N sp N TN)", fatal: true,
	},
	{
		name: "cpp/asan-doublefree", from: cppAddress, args: []string{"doublefree"},
		lang: "C/C++", title: "AddressSanitizer: attempting double-free on N in thread TN:", fatal: true,
	},
	{
		name: "cpp/asan-leak", from: cppAddress, args: []string{"leak"},
		lang: "C/C++", title: "LeakSanitizer: detected memory leaks",
	},
	{
		name: "cpp/tsan-race", from: cppThread, args: []string{"race"},
		lang: "C/C++", title: "ThreadSanitizer: data race (pid=N)",
	},
	{
		name: "cpp/ubsan", from: cppUndefined, args: []string{"undefined"},
		lang: "C/C++", title: "DIR/crash.cpp:N:N: runtime error: signed integer overflow: N + N cannot be represented in type 'int'", count: 2,
	},
	{
		name: "cpp/ubsan-traced", from: cppTraced, args: []string{"undefined"},
		lang: "C/C++", title: "DIR/crash.cpp:N:N: runtime error: signed integer overflow: N + N cannot be represented in type 'int'", count: 2,
	},
	{
		name: "cpp/glog-check", from: glogProgram, args: []string{"check"},
		lang: "C/C++", title: "glog.cpp:N] Check failed: how.size() == Nu (N vs. N) sizes", fatal: true,
	},
	{
		name: "cpp/glog-fatal", from: glogProgram, args: []string{"fatal"},
		lang: "C/C++", title: "glog.cpp:N] boom", fatal: true,
	},
	{
		name: "cpp/glog-segv", from: glogProgram, args: []string{"segv"},
		lang: "C/C++", title: "SIGSEGV (@N) received by PID N (TID N) from PID N", fatal: true,
	},
	{
		name: "cpp/abseil-segv", from: abslProgram, args: []string{"segv"},
		lang: "C/C++", title: "SIGSEGV received at time=N on cpu N", fatal: true,
	},
	{
		name: "cpp/abseil-abort", from: abslProgram, args: []string{"abort"},
		lang: "C/C++", title: "SIGABRT received at time=N on cpu N", fatal: true,
	},
}
