package corefile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const segv, abrt = 11, 6

// calls are the functions on threads.c's stack at its death.
var calls = []string{"inner", "middle", "inlined", "outer", "main"}

func TestBacktrace(t *testing.T) {
	t.Parallel()
	handler := []string{"give_up", "handler", "<signal handler called>", "boom", "main"}
	for _, row := range []struct {
		name     string
		compiler string
		source   string
		args     []string
		want     []string // functions of the crashed thread, in this order; others may be between them
		line     string   // FILE:LINE of the first of them
		gdb      bool     // gdb must find the same
		signal   int
		threads  int
	}{
		{"O0", "gcc", "threads.c", []string{"-O0", "-g"}, calls, "threads.c:7", true, segv, 4},
		{"O1", "gcc", "threads.c", []string{"-O1", "-g"}, calls, "threads.c:7", true, segv, 4},
		{"O2", "gcc", "threads.c", []string{"-O2", "-g"}, []string{"outer", "main"}, "threads.c:20", true, segv, 4},
		{"DWARF 4", "gcc", "threads.c", []string{"-O1", "-gdwarf-4"}, calls, "threads.c:7", true, segv, 4},
		{"DWARF 3", "gcc", "threads.c", []string{"-O1", "-gdwarf-3", "-gstrict-dwarf"}, calls, "threads.c:7", true, segv, 4},
		{"DWARF 2", "gcc", "threads.c", []string{"-O1", "-gdwarf-2", "-gstrict-dwarf"}, []string{"inner", "middle", "outer", "main"}, "threads.c:7", true, segv, 4},
		{"64-bit DWARF", "gcc", "threads.c", []string{"-O1", "-g", "-gdwarf64"}, calls, "threads.c:7", true, segv, 4},
		{"compressed DWARF", "gcc", "threads.c", []string{"-O1", "-g", "-gz=zlib"}, calls, "threads.c:7", true, segv, 4},
		{"no frame pointers", "gcc", "threads.c", []string{"-O1", "-g", "-fomit-frame-pointer"}, calls, "threads.c:7", true, segv, 4},
		{"no call frame information", "gcc", "threads.c", []string{
			"-O1", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fcf-protection=none",
		}, []string{"inner", "middle", "outer", "main"}, "", false, segv, 4},
		{"debug_frame only", "gcc", "threads.c", []string{
			"-O1", "-g", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
		}, calls, "threads.c:7", true, segv, 4},
		{"no search table", "gcc", "threads.c", []string{"-O1", "-g", "-Wl,--no-eh-frame-hdr"}, calls, "threads.c:7", true, segv, 4},
		{"no debug information", "gcc", "threads.c", []string{"-O1"}, []string{"inner", "middle", "outer", "main"}, "", true, segv, 4},
		{"static", "gcc", "threads.c", []string{"-O1", "-g", "-static"}, calls, "threads.c:7", true, segv, 4},
		{"static PIE", "gcc", "threads.c", []string{"-O1", "-g", "-static-pie"}, calls, "threads.c:7", true, segv, 4},
		{"no PIE", "gcc", "threads.c", []string{"-O1", "-g", "-no-pie"}, calls, "threads.c:7", true, segv, 4},
		{"signal handler", "gcc", "handler.c", []string{"-O1", "-g"}, handler, "handler.c:6", true, abrt, 1},
		{"signal handler, static", "gcc", "handler.c", []string{"-O1", "-g", "-static"}, handler, "handler.c:6", true, abrt, 1},
		{"wild call", "gcc", "wild.c", []string{"-O1", "-g"}, []string{"call", "main"}, "wild.c:2", true, segv, 1},
		{"C++", "g++", "throw.cc", []string{"-O0", "-g"}, []string{"shop::Cart<int>::at", "shop::total", "main"}, "throw.cc:11", true, abrt, 1},
		{"C++, optimized", "g++", "throw.cc", []string{"-O2"}, []string{"shop::Cart<int>::at", "shop::total", "main"}, "", true, abrt, 1},
		{"Rust", "rustc", "bounds.rs", []string{"-g", "-Cpanic=abort"}, []string{
			"core::panicking::panic_bounds_check", "bounds::deep::Shelf::take", "bounds::main",
		}, "core/src/panicking.rs", true, abrt, 1},
		// rustc 1.63 leaves the unwind tables out of a program that aborts, without this flag.
		{"Rust, optimized", "rustc", "bounds.rs", []string{"-O", "-Cpanic=abort", "-Cforce-unwind-tables=yes", "-Csymbol-mangling-version=v0"}, []string{
			"core::panicking::panic_bounds_check", "<bounds::deep::Shelf>::take", "bounds::main",
		}, "core/src/panicking.rs", false, abrt, 1},
		{"Go", "go", "nilptr/main.go", nil, []string{
			"runtime.crash", "runtime.fatalpanic", "runtime.gopanic", "runtime.panicmem", "runtime.sigpanic",
			"main.(*box).get", "main.inlined", "main.outer", "main.main", "runtime.main", "runtime.goexit",
		}, "runtime/signal_unix.go", false, abrt, 2},
		{"Go, stripped", "go", "nilptr/main.go", []string{"-ldflags=-s -w", "-trimpath"}, []string{
			"runtime.gopanic", "main.(*box).get", "main.inlined", "main.outer", "main.main", "runtime.main", "runtime.goexit",
		}, "runtime/panic.go", false, abrt, 2},
		{"Go, PIE", "go", "nilptr/main.go", []string{"-buildmode=pie", "-ldflags=-s -w"}, []string{
			"runtime.gopanic", "main.(*box).get", "main.inlined", "main.outer", "main.main", "runtime.main", "runtime.goexit",
		}, "runtime/panic.go", false, abrt, 2},
		{"Go with C", "go cgo", "cgo/main.go", nil, []string{
			"boom", "runtime.asmcgocall", "runtime.cgocall", "main.outer", "main.main", "runtime.main", "runtime.goexit",
		}, "", false, abrt, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			args := row.args
			if row.compiler == "rustc" {
				args = append(args, "--crate-name=bounds")
			} else if strings.HasPrefix(row.source, "threads") {
				args = append(args, "-pthread")
			}
			exe := compile(t, row.compiler, row.source, args...)
			path := crash(t, exe)
			c := openCore(t, path, Options{})
			if c.Skipped != 0 {
				t.Errorf("skipped %d", c.Skipped)
			}
			o := origin(t, path)
			if o.Signal != row.signal || len(o.Siginfo) != 32 || o.Siginfo[0] != byte(row.signal) {
				t.Errorf("signal %d, siginfo %x, want %d", o.Signal, o.Siginfo, row.signal)
			}
			if row.signal == segv && (le.Uint64(o.Siginfo[16:]) != 0 || o.Siginfo[8] != 1) {
				t.Errorf("siginfo %x, want the address 0 and code 1", o.Siginfo)
			}
			if o.Executable != exe || o.PID <= 0 || o.PPID <= 0 || o.Group <= 0 {
				t.Errorf("%+v, want %s", o, exe)
			}
			if info, err := os.Stat(path); err != nil || o.Size != uint64(info.Size()) {
				t.Errorf("%d bytes, want %v, %v", o.Size, info, err)
			}
			if len(c.Threads) < row.threads || len(c.Threads) != o.Threads {
				t.Errorf("%d threads, and %d, want at least %d", len(c.Threads), o.Threads, row.threads)
			}
			frames := c.Backtrace(&c.Threads[0], 100)
			all := functions(frames)
			if got := only(all, row.want); !slices.Equal(got, row.want) {
				t.Errorf("functions %q, want %q\n%s", got, row.want, report(t, c))
			}
			if row.line != "" {
				i := slices.Index(all, row.want[0])
				if i < 0 {
					t.FailNow()
				}
				f := frames[i]
				if got := fmt.Sprintf("%s:%d", f.File, f.Line); !strings.Contains(got, row.line) {
					t.Errorf("%s is at %s, want %s", row.want[0], got, row.line)
				}
			}
			if row.gdb {
				theirs := gdbFunctions(t, exe, path)
				if got := only(theirs, row.want); !slices.Equal(got, row.want) {
					t.Errorf("gdb has %q, want %q", theirs, row.want)
				}
			}
		})
	}
}

