package traceback

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A program is compiled from testdata, once for all its cases.
type program struct {
	source string     // under testdata
	needs  [][]string // commands that must succeed before it can be built and run
	build  []string   // $SOURCE and $OUT are replaced; none: nothing to build
	run    []string   // $SOURCE and $OUT are replaced; the case's arguments follow
	env    []string
	stdout bool // the traceback comes on standard output

	// optional says that the program needs an extra library, which may be missing.
	optional bool

	once   sync.Once
	dir    string
	skip   string // why it cannot be built here
	broken string // why it was not built
}

var (
	goProgram     = &program{source: "go/crash.go", needs: [][]string{{"go", "version"}}, build: []string{"go", "build", "-o", "$OUT", "$SOURCE"}, run: []string{"$OUT"}, env: []string{"CGO_ENABLED=0"}} // with cgo, Go tells no deadlock
	goRace        = &program{source: "go/crash.go", needs: [][]string{{"go", "version"}}, build: []string{"go", "build", "-race", "-o", "$OUT", "$SOURCE"}, run: []string{"$OUT"}, env: []string{"CGO_ENABLED=1"}}
	cgoProgram    = &program{source: "go/cgo.go", needs: [][]string{{"go", "version"}, {"gcc", "--version"}}, build: []string{"go", "build", "-o", "$OUT", "$SOURCE"}, run: []string{"$OUT"}, env: []string{"CGO_ENABLED=1"}}
	pythonCrash   = python("python3", "python/crash.py")
	pythonRefused = python("python3", "python/syntax.py")
	pythonIndent  = python("python3", "python/indent.py")
	rustProgram   = &program{source: "rust/crash.rs", needs: [][]string{{"rustc", "--version"}, rustcSince("73")}, build: []string{"rustc", "--edition=2021", "-g", "-A", "warnings", "-o", "$OUT", "$SOURCE"}, run: []string{"$OUT"}, env: []string{"RUST_BACKTRACE=0"}}
	rustTraced    = &program{source: "rust/crash.rs", needs: rustProgram.needs, build: rustProgram.build, run: rustProgram.run, env: []string{"RUST_BACKTRACE=1"}}
	javaProgram   = java(false)
	javaNative    = java(true)
	javaExits     = java(true, "-XX:+ExitOnOutOfMemoryError")
	javaAborts    = java(true, "-XX:+CrashOnOutOfMemoryError")
	nodeCrash     = node("node/crash.js")
	nodeSyntax    = node("node/syntax.js")
	nodeModule    = node("node/module.mjs")
	cppProgram    = cpp("cpp/crash.cpp", nil, "-O0", "-fstack-protector-all")
	cppFortified  = cpp("cpp/crash.cpp", nil, "-O2", "-D_FORTIFY_SOURCE=2", "-D_GLIBCXX_ASSERTIONS")
	cppAddress    = cpp("cpp/crash.cpp", []string{"ASAN_OPTIONS=detect_leaks=1"}, "-O0", "-fsanitize=address")
	cppThread     = cpp("cpp/crash.cpp", nil, "-O0", "-fsanitize=thread")
	cppUndefined  = cpp("cpp/crash.cpp", nil, "-O0", "-fsanitize=undefined")
	cppTraced     = cpp("cpp/crash.cpp", []string{"UBSAN_OPTIONS=print_stacktrace=1"}, "-O0", "-fsanitize=undefined")
	glogProgram   = library("cpp/glog.cpp", "-O0", "-lglog")
	abslProgram   = library("cpp/abseil.cpp", "-O0", "-labsl_failure_signal_handler", "-labsl_examine_stack", "-labsl_stacktrace", "-labsl_symbolize", "-labsl_raw_logging_internal", "-labsl_debugging_internal", "-labsl_demangle_internal")
)

func python(command, source string) *program {
	return &program{source: source, needs: [][]string{{command, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"}}, run: []string{command, "$SOURCE"}}
}

// rustcSince returns a command that fails if rustc is older than 1.MINOR, whose panics have
// other words.
func rustcSince(minor string) []string {
	return []string{"sh", "-c", `[ "$(rustc --version | cut -d. -f2)" -ge ` + minor + ` ]`}
}

func java(stdout bool, flags ...string) *program {
	run := append([]string{"java", "-Xmx48m", "-Xss512k", "-XX:ErrorFile=$OUT.hs_err"}, flags...)
	return &program{
		source: "java/Crash.java", needs: [][]string{{"javac", "--version"}, {"java", "--version"}},
		build: []string{"javac", "-d", "$OUT.d", "$SOURCE"},
		run:   append(run, "-cp", "$OUT.d", "Crash"), stdout: stdout,
	}
}

func node(source string) *program {
	return &program{source: source, needs: [][]string{{"node", "--version"}}, run: []string{"node", "--max-old-space-size=32", "$SOURCE"}}
}

func cpp(source string, env []string, flags ...string) *program {
	build := append([]string{"g++", "-std=c++17", "-g", "-w", "-pthread", "-o", "$OUT", "$SOURCE"}, flags...)
	return &program{source: source, needs: [][]string{{"g++", "--version"}}, build: build, run: []string{"$OUT"}, env: env}
}

func library(source string, flags ...string) *program {
	p := cpp(source, nil, flags...)
	p.optional = true
	return p
}

// scratch is the directory in which programs are built and run; TestMain makes it.
var scratch string

func TestMain(m *testing.M) {
	os.Setenv("LC_ALL", "C.UTF-8") // bash complains of a locale that is not installed
	dir, err := os.MkdirTemp("", "traceback")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// output builds the program, runs it and returns its output. It skips the test if the
// language is too old or a library is missing.
func (p *program) output(t *testing.T, args, env []string) (stdout, stderr []byte) {
	t.Helper()
	p.once.Do(func() { p.make(t) })
	if p.skip != "" {
		t.Skip(p.skip)
	}
	if p.broken != "" {
		t.Fatal(p.broken)
	}
	// No core file: the test needs only the output.
	argv := append([]string{"sh", "-c", `ulimit -c 0; exec "$@"`, "sh"}, p.expand(p.run)...)
	cmd := exec.Command(argv[0], append(argv[1:], args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), p.env...), env...) // the last one counts
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return out.Bytes(), errs.Bytes()
}

func (p *program) make(t *testing.T) {
	for _, need := range p.needs {
		if _, err := exec.LookPath(need[0]); err != nil {
			p.broken = err.Error() + "; `make tools` installs it"
			return
		}
		if err := exec.Command(need[0], need[1:]...).Run(); err != nil { // it is too old
			p.skip = need[0] + ": " + err.Error()
			return
		}
	}
	source, err := os.ReadFile(filepath.Join("testdata", p.source))
	if err != nil {
		t.Fatal(err)
	}
	if p.dir, err = os.MkdirTemp(scratch, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, filepath.Base(p.source)), source, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(p.build) == 0 {
		return
	}
	argv := p.expand(p.build)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		p.broken = strings.Join(p.build, " ") + ": " + err.Error() + "\n" + string(text)
	}
	if p.optional {
		p.skip, p.broken = p.broken, ""
	}
}

func (p *program) expand(argv []string) []string {
	replace := strings.NewReplacer("$SOURCE", filepath.Join(p.dir, filepath.Base(p.source)), "$OUT", filepath.Join(p.dir, "crash"))
	var expanded []string
	for _, arg := range argv {
		expanded = append(expanded, replace.Replace(arg))
	}
	return expanded
}
