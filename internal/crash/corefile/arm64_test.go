package corefile

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// emulate runs an arm64 program under qemu until it dies, and returns the core that qemu
// writes and the root of the program's libraries.
func emulate(t *testing.T, exe string) (core, root string) {
	t.Helper()
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		if qemu, err = exec.LookPath("qemu-aarch64"); err != nil {
			t.Fatalf("%v; `make tools` installs it", err)
		}
	}
	root = "/usr/aarch64-linux-gnu"
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", `ulimit -c unlimited; exec "$0" "$@"`, qemu, "-L", root, exe)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTRACEBACK=crash")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the program did not crash\n%s", out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "qemu_*.core"))
	if err != nil || len(found) != 1 {
		t.Fatalf("qemu wrote no core (%v, %s)\n%s", err, cmd.ProcessState, out)
	}
	return found[0], root
}

func TestARM64(t *testing.T) {
	t.Parallel()
	const gcc = "aarch64-linux-gnu-gcc"
	golang := []string{
		"runtime.gopanic", "runtime.sigpanic", "main.(*box).get", "main.inlined", "main.outer", "main.main", "runtime.main", "runtime.goexit",
	}
	for _, row := range []struct {
		name     string
		compiler string
		source   string
		args     []string
		want     []string
		line     string // of the first
		threads  int
	}{
		{"O0", gcc, "threads.c", []string{"-O0", "-g", "-pthread"}, calls, "threads.c:7", 4},
		{"O2", gcc, "threads.c", []string{"-O2", "-g", "-pthread"}, []string{"middle", "inlined", "outer", "main"}, "threads.c:10", 4},
		{"no frame pointers", gcc, "threads.c", []string{"-O1", "-g", "-fomit-frame-pointer", "-pthread"}, calls, "threads.c:7", 4},
		{"no call frame information", gcc, "threads.c", []string{"-O1", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-pthread"}, []string{"inner", "middle", "outer", "main"}, "", 4},
		{"debug_frame only", gcc, "threads.c", []string{"-O1", "-g", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-pthread"}, calls, "threads.c:7", 4},
		{"static", gcc, "threads.c", []string{"-O1", "-g", "-static", "-pthread"}, calls, "threads.c:7", 4},
		{"signed return addresses", gcc, "threads.c", []string{"-O1", "-g", "-static", "-pthread", "-mbranch-protection=standard", "-march=armv8.3-a"}, calls, "threads.c:7", 4},
		{"signal handler", gcc, "handler.c", []string{"-O1", "-g"}, []string{"give_up", "handler", "<signal handler called>", "boom", "main"}, "handler.c:6", 1},
		{"wild call", gcc, "wild.c", []string{"-O1", "-g"}, []string{"call", "main"}, "wild.c:2", 1},
		{"Go", "go", "nilptr/main.go", nil, golang, "runtime/panic.go", 2},
		{"Go, stripped", "go", "nilptr/main.go", []string{"-ldflags=-s -w"}, golang, "runtime/panic.go", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			compiler := row.compiler
			if compiler == "go" {
				compiler = "go arm64"
			}
			exe := compile(t, compiler, row.source, row.args...)
			path, root := emulate(t, exe)
			c := openCore(t, path, Options{Executable: exe, Root: root})
			if c.Arch != ARM64 {
				t.Fatalf("architecture %d", c.Arch)
			}
			if len(c.Threads) < row.threads {
				t.Errorf("%d threads, want at least %d", len(c.Threads), row.threads)
			}
			frames := c.Backtrace(&c.Threads[0], 100)
			all := functions(frames)
			if got := only(all, row.want); !slices.Equal(got, row.want) {
				t.Fatalf("functions %q, want %q\n%s", got, row.want, report(t, c))
			}
			if f := frames[slices.Index(all, row.want[0])]; row.line != "" && !strings.HasSuffix(f.File+":"+strconv.Itoa(f.Line), row.line) && !strings.Contains(f.File, row.line) {
				t.Errorf("%s is at %s:%d, want %s", row.want[0], f.File, f.Line, row.line)
			}
			if row.threads > 2 {
				for i := range c.Threads[1:row.threads] {
					if names := functions(c.Backtrace(&c.Threads[i+1], 100)); !slices.Contains(names, "waiter") {
						t.Errorf("thread %d is in %q", i+1, names)
					}
				}
			}
		})
	}
}