// TestThreads wants every thread of a crash, walked to its outermost frame.
func TestThreads(t *testing.T) {
	t.Parallel()
	path := crash(t, compile(t, "gcc", "threads.c", "-O2", "-g", "-pthread"), "many")
	c := openCore(t, path, Options{})
	o := origin(t, path)
	if len(c.Threads) != 201 || o.Threads != 201 {
		t.Fatalf("%d threads, and %d, want 201", len(c.Threads), o.Threads)
	}
	if c.Threads[0].TID != o.PID {
		t.Errorf("thread %d is first, want %d, which crashed", c.Threads[0].TID, o.PID)
	}
	for i := range c.Threads[1:] {
		names := functions(c.Backtrace(&c.Threads[i+1], 100))
		if !slices.Contains(names, "waiter") {
			t.Fatalf("thread %d is in %q", i+1, names)
		}
	}
	text := report(t, c)
	if !strings.Contains(text, " threads with the same stack: ") {
		t.Errorf("equal stacks are not grouped:\n%s", text)
	}
}

// TestStripped wants a module and an offset in the file for every frame of a
// program without symbols, the same as gdb's addresses.
func TestStripped(t *testing.T) {
	t.Parallel()
	exe := compile(t, "gcc", "threads.c", "-O1", "-s", "-pthread", "-Wl,--build-id=0x0123456789abcdef")
	c := openCore(t, crash(t, exe), Options{})
	frames := c.Backtrace(&c.Threads[0], 100)
	if len(frames) < 4 {
		t.Fatal(report(t, c))
	}
	for _, f := range frames[:4] {
		if f.Function != "" || f.Module != exe || c.moduleAt(f.PC).BuildID != "0123456789abcdef" || f.Offset == 0 || f.Offset > 1<<16 {
			t.Errorf("frame %+v", f)
		}
	}
	if want := fmt.Sprintf("in ?? (%s+0x%x)", exe, frames[0].Offset); !strings.Contains(report(t, c), want) {
		t.Errorf("no %q in the report", want)
	}
}

