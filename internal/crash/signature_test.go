package crash

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
)

// signed runs the program and reports its crash, with its core read.
func signed(w *watched) {
	w.opts.Backtrace = os.Getenv("TEST_BACKTRACE")
	w.start()
	w.finish()
}

// A build is one way to make a program, and to run it.
type build struct {
	name     string
	compiler string
	source   string
	flags    []string
	args     []string
}

// make compiles the program outside our module: some tools are older than its Go version.
func (b *build) make(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath(b.compiler); err != nil {
		t.Skipf("%v; `make tools` installs it", err)
	}
	source, err := filepath.Abs(b.source)
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command(b.compiler, append(append([]string{}, b.flags...), "-o", exe, source)...)
	cmd.Dir = filepath.Dir(exe)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return exe
}

const cores = "corefile/testdata/src/"

// TestSignatures crashes real programs, built and run in several ways, and reads the cores
// with gdb and the builtin reader: each kind of death has one signature of its own.
func TestSignatures(t *testing.T) {
	t.Parallel()
	t.Cleanup(coretest.Set(t, "core", "0"))
	cc := func(name string, flags ...string) build {
		return build{name: name, compiler: "g++", source: "testdata/plan.cc", flags: append([]string{"-pthread", "-fno-optimize-sibling-calls"}, flags...)}
	}
	c := func(name, source string, flags ...string) build {
		return build{name: name, compiler: "gcc", source: cores + source, flags: append([]string{"-pthread", "-fno-optimize-sibling-calls"}, flags...)}
	}
	rust := func(name string, flags ...string) build {
		return build{name: name, compiler: "rustc", source: cores + "bounds.rs", flags: append([]string{"-Cpanic=abort", "-Cforce-unwind-tables=yes", "--crate-name=bounds"}, flags...)}
	}
	golang := func(name string, flags ...string) build {
		return build{name: name, compiler: "go", source: cores + "nilptr/main.go", flags: append([]string{"build"}, flags...)}
	}
	thread := cc("C++, other thread", "-g")
	thread.args = []string{"thread"}
	families := []struct {
		name   string
		frame  string // beginning of the topmost frame
		builds []build
	}{
		{"plan", "{anonymous}::touch", []build{
			cc("C++", "-g", "-O0"), cc("C++, optimized", "-g", "-O2"), cc("C++, without debug information", "-O1"), cc("C++, no PIE", "-g", "-no-pie"), thread,
		}},
		{"elsewhere", "{anonymous}::touch", []build{cc("C++, other function", "-g", "-DELSEWHERE")}},
		{"threads", "inner", []build{
			c("C", "threads.c", "-g", "-O0"), c("C, optimized", "threads.c", "-g", "-O1"),
			c("C, no PIE", "threads.c", "-g", "-no-pie"), c("C, static", "threads.c", "-g", "-static"),
		}},
		{"handler", "boom", []build{c("C, a handler that aborts", "handler.c", "-g", "-O1"), c("C, a handler, static", "handler.c", "-O1", "-static")}},
		{"Rust", "bounds::deep::Shelf::take", []build{rust("Rust", "-g"), rust("Rust, optimized", "-O", "-g"), rust("Rust, without debug information"), rust("Rust, v0", "-Csymbol-mangling-version=v0")}},
		{"Go", "main.(*box).get", []build{golang("Go"), golang("Go, stripped", "-ldflags=-s -w", "-trimpath"), golang("Go, PIE", "-buildmode=pie")}},
	}
	type result struct{ family, build, id, frame string }
	results := make(chan result, 64)
	t.Run("builds", func(t *testing.T) {
		for _, family := range families {
			for _, b := range family.builds {
				t.Run(b.name, func(t *testing.T) {
					t.Parallel()
					exe := b.make(t)
					for _, by := range []string{"auto", "builtin"} {
						got, rest := reports(t, "signed", []string{"TEST_BACKTRACE=" + by, "GOTRACEBACK=crash"}, append([]string{exe}, b.args...)...)
						if len(got) != 1 || got[0].Kind != Signal {
							t.Fatalf("%v; %s", got, rest)
						}
						s := got[0].Signature
						if !strings.HasPrefix(s.Top, family.frame) {
							t.Errorf("by %s: on top is %q, want %s\n%s", by, s.Top, family.frame, got[0].Message)
						}
						results <- result{family.name, b.name + " by " + by, s.ID, s.Top}
					}
				})
			}
		}
	})
	close(results)
	ids, families2 := make(map[string]result), make(map[string]result)
	for r := range results {
		if first, ok := ids[r.family]; ok && first.id != r.id {
			t.Errorf("%s: %s, %s\n%s: %s, %s", first.build, first.id, first.frame, r.build, r.id, r.frame)
		}
		if other, ok := families2[r.id]; ok && other.family != r.family {
			t.Errorf("%s and %s have the same signature", other.build, r.build)
		}
		ids[r.family], families2[r.id] = r, r
	}
}
