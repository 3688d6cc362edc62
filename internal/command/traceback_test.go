package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestTracebacks has apps end or go on after a traceback of their runtime.
func TestTracebacks(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	build := func(compiler string, args ...string) {
		if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", compiler, err, out)
		}
	}
	build("go", "build", "-o", dir+"/panics", write("panics.go", "package main\n\nfunc main() { panic(\"no way out\") }\n"))
	build("g++", "-o", dir+"/throws", write("throws.cc", "#include <stdexcept>\nint main() { throw std::runtime_error(\"thrown away\"); }\n"))
	programs, err := filepath.Abs("../crash/traceback/testdata")
	if err != nil {
		t.Fatal(err)
	}
	build("javac", "-d", dir+"/java", programs+"/java/Crash.java")
	build("rustc", "--edition=2021", "-A", "warnings", "-o", dir+"/rust", programs+"/rust/crash.rs")
	node := []string{"node", "--max-old-space-size=32", programs + "/node/crash.js"}
	java := "ulimit -c 0; exec java -Xmx48m -XX:ErrorFile=" + dir + "/hs_err.log -cp " + dir + "/java Crash "
	python := write("fails.py", "import sys, time, traceback\ntry:\n    raise ValueError('bad value')\nexcept ValueError:\n    if sys.argv[1] == 'ends': raise\n    traceback.print_exc()\ntime.sleep(7)\n")

	for _, tt := range []struct {
		name string
		app  []string
		exit int
		kind string // empty: no report
		code string
		says []string
	}{
		{"go", []string{dir + "/panics"}, 2, "traceback", "2", []string{"go ended with exit status 2 after a traceback: Go: panic: no way out", "goroutine 1 [running]", "main.main()"}},
		{"cxx-throws", []string{dir + "/throws"}, 134, "signal", "134", []string{"crashed: SIGABRT (aborted) after C/C++: terminate called", "what():  thrown away"}},
		{"python-ends", []string{"python3", python, "ends"}, 1, "traceback", "1", []string{"ended with exit status 1 after a traceback: Python: ValueError: bad value", "fails.py"}},
		{"python-goes-on", []string{"python3", python, "goes on"}, 0, "traceback", "", []string{"wrote a traceback and went on: Python: ValueError: bad value"}},
		{"node-throws", append(node, "throw"), 1, "traceback", "1", []string{"node-throws ended with exit status 1 after a traceback: Node.js: Error: boom", "throw new Error(\"boom\");", "crash.js:4:11)"}},
		{"node-memory", []string{"sh", "-c", "ulimit -c 0; exec " + strings.Join(node, " ") + " memory"}, 134, "signal", "134", []string{"crashed: SIGABRT (aborted) after Node.js: FATAL ERROR: ", "JavaScript heap out of memory", "<--- Last few GCs --->"}},
		{"java-caused", []string{"sh", "-c", java + "caused"}, 1, "traceback", "1", []string{`after a traceback: Java: Exception in thread "main" Crash$Lines: first line`, "Caused by: java.lang.RuntimeException: between", "Caused by: java.lang.IllegalArgumentException: boom", "at Crash.inner(Crash.java:"}},
		{"java-segv", []string{"sh", "-c", java + "segv"}, 134, "signal", "134", []string{"crashed: SIGABRT (aborted) after Java: A fatal error has been detected by the Java Runtime Environment: SIGSEGV", "# An error report file with more information is saved as:\n# " + dir + "/hs_err.log", "libjvm.so"}},
		{"rust-panics", []string{"env", "-u", "RUST_BACKTRACE", dir + "/rust", "panic"}, 101, "traceback", "101", []string{"ended with exit status 101 after a traceback: Rust: thread 'main'", "crash.rs:", "boom", "run with `RUST_BACKTRACE=1`"}},
		{"rust-traced", []string{"env", "RUST_BACKTRACE=1", dir + "/rust", "panic"}, 101, "traceback", "101", []string{"after a traceback: Rust: thread 'main'", "boom", "stack backtrace:\n", "crash::main\n"}},
		{"words", []string{"sh", "-c", "echo panic: not at all; echo Traceback; echo Exception in thread; exit 3"}, 3, "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := crash(t, s, tt.name, "", nil, tt.app...)
			if c.exit != tt.exit {
				t.Errorf("exit status %d, want %d", c.exit, tt.exit)
			}
			if tt.kind == "" {
				if len(c.reports) > 0 {
					t.Errorf("%v", c.reports)
				}
				return
			}
			r := c.one(t)
			if r.Fields["kind"] != tt.kind || r.Fields["exit_code"] != tt.code {
				t.Errorf("%v", r.Fields)
			}
			contains(t, r, tt.says...)
		})
	}
}