// TestRecursion wants a bounded backtrace of a full stack.
func TestRecursion(t *testing.T) {
	t.Parallel()
	c := openCore(t, crash(t, compile(t, "gcc", "recurse.c", "-O0", "-g")), Options{})
	frames := c.Backtrace(&c.Threads[0], 128)
	if len(frames) != 128 {
		t.Fatalf("%d frames, want 128", len(frames))
	}
	for i, f := range frames {
		if f.Function != "recurse" {
			t.Fatalf("frame %d is %+v", i, f)
		}
	}
	if n := len(c.Backtrace(&c.Threads[0], 1<<30)); n > maxFrames {
		t.Errorf("%d frames", n)
	}
	if text := report(t, c); !strings.Contains(text, "(more frames follow)") || !strings.Contains(text, "\n#99 0x") || !strings.Contains(text, "\n#100 0x") {
		t.Error(text)
	}
}

// TestSmashedStack wants the frame with the overwritten return address, and that address.
func TestSmashedStack(t *testing.T) {
	t.Parallel()
	exe := compile(t, "gcc", "smash.c", "-O1", "-g", "-fno-stack-protector", "-D_FORTIFY_SOURCE=0", "-fcf-protection=none")
	c := openCore(t, crash(t, exe), Options{})
	frames := c.Backtrace(&c.Threads[0], 100)
	if frames[0].Function != "smash" {
		t.Error(report(t, c))
	}
	if len(frames) > 3 {
		t.Errorf("invented frames:\n%s", report(t, c))
	}
}

