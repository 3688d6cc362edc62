package traceback

// A case is one way to end, or to go wrong and go on.
type deathCase struct {
	name  string // of the capture: testdata/NAME.out
	from  *program
	args  []string
	env   []string
	lang  string
	title string // with N for each number and DIR for where the program is
	fatal bool
	count int // of reports; 0 is 1
	// beyond is how many lines of a message at the very end are left out:
	// nothing tells them from what another part of the app would print.
	beyond int
}

var deaths = []deathCase{
	{name: "go/panic", from: goProgram, args: []string{"panic"}},
	{name: "go/error", from: goProgram, args: []string{"error"}},
	{name: "go/nested", from: goProgram, args: []string{"nested"}},
	{name: "go/repanic", from: goProgram, args: []string{"repanic"}},
	{name: "go/nil", from: goProgram, args: []string{"nil"}},
	{name: "go/goroutine", from: goProgram, args: []string{"goroutine"}, env: []string{"CRASH_TRACEBACK=all"}},
	{name: "go/system", from: goProgram, args: []string{"goroutine"}, env: []string{"CRASH_TRACEBACK=system"}},
	{name: "go/crash", from: goProgram, args: []string{"goroutine"}, env: []string{"CRASH_TRACEBACK=crash"}},
	{name: "go/deadlock", from: goProgram, args: []string{"deadlock"}},
	{name: "go/unlock", from: goProgram, args: []string{"unlock"}},
	{name: "go/maps", from: goProgram, args: []string{"maps"}},
	{name: "go/overflow", from: goProgram, args: []string{"overflow"}},
	{name: "go/sigquit", from: goProgram, args: []string{"sigquit"}},
	{name: "go/sigabrt", from: goProgram, args: []string{"sigabrt"}},
	{name: "go/printstack", from: goProgram, args: []string{"printstack"}},
	{name: "go/http", from: goProgram, args: []string{"http"}},
	{name: "go/race", from: goRace, args: []string{"race"}},
	{name: "go/cgosegv", from: cgoProgram, args: []string{"segv"}},
	{name: "go/cgoassert", from: cgoProgram, args: []string{"assert"}},

	{name: "python/plain", from: pythonCrash, args: []string{"plain"}},
	{name: "python/multiline", from: pythonCrash, args: []string{"multiline"}},
	{name: "python/noted", from: pythonCrash, args: []string{"noted"}},
	{name: "python/during", from: pythonCrash, args: []string{"during"}},
	{name: "python/cause", from: pythonCrash, args: []string{"cause"}},
	{name: "python/recursion", from: pythonCrash, args: []string{"recursion"}},
	{name: "python/group", from: pythonCrash, args: []string{"group"}},
	{name: "python/nogroup", from: pythonCrash, args: []string{"nogroup"}},
	{name: "python/compile", from: pythonCrash, args: []string{"syntax"}},
	{name: "python/caret", from: pythonCrash, args: []string{"caret"}},
	{name: "python/thread", from: pythonCrash, args: []string{"thread"}},
	{name: "python/logged", from: pythonCrash, args: []string{"logged"}},
	{name: "python/task", from: pythonCrash, args: []string{"task"}},
	{name: "python/segv", from: pythonCrash, args: []string{"segv"}},
	{name: "python/abort", from: pythonCrash, args: []string{"abort"}},
	{name: "python/fatal", from: pythonCrash, args: []string{"fatal"}},
	{name: "python/overflow", from: pythonCrash, args: []string{"overflow"}},
	{name: "python/syntax", from: pythonRefused},
	{name: "python/indent", from: pythonIndent},

	{name: "rust/panic", from: rustProgram, args: []string{"panic"}},
	{name: "rust/multiline", from: rustProgram, args: []string{"multiline"}},
	{name: "rust/unwrap", from: rustProgram, args: []string{"unwrap"}},
	{name: "rust/asserteq", from: rustProgram, args: []string{"asserteq"}},
	{name: "rust/index", from: rustProgram, args: []string{"index"}},
	{name: "rust/threads", from: rustProgram, args: []string{"threads"}},
	{name: "rust/caught", from: rustProgram, args: []string{"caught"}},
	{name: "rust/destructor", from: rustProgram, args: []string{"destructor"}},
	{name: "rust/nounwind", from: rustProgram, args: []string{"nounwind"}},
	{name: "rust/overflow", from: rustProgram, args: []string{"overflow"}},
	{name: "rust/memory", from: rustProgram, args: []string{"memory"}},
	{name: "rust/traced", from: rustTraced, args: []string{"panic"}},
	{name: "rust/tracedmultiline", from: rustTraced, args: []string{"multiline"}},
	{name: "rust/tracedthreads", from: rustTraced, args: []string{"threads"}},
	{name: "rust/traceddestructor", from: rustTraced, args: []string{"destructor"}},
	{name: "rust/full", from: rustTraced, args: []string{"asserteq"}, env: []string{"RUST_BACKTRACE=full"}},

	{name: "java/plain", from: javaProgram, args: []string{"plain"}},
	{name: "java/caused", from: javaProgram, args: []string{"caused"}},
	{name: "java/suppressed", from: javaProgram, args: []string{"suppressed"}},
	{name: "java/overflow", from: javaProgram, args: []string{"overflow"}},
	{name: "java/memory", from: javaProgram, args: []string{"memory"}},
	{name: "java/thread", from: javaProgram, args: []string{"thread"}},
	{name: "java/segv", from: javaNative, args: []string{"segv"}},

	{name: "node/throw", from: nodeCrash, args: []string{"throw"}},
	{name: "node/string", from: nodeCrash, args: []string{"string"}},
	{name: "node/object", from: nodeCrash, args: []string{"object"}},
	{name: "node/cause", from: nodeCrash, args: []string{"cause"}},
	{name: "node/rejection", from: nodeCrash, args: []string{"rejection"}},
	{name: "node/rejectvalue", from: nodeCrash, args: []string{"rejectvalue"}},
	{name: "node/emitter", from: nodeCrash, args: []string{"emitter"}},
	{name: "node/required", from: nodeCrash, args: []string{"module"}},
	{name: "node/assert", from: nodeCrash, args: []string{"assert"}},
	{name: "node/overflow", from: nodeCrash, args: []string{"overflow"}},
	{name: "node/memory", from: nodeCrash, args: []string{"memory"}},
	{name: "node/syntax", from: nodeSyntax},
	{name: "node/module", from: nodeModule},

	{name: "cpp/throw", from: cppProgram, args: []string{"throw"}},
	{name: "cpp/lines", from: cppProgram, args: []string{"lines"}},
	{name: "cpp/plain", from: cppProgram, args: []string{"plain"}},
	{name: "cpp/int", from: cppProgram, args: []string{"int"}},
	{name: "cpp/terminate", from: cppProgram, args: []string{"terminate"}},
	{name: "cpp/virtual", from: cppProgram, args: []string{"virtual"}},
	{name: "cpp/thread", from: cppProgram, args: []string{"thread"}},
	{name: "cpp/assert", from: cppProgram, args: []string{"assert"}},
	{name: "cpp/smash", from: cppProgram, args: []string{"smash"}},
	{name: "cpp/doublefree", from: cppProgram, args: []string{"doublefree"}},
	{name: "cpp/badfree", from: cppProgram, args: []string{"badfree"}},
	{name: "cpp/corrupt", from: cppProgram, args: []string{"corrupt"}},
	{name: "cpp/vector", from: cppFortified, args: []string{"vector"}},
	{name: "cpp/fortify", from: cppFortified, args: []string{"fortify", "a string that is too long for it"}},

	{name: "cpp/asan-useafter", from: cppAddress, args: []string{"useafter"}},
	{name: "cpp/asan-stack", from: cppAddress, args: []string{"stack"}},
	{name: "cpp/asan-null", from: cppAddress, args: []string{"null"}},
	{name: "cpp/asan-doublefree", from: cppAddress, args: []string{"doublefree"}},
	{name: "cpp/asan-leak", from: cppAddress, args: []string{"leak"}},
	{name: "cpp/tsan-race", from: cppThread, args: []string{"race"}},
	{name: "cpp/ubsan", from: cppUndefined, args: []string{"undefined"}},
	{name: "cpp/ubsan-traced", from: cppTraced, args: []string{"undefined"}},
	{name: "cpp/glog-check", from: glogProgram, args: []string{"check"}},
	{name: "cpp/glog-fatal", from: glogProgram, args: []string{"fatal"}},
	{name: "cpp/glog-segv", from: glogProgram, args: []string{"segv"}},
	{name: "cpp/abseil-segv", from: abslProgram, args: []string{"segv"}},
	{name: "cpp/abseil-abort", from: abslProgram, args: []string{"abort"}},
}
