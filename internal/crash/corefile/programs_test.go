package corefile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
)

// compile builds a program of testdata/src and returns its path. Words after Go's compiler
// select a target: "arm64", "cgo", a release such as "go1.27.4".
func compile(t testing.TB, compiler string, source string, args ...string) string {
	t.Helper()
	compiler, options, _ := strings.Cut(compiler, " ")
	if _, err := exec.LookPath(compiler); err != nil {
		t.Fatalf("%v; `make tools` installs it", err)
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, "program")
	source, err := filepath.Abs(filepath.Join("testdata/src", source))
	if err != nil {
		t.Fatal(err)
	}
	cgo, hint := "CGO_ENABLED=0", ""
	var env []string
	if compiler == "go" {
		args = append([]string{"build"}, args...)
		for option := range strings.FieldsSeq(options) {
			switch {
			case option == "cgo":
				cgo = "CGO_ENABLED=1"
			case strings.HasPrefix(option, "go1."):
				env = append(env, "GOTOOLCHAIN="+option)
				hint = "\nthis test needs " + option + ", from the module cache or a module proxy (GOPROXY)"
			default:
				env = append(env, "GOARCH="+option)
			}
		}
		env = append(env, cgo)
	}
	cmd := exec.Command(compiler, append(slices.Clone(args), "-o", exe, source)...)
	cmd.Dir = dir // outside our module: some releases are older than its Go version
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s%s", compiler, err, out, hint)
	}
	return exe
}

// crash runs a program until it dies and returns its core. It skips the test if the kernel does
// not write cores into the current directory.
func crash(t testing.TB, exe string, args ...string) string {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < 1<<30 {
		t.Skipf("the hard limit for cores is %d", limit.Max)
	}
	defer coretest.Set(t, "core", "0")()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -c unlimited; exec "$0" "$@"`, exe}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTRACEBACK=crash")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the program did not crash\n%s", out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("no core, but %v, %v: %s\n%s", found, err, cmd.ProcessState, out)
	}
	return found[0]
}

// crashUnderGDB has gdb run the program and write the core at the fatal signal.
func crashUnderGDB(t testing.TB, exe string) string {
	t.Helper()
	core := filepath.Join(t.TempDir(), "core")
	out := gdb(t, "-ex", "set startup-with-shell off", "-ex", "run", "-ex", "generate-core-file "+core, exe)
	if _, err := os.Stat(core); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return core
}

func gdb(t testing.TB, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("gdb"); err != nil {
		t.Fatalf("%v; `make tools` installs it", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "gdb", append([]string{
		"-nx", "-nh", "-q", "-batch",
		"-iex", "set auto-load off", "-iex", "set debuginfod enabled off", "-iex", "set width 0", "-iex", "set style enabled off",
	}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		t.Fatalf("gdb: %v\n%s", err, out)
	}
	return out
}

// gdbFunctions returns the functions in gdb's backtrace of the crashed thread.
func gdbFunctions(t testing.TB, exe, core string) []string {
	t.Helper()
	out := gdb(t, "-ex", "bt 200", exe, core)
	_, out, _ = bytes.Cut(out, []byte("Program terminated"))
	_, out, _ = bytes.Cut(out, []byte("\n"))
	var names []string
	line := regexp.MustCompile(`^#(\d+) +(?:0x[0-9a-f]+ in )?(<signal handler called>|.*?)(?: \(|$)`)
	seen := -1
	for text := range strings.Lines(string(out)) {
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			continue
		}
		n := 0
		_, _ = fmt.Sscan(m[1], &n)
		if n == 0 && seen >= 0 {
			// gdb shows the innermost frame at its start, too.
			names = nil
		}
		seen = n
		name, _, _ := strings.Cut(m[2], "(unsigned")
		name, _, _ = strings.Cut(name, "(shop")
		names = append(names, name)
	}
	return names
}

// functions returns the functions of the frames, named as gdb does.
func functions(frames []Frame) []string {
	var names []string
	for _, f := range frames {
		switch {
		case f.Signal:
			names = append(names, "<signal handler called>")
		case f.Function == "":
			names = append(names, "??")
		default:
			names = append(names, f.Function)
		}
	}
	return names
}

// only returns the names that are also in wanted.
func only(names, wanted []string) []string {
	var kept []string
	for _, n := range names {
		for _, w := range wanted {
			if n == w {
				kept = append(kept, n)
				break
			}
		}
	}
	return kept
}

func openCore(t testing.TB, path string, opt Options) *Core {
	t.Helper()
	c, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func origin(t testing.TB, path string) *Origin {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := ReadOrigin(f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func report(t testing.TB, c *Core) string {
	t.Helper()
	return c.Report()
}