// TestGDBCore reads a core that gdb wrote.
func TestGDBCore(t *testing.T) {
	t.Parallel()
	exe := compile(t, "gcc", "threads.c", "-O1", "-g", "-pthread")
	path := crashUnderGDB(t, exe)
	c := openCore(t, path, Options{})
	if got := only(functions(c.Backtrace(&c.Threads[0], 100)), calls); !slices.Equal(got, calls) {
		t.Error(report(t, c))
	}
	if o := origin(t, path); o.Signal != segv || len(o.Siginfo) != 32 || o.Siginfo[0] != segv || o.Siginfo[8] != 1 {
		t.Errorf("%+v", o)
	}
}

// TestOtherFile replaces the executable after the crash: nothing is read from the new file,
// and a FIFO does not block.
func TestOtherFile(t *testing.T) {
	t.Parallel()
	exe := compile(t, "gcc", "threads.c", "-O1", "-g", "-pthread")
	other := compile(t, "gcc", "wild.c", "-O1", "-g")
	path := crash(t, exe)
	before := openCore(t, path, Options{})
	if file := before.Unmatched(); file != "" {
		t.Errorf("%s does not match the core", file)
	}
	buildID, _ := before.BuildID()
	states := []struct {
		name string
		make func() error
	}{
		{"another program", func() error { return os.Rename(other, exe) }},
		{"gone", func() error { return nil }},
		{"a FIFO", func() error { return unix.Mkfifo(exe, 0o600) }},
		{"a device", func() error { return os.Symlink("/dev/zero", exe) }},
		{"a directory", func() error { return os.Mkdir(exe, 0o700) }},
	}
	for _, state := range states {
		if err := os.Remove(exe); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := state.make(); err != nil {
			t.Fatal(err)
		}
		c := openCore(t, path, Options{})
		frames := c.Backtrace(&c.Threads[0], 100)
		f := frames[0]
		if f.Function != "" || f.File != "" || f.Module != exe {
			t.Errorf("%s: frame %+v", state.name, f)
		}
		if id, golang := c.BuildID(); c.Unmatched() != exe || len(id) == 0 || !bytes.Equal(id, buildID) || golang != "" {
			t.Errorf("%s: %q does not match, build IDs %x and %q", state.name, c.Unmatched(), id, golang)
		}
		if id := c.moduleAt(f.PC).BuildID; id == "" || id != before.Modules[0].BuildID {
			t.Errorf("%s: build ID %q, want %q", state.name, id, before.Modules[0].BuildID)
		}
	}
}

// TestRoot finds the files of a program that ran under another root, and the program itself
// at Options.Executable.
func TestRoot(t *testing.T) {
	t.Parallel()
	exe := compile(t, "gcc", "threads.c", "-O1", "-g", "-pthread")
	path := crash(t, exe)
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(exe)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(exe, filepath.Join(root, exe)); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []Options{{Root: root}, {Executable: filepath.Join(root, exe)}} {
		c := openCore(t, path, opt)
		if got := only(functions(c.Backtrace(&c.Threads[0], 100)), calls); !slices.Equal(got, calls) {
			t.Errorf("%+v: %s", opt, report(t, c))
		}
	}
}

// TestTruncated cuts a core off at several places.
func TestTruncated(t *testing.T) {
	t.Parallel()
	exe := compile(t, "gcc", "threads.c", "-O1", "-g", "-pthread")
	path := crash(t, exe)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := len(openCore(t, path, Options{}).Modules)
	for _, size := range []int64{info.Size() - 1, info.Size() / 2, 1 << 16} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		c := openCore(t, path, Options{})
		if o := origin(t, path); len(c.Threads) != 4 || o.Signal != segv || o.Size != uint64(info.Size()) {
			t.Errorf("cut at %d: %d threads, %+v", size, len(c.Threads), o)
		}
		if len(c.Modules) > whole {
			t.Errorf("cut at %d: %s", size, report(t, c))
		}
	}
	for _, size := range []int64{100, 10, 0} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); err == nil {
			t.Errorf("cut at %d: opened", size)
		}
	}
}
