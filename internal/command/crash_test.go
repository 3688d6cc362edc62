package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestCrash crashes programs in every way that the kernel reports. The parts that change the
// machine's core pattern come first, one after another. No other test may wait for the
// pattern: this one would then have to wait for its turn.
func TestCrash(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can say where cores are to go")
	}
	s := redistest.Start(t)
	debug := program(t, "-g")
	t.Run("patterns", func(t *testing.T) { testPatterns(t, s, debug) })
	t.Run("handler", func(t *testing.T) { testHandler(t, s, debug) })
	t.Cleanup(coretest.Set(t, "core", "0"))

	for _, tt := range []struct {
		how    string
		signal syscall.Signal
		name   string
		says   string
	}{
		{"segv", syscall.SIGSEGV, "SIGSEGV", "SEGV_MAPERR: nothing is mapped there; the address is 0x10"},
		{"abort", syscall.SIGABRT, "SIGABRT", "SI_TKILL: raised by process"},
		{"bus", syscall.SIGBUS, "SIGBUS", "BUS_ADRERR"},
		{"fpe", syscall.SIGFPE, "SIGFPE", "FPE_INTDIV: an integer was divided by zero"},
		{"ill", syscall.SIGILL, "SIGILL", "illegal instruction"},
		{"raise:5", syscall.SIGTRAP, "SIGTRAP", "SI_TKILL"},
		{"raise:31", syscall.SIGSYS, "SIGSYS", "bad system call"},
		{"raise:3", syscall.SIGQUIT, "SIGQUIT", "quit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := crash(t, s, tt.name, "", nil, debug, "say:last words", tt.how)
			r := c.one(t)
			if want := 128 + int(tt.signal); c.exit != want || r.Fields["exit_code"] != fmt.Sprint(want) {
				t.Errorf("exit status %d, field %s, want %d", c.exit, r.Fields["exit_code"], want)
			}
			if r.Fields["kind"] != "signal" || r.Fields["signal"] != tt.name || r.Fields["core"] != "" {
				t.Errorf("%v", r.Fields)
			}
			if len(r.Fields["signature"]) != 12 || !strings.HasPrefix(r.Fields["frame"], "innermost at ") || len(r.Fields["build"]) != 12 {
				t.Errorf("signature %q, frame %q, build %q", r.Fields["signature"], r.Fields["frame"], r.Fields["build"])
			}
			contains(t, r, tt.name+" crashed: "+tt.name, tt.says, "innermost (how=", "dying.c:", "main (argc=", "build ID ", "rip ", "last words")
			if left := c.left(t); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			// The time in the first marker names the run.
			if info := s.Messages("logs:app:" + tt.name + ":info"); info[0] != "{{__NEW_RUN_"+r.Fields["run"]+"}}" {
				t.Errorf("run %q, but %q", r.Fields["run"], info[0])
			}
		})
	}

	for name, args := range map[string][]string{
		"exit 5":  {"exit:5"},
		"SIGTERM": {"raise:15"},
		"SIGINT":  {"raise:2"},
		"SIGHUP":  {"raise:1"},
		"SIGKILL": {"raise:9"},
		"words":   {"say:panic: Traceback (most recent call last): Segmentation fault", "exit:1"},
	} {
		t.Run("no crash/"+name, func(t *testing.T) {
			t.Parallel()
			c := crash(t, s, strings.ReplaceAll(name, " ", "-"), "", nil, append([]string{debug}, args...)...)
			if len(c.reports) != 0 || len(c.left(t)) != 0 {
				t.Errorf("reports %v, left behind %q", c.reports, c.left(t))
			}
		})
	}

	t.Run("threads", func(t *testing.T) {
		t.Parallel()
		// Where the app has died before it was looked at, its peak is known if it is above wrapp's.
		r := crash(t, s, "threads", "", nil, debug, "threads:20", "fill:150", "segv").one(t)
		contains(t, r, "21 threads", "backtrace of the crashing thread", "all threads", "idle (", "innermost (", "peak in RAM", "limits: core ")
		if got := strings.Count(r.Message(), "idle ("); got != 20 {
			t.Errorf("%d idle threads, want 20", got)
		}
	})
	t.Run("deep", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "deep", "", nil, debug, "deep")
		contains(t, c.one(t), "SIGSEGV", "#31", "(there are more frames)")
	})
	t.Run("stripped", func(t *testing.T) {
		t.Parallel()
		contains(t, crash(t, s, "stripped", "", nil, program(t, "-s"), "segv").one(t), "SIGSEGV", "SEGV_MAPERR", "#0", "build ID", "/dying+0x")
	})
	t.Run("static", func(t *testing.T) {
		t.Parallel()
		contains(t, crash(t, s, "static", "", nil, program(t, "-g", "-static"), "abort").one(t), "SIGABRT", "innermost (", "abort ()")
	})
	t.Run("C++", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		source := "#include <vector>\nint main() { std::vector<int> three(3); return three.at(10); }\n"
		if err := os.WriteFile(filepath.Join(dir, "x.cc"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("g++", "-g", "-o", dir+"/x", dir+"/x.cc").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		contains(t, crash(t, s, "cxx", "", nil, dir+"/x").one(t), "SIGABRT", "std::vector", "x.cc:2", "terminate called", "what():")
	})
	for name, flags := range map[string]string{"golang": "", "stripped-go": "-s -w"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			source := "package main\n\nfunc load(p *int) int { return *p }\n\nfunc main() { println(load(nil)) }\n"
			if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "build", "-ldflags", flags, "-o", dir+"/x", dir+"/x.go").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			r := crash(t, s, name, "env = { GOTRACEBACK = 'crash' }\n[crash]\ncontext_lines = 1000", nil, dir+"/x").one(t)
			contains(t, r, "SIGABRT", "in main.load", "x.go:3", "panic: runtime error: invalid memory address")
		})
	}
	t.Run("another user", func(t *testing.T) {
		t.Parallel()
		r := crash(t, s, "user", "user = 'nobody'\n", nil, debug, "segv").one(t)
		contains(t, r, "user nobody", "innermost (how=", "it was removed")
	})
	t.Run("its own change of user", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "setuid", "", nil, debug, "setuid:65534", "segv")
		contains(t, c.one(t), "SIGSEGV", "no core was found in "+c.dir, "fs.suid_dumpable")
	})
	t.Run("elsewhere", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		path, _ := fifo(t)
		examined := closings(t, dir)
		told := whileAwaiting(t, path, func() {
			// The kernel replaces it, if others may not read it.
			if err := os.WriteFile(filepath.Join(dir, "core"), nil, 0o600); err != nil {
				t.Error(err)
				return
			}
			examined("core") // wrapp knows the app's working directory, and has looked for cores there
		})
		c := crash(t, s, "elsewhere", "", nil, debug, "chdir:"+dir, "await:"+path, "segv")
		told()
		contains(t, c.one(t), "innermost (", "core-elsewhere-")
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	})
	t.Run("a child at the end", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "child", "", nil, "sh", "-c", debug+" segv; exit 5")
		r := c.one(t)
		if c.exit != 5 || r.Fields["kind"] != "core" || r.Fields["signal"] != "SIGSEGV" || r.Fields["exit_code"] != "" {
			t.Errorf("exit status %d, %v", c.exit, r.Fields)
		}
		contains(t, r, "started by child, crashed: SIGSEGV", "innermost (")
	})
	t.Run("a child meanwhile", func(t *testing.T) {
		t.Parallel()
		path, proceed := fifo(t)
		var told sync.WaitGroup
		told.Go(func() {
			defer proceed()
			s.Wait("the child's report", func() bool { return len(s.Stream("logs:app:meanwhile:crash")) > 0 })
		})
		c := crash(t, s, "meanwhile", "", nil, debug, "fork:"+path, "segv")
		told.Wait()
		r := c.one(t)
		status := s.Stream("logs:app:meanwhile:status")
		if end := status[len(status)-1]; c.exit != 5 || r.Fields["kind"] != "core" || r.ID >= end.ID {
			t.Errorf("exit status %d, %v, reported at %s, ended at %s", c.exit, r.Fields, r.ID, end.ID)
		}
		contains(t, r, "started by meanwhile, crashed: SIGSEGV", "innermost (")
	})
	t.Run("a stranger's core of the same name", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		path, _ := fifo(t)
		examined := closings(t, dir)
		crashed := whileAwaiting(t, path, func() {
			for range 4 {
				stranger := exec.Command("sh", "-c", `ulimit -c unlimited; exec "$0" abort`, debug)
				stranger.Dir = dir
				stranger.Run()
				if status := stranger.ProcessState.Sys().(syscall.WaitStatus); !status.CoreDump() {
					t.Errorf("a stranger left no core: %v", stranger.ProcessState)
					return
				}
				examined("core") // wrapp has read the core, and seen that it is a stranger's
			}
		})
		c := crash(t, s, "stranger", fmt.Sprintf("dir = %q", dir), nil, debug, "await:"+path, "segv")
		crashed()
		contains(t, c.one(t), "stranger crashed: SIGSEGV", "innermost (how=")
	})
	t.Run("parent and child", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "both", "", nil, "sh", "-c", debug+" segv; kill -ABRT $$")
		kinds := map[string]string{}
		for _, r := range c.reports {
			kinds[r.Fields["kind"]] = r.Fields["signal"]
		}
		// Both cores have the same name. The second replaces the first if wrapp has not found
		// that yet.
		if kinds["signal"] != "SIGABRT" || len(c.reports) > 2 {
			t.Errorf("%v", kinds)
		}
	})
	t.Run("keep", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "keep", "[crash]\nkeep_core = true", nil, debug, "segv")
		r := c.one(t)
		if left := c.left(t); len(left) != 1 || r.Fields["core"] != left[0] {
			t.Errorf("the field says %q, and there is %q", r.Fields["core"], left)
		}
		contains(t, r, "to open it: gdb "+debug+" "+r.Fields["core"])
	})
	t.Run("no core wanted", func(t *testing.T) {
		t.Parallel()
		r := crash(t, s, "unwanted", "[crash]\ncore = false", nil, debug, "nocore", "segv").one(t)
		contains(t, r, "SIGSEGV", "none: no core is looked for because crash.core = false")
	})
	t.Run("no core from the app", func(t *testing.T) {
		t.Parallel()
		r := crash(t, s, "own-limit", "", nil, debug, "nocore", "segv").one(t)
		contains(t, r, "none: there is no core because the app has its own limit")
	})
	t.Run("backtrace off", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "off", "[crash]\nbacktrace = 'off'", nil, debug, "segv")
		contains(t, c.one(t), "none: crash.backtrace is off", "SEGV_MAPERR")
		if left := c.left(t); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("no gdb", func(t *testing.T) {
		t.Parallel()
		r := crash(t, s, "no-gdb", "[crash]\nbacktrace = 'gdb'", []string{"PATH=" + t.TempDir()}, debug, "segv").one(t)
		contains(t, r, "none: gdb is not on PATH", "SEGV_MAPERR", "build ID")
	})
	t.Run("builtin", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "builtin", "", []string{"PATH=" + t.TempDir()}, debug, "what:s3same-open", "threads:3", "segv")
		r := c.one(t)
		contains(t, r, "by wrapp, below", "innermost", "dying.c:", "idle", "rip ")
		if strings.Contains(r.Message(), "what:s3same") {
			t.Errorf("the command line is in the report:\n%s", r.Message())
		}
		if left := c.left(t); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("gdb hangs", func(t *testing.T) {
		t.Parallel()
		bin := t.TempDir()
		fake := "#!/bin/sh\nsleep 1000 & sleep 1000\n"
		if err := redistest.WriteProgram(filepath.Join(bin, "gdb"), []byte(fake)); err != nil {
			t.Fatal(err)
		}
		path := []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
		c := crash(t, s, "gdb-hangs", "[crash]\nbacktrace = 'gdb'\ntimeout = '1s'", path, debug, "segv")
		contains(t, c.one(t), "none: gdb was ended: it took too long", "SEGV_MAPERR")
		if c.took > 10*time.Minute { // gdb would take 1000 s
			t.Errorf("it took %v", c.took)
		}
		// wrapp has the last quarter of the time to itself, which may be too short on a busy machine.
		for timeout := 8 * time.Second; ; timeout *= 2 {
			c = crash(t, s, "gdb-hangs-"+timeout.String(), fmt.Sprintf("[crash]\ntimeout = '%v'", timeout), path, debug, "what:s3same-open", "segv")
			r := c.one(t)
			if timeout > 5*time.Minute || !strings.Contains(r.Message(), "reading the core took too long") {
				contains(t, r, "by wrapp, below", "innermost", "gdb was ended: it took too long")
				break
			}
		}
	})
	t.Run("gdb babbles", func(t *testing.T) {
		t.Parallel()
		bin := t.TempDir()
		if err := redistest.WriteProgram(filepath.Join(bin, "gdb"), []byte("#!/bin/sh\necho @@wrapp:backtrace; echo '#0 here'; exec yes a long line of nonsense\n")); err != nil {
			t.Fatal(err)
		}
		r := crash(t, s, "gdb-babbles", "", []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, debug, "segv").one(t)
		if n := len(r.Message()); n > 256<<10 || n < 200<<10 {
			t.Errorf("%d bytes", n)
		}
		contains(t, r, "#0 here", "bytes left out here", "limits: core", "it wrote more than")
	})
	t.Run("gdb hangs and wrapp is stopped", func(t *testing.T) {
		t.Parallel()
		bin, dir := t.TempDir(), t.TempDir()
		hung := filepath.Join(bin, "hung")
		if err := redistest.WriteProgram(filepath.Join(bin, "gdb"), []byte("#!/bin/sh\n: >"+hung+"\nsleep 1000\n")); err != nil {
			t.Fatal(err)
		}
		cmd := wrapp(t, "--redis", s.URL(), "--name", "hurry", "--dir", dir, "--", debug, "segv")
		cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "gdb hangs", func() bool { _, err := os.Stat(hung); return err == nil })
		cmd.Process.Signal(syscall.SIGTERM)
		began := time.Now()
		if got := code(t, cmd.Wait()); got != 139 || time.Since(began) > 10*time.Minute {
			t.Errorf("exit status %d after %v", got, time.Since(began))
		}
		contains(t, crashed{reports: s.Stream("logs:app:hurry:crash")}.one(t), "none: gdb was ended", "SEGV_MAPERR")
	})
	t.Run("while stopping", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cmd := wrapp(t, "--redis", s.URL(), "--name", "stopping", "--dir", dir, "--stop-timeout", "2m", "--", "sh", "-c", "trap 'kill -SEGV $$' TERM; echo ready; while :; do sleep 0.01; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the app is ready", func() bool { return len(s.Stream("logs:app:stopping:info")) == 2 })
		cmd.Process.Signal(syscall.SIGTERM)
		if got := code(t, cmd.Wait()); got != 139 {
			t.Errorf("exit status %d", got)
		}
		contains(t, crashed{reports: s.Stream("logs:app:stopping:crash")}.one(t), "SIGSEGV (core dumped), while stopping", "SI_USER: sent by process")
	})
	t.Run("secrets", func(t *testing.T) {
		t.Parallel()
		locked := redistest.Start(t, "--requirepass", "s3same-open")
		file := filepath.Join(t.TempDir(), "pw")
		if err := os.WriteFile(file, []byte("s3same-open\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		token := "tok-" + strings.Repeat("x", 30) + "-123456" // gdb may count repetitions
		config := filepath.Join(t.TempDir(), "wrapp.toml")
		text := fmt.Sprintf("[redis]\nport = %d\nhost = '127.0.0.1'\npassword_file = %q\n[app]\nexecutable = %q\nargs = ['what:s3same-open %[5]s', 'say:token is %[5]s', 'segv']\nstream_name = 'secrets'\ndir = %[4]q\nenv = {API_TOKEN = '%[5]s'}\n", locked.Port, file, debug, dir, token)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := code(t, wrapp(t, config).Run()); got != 139 {
			t.Errorf("exit status %d", got)
		}
		c := locked.Dial(1, redis.DialPassword("s3same-open"))
		reports, err := c.Do("XRANGE", "logs:app:secrets:crash", "-", "+")
		if err != nil {
			t.Fatal(err)
		}
		report := fmt.Sprintf("%s", reports)
		if strings.Contains(report, "s3same") || strings.Contains(report, "tok-") || strings.Count(report, "[secret]") < 2 || !strings.Contains(report, "token is [secret]") {
			t.Errorf("%s", report)
		}
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		// Lines on two pipes have no common order.
		path, proceed := fifo(t)
		var read sync.WaitGroup
		read.Go(func() {
			defer proceed()
			s.Wait("the lines", func() bool { return slices.Contains(s.Messages("logs:app:context:info"), "100") })
		})
		r := crash(t, s, "context", "[crash]\ncontext_lines = 3", nil, "sh", "-c", "seq 1 100; read x <"+path+"; echo oops >&2; exec "+debug+" segv").one(t)
		read.Wait()
		contains(t, r, "the output's last 3 lines ---\n99\n100\noops\n")
	})
	t.Run("stop signal", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cmd := wrapp(t, "--redis", s.URL(), "--name", "quit", "--dir", dir, "--stop-signal", "QUIT", "--", debug, "say:ready", "sleep:60000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the app is ready", func() bool { return len(s.Stream("logs:app:quit:info")) == 2 })
		cmd.Process.Signal(syscall.SIGTERM)
		if got := code(t, cmd.Wait()); got != 131 {
			t.Errorf("exit status %d", got)
		}
		if got := s.Stream("logs:app:quit:crash"); len(got) > 0 {
			t.Errorf("%v", got)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	})
	t.Run("hard limit 0", func(t *testing.T) {
		t.Parallel()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := wrapp(t)
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `ulimit -Hc 0; exec "$@"`, "sh", self, "--redis", s.URL(), "--name", "limit", "--", debug, "segv"}
		if got := code(t, cmd.Run()); got != 139 {
			t.Errorf("exit status %d", got)
		}
		r := crashed{reports: s.Stream("logs:app:limit:crash")}.one(t)
		contains(t, r, "none: there is no core because the hard limit for cores is 0; start the container with --ulimit core=-1")
	})
	t.Run("disk full", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "small")
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("small", dir, "tmpfs", 0, "size=256k"); err != nil {
			t.Skipf("mount a small tmpfs: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
		r := crash(t, s, "full", fmt.Sprintf("dir = %q", dir), nil, debug, "fill:8", "segv").one(t)
		contains(t, r, "SEGV_MAPERR", "it is truncated, because the disk is full")
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	})
	t.Run("no room at all", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "none")
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4k"); err != nil {
			t.Skipf("mount a small tmpfs: %v", err)
		}
		t.Cleanup(func() { syscall.Unmount(dir, 0) })
		if err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		r := crash(t, s, "none", fmt.Sprintf("dir = %q", dir), nil, debug, "segv").one(t)
		contains(t, r, "SIGSEGV", "none: ")
	})
	t.Run("big", func(t *testing.T) {
		t.Parallel()
		c := crash(t, s, "big", "", nil, debug, "fill:300", "segv")
		contains(t, c.one(t), "innermost (how=", "30")
	})
}

// TestTracebackBehindBar has an exception interrupt a progress bar, which has no line end.
func TestTracebackBehindBar(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	out, err := wrapp(t, configure(t, s, shell("bar", `printf '\r  0%%|   | 0/9\r 11%%|#  | 1/9' >&2
printf 'Traceback (most recent call last):\n  File "x.py", line 3, in <module>\n    f()\nValueError: none\n' >&2
exit 1`))).CombinedOutput()
	if got := code(t, err); got != 1 {
		t.Errorf("exit status %d: %s", got, out)
	}
	const title = "bar ended with exit status 1 after a traceback: Python: ValueError: none\n"
	if reports := s.Messages("logs:app:bar:crash"); len(reports) != 1 || !strings.HasPrefix(reports[0], title) {
		t.Errorf("%q", reports)
	}
	if lines := s.Messages("logs:app:bar:info"); !slices.Contains(lines, " 11%|#  | 1/9Traceback (most recent call last):") {
		t.Errorf("%q", lines)
	}
}
