package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

const coreSetting = "/proc/sys/kernel/core_pattern"

// corePattern sets where the kernel puts cores until the end of the test, in
// which nobody else who goes by the same lock changes it. A process of its own
// puts it back if this one is killed.
func corePattern(t *testing.T, pattern, usesPID string) {
	t.Helper()
	lock, err := os.OpenFile("/tmp/jettison-core-pattern.lock", os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	const usesPIDSetting = "/proc/sys/kernel/core_uses_pid"
	old, err := os.ReadFile(coreSetting)
	if err != nil {
		t.Fatal(err)
	}
	oldUsesPID, err := os.ReadFile(usesPIDSetting)
	if err != nil {
		t.Fatal(err)
	}
	guard := exec.Command("sh", "-c", `cat >/dev/null; printf %s "$1" >"$2"; printf %s "$3" >"$4"`, "guard",
		string(old), coreSetting, string(oldUsesPID), usesPIDSetting)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	guard.ExtraFiles = []*os.File{lock} // it holds the lock until it is done
	stdin, err := guard.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := guard.Wait(); err != nil {
			t.Errorf("put the core pattern back: %v", err)
		}
		if now, err := os.ReadFile(coreSetting); err != nil || string(now) != string(old) {
			t.Errorf("the core pattern is %q now and was %q: %v", now, old, err)
		}
	})
	for _, w := range []struct{ file, text string }{{coreSetting, pattern + "\n"}, {usesPIDSetting, usesPID}} {
		if err := os.WriteFile(w.file, []byte(w.text), 0); err != nil {
			t.Skipf("set %s: %v", w.file, err)
		}
	}
}

// canDump skips a test where cores cannot be had or their place not be set.
func canDump(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		t.Skipf("the hard limit for cores is %d (%v)", limit.Max, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can say where cores are to go")
	}
}

// dying is a C program that ends as its arguments say.
const dying = `
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int zero;
static volatile char *nowhere = (char *)0x10;
__attribute__((noinline)) static int innermost(const char *how, const char *what) {
	if (!strcmp(how, "segv")) *nowhere = what ? what[0] : 1;
	if (!strcmp(how, "fpe")) return 100 / zero;
	if (!strcmp(how, "ill")) __builtin_trap();
	if (!strcmp(how, "abort")) abort();
	if (!strcmp(how, "bus")) {
		FILE *f = tmpfile();
		char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
		p[0] = 1;
	}
	if (!strcmp(how, "deep")) return innermost(how, what) + 1;
	if (!strncmp(how, "raise:", 6)) { signal(atoi(how + 6), SIG_DFL); raise(atoi(how + 6)); }
	if (!strncmp(how, "exit:", 5)) exit(atoi(how + 5));
	return 0;
}
static void *idle(void *unused) { for (;;) pause(); return unused; }
int main(int argc, char **argv) {
	const char *how = "", *what = 0;
	for (int i = 1; i < argc; i++) {
		char *a = argv[i];
		if (!strncmp(a, "threads:", 8)) {
			pthread_t t;
			for (int n = atoi(a + 8); n > 0; n--) pthread_create(&t, 0, idle, 0);
		} else if (!strncmp(a, "sleep:", 6)) usleep(1000 * atoi(a + 6));
		else if (!strncmp(a, "chdir:", 6)) { if (chdir(a + 6)) perror("chdir"); }
		else if (!strncmp(a, "say:", 4)) { puts(a + 4); fflush(stdout); }
		else if (!strncmp(a, "what:", 5)) what = strdup(a + 5);
		else if (!strncmp(a, "fill:", 5)) { size_t n = (size_t)atoi(a + 5) << 20; memset(malloc(n), 0x5a, n); }
		else if (!strcmp(a, "nocore")) { struct rlimit none = {0, 0}; setrlimit(RLIMIT_CORE, &none); }
		else if (!strcmp(a, "fork")) { if (fork()) { wait(0); argc = 0; } }
		else how = a;
		if (!argc) { sleep(3); puts("still here"); return 5; }
	}
	int result = innermost(how, what);
	printf("went on: %d\n", result);
	return result;
}
`

// program compiles C once for each set of flags.
func program(t *testing.T, flags ...string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	key := strings.Join(flags, " ")
	if file := programs.built[key]; file != "" {
		return file
	}
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "dying")
		if err != nil {
			t.Fatal(err)
		}
		programs.dir = dir
		os.Chmod(dir, 0o755)
	}
	source := filepath.Join(programs.dir, "dying.c")
	if err := os.WriteFile(source, []byte(dying), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(programs.dir, fmt.Sprintf("dying%d", len(programs.built)))
	args := append([]string{"-pthread", "-O0", "-fno-omit-frame-pointer", "-o", file, source}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v: %s", err, out)
	}
	programs.built[key] = file
	return file
}

var programs = struct {
	sync.Mutex
	dir   string
	built map[string]string
}{built: make(map[string]string)}

// crashed is one run of an app under wrapp, and what came of it.
type crashed struct {
	exit    int
	reports []redistest.Entry
	dir     string // where the app ran
	took    time.Duration
}

// crash runs an app under wrapp with a configuration and returns its reports.
func crash(t *testing.T, s *redistest.Server, name, settings string, env []string, app ...string) crashed {
	t.Helper()
	dir := t.TempDir()
	os.Chmod(dir, 0o777)
	os.Chmod(filepath.Dir(dir), 0o755) // another user is to get there
	quoted := make([]string, len(app)-1)
	for i, arg := range app[1:] {
		quoted[i] = fmt.Sprintf("%q", arg)
	}
	file := filepath.Join(t.TempDir(), "wrapp.toml")
	text := fmt.Sprintf("[redis]\nurl = %q\n[app]\nexecutable = %q\nargs = [%s]\nstream_name = %q\nstop_timeout = '5s'\n%s\n", s.URL(), app[0], strings.Join(quoted, ", "), name, settings)
	if !strings.Contains(settings, "dir = ") {
		text = strings.Replace(text, "[app]\n", fmt.Sprintf("[app]\ndir = %q\n", dir), 1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := wrapp(t, file)
	cmd.Env = append(cmd.Env, env...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	c := crashed{exit: code(t, err), dir: dir, took: time.Since(began)}
	if c.exit == 125 {
		t.Fatalf("%s", out)
	}
	c.reports = s.Stream("logs:app:" + name + ":crash")
	return c
}

// one is the only report there is, checked for what each has.
func (c crashed) one(t *testing.T) redistest.Entry {
	t.Helper()
	if len(c.reports) != 1 {
		t.Fatalf("%d reports, want 1: %v", len(c.reports), c.reports)
	}
	r := c.reports[0]
	if r.Fields["run"] == "" || r.Fields["pid"] == "" || r.Message() == "" {
		t.Errorf("fields are missing: %v", r.Fields)
	}
	return r
}

func (c crashed) left(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func contains(t *testing.T, r redistest.Entry, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.Message(), text) {
			t.Errorf("%q is not in the report:\n%s", text, r.Message())
		}
	}
}

// TestCrash crashes programs in every way that the kernel reports. It has the
// machine's core pattern for itself.
func TestCrash(t *testing.T) {
	t.Parallel()
	canDump(t)
	s := redistest.Start(t)
	debug := program(t, "-g")
	corePattern(t, "core", "0")

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
			c := crash(t, s, tt.name, "", nil, debug, "say:last words", tt.how)
			r := c.one(t)
			if want := 128 + int(tt.signal); c.exit != want || r.Fields["exit_code"] != fmt.Sprint(want) {
				t.Errorf("exit status %d, field %s, want %d", c.exit, r.Fields["exit_code"], want)
			}
			if r.Fields["kind"] != "signal" || r.Fields["signal"] != tt.name || r.Fields["core"] != "" {
				t.Errorf("%v", r.Fields)
			}
			contains(t, r, tt.name+" crashed: "+tt.name, tt.says, "innermost (how=", "dying.c:", "main (argc=", "build ID ", "rip ", "last words", "peak in RAM", "limits: core ")
			if left := c.left(t); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			// The first marker's time names the run.
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
			c := crash(t, s, strings.ReplaceAll(name, " ", "-"), "", nil, append([]string{debug}, args...)...)
			if len(c.reports) != 0 || len(c.left(t)) != 0 {
				t.Errorf("reports %v, left behind %q", c.reports, c.left(t))
			}
		})
	}

	t.Run("threads", func(t *testing.T) {
		r := crash(t, s, "threads", "", nil, debug, "threads:20", "sleep:50", "segv").one(t)
		contains(t, r, "21 threads", "backtrace of the crashing thread", "all threads", "idle (", "innermost (")
		if got := strings.Count(r.Message(), "idle ("); got != 20 {
			t.Errorf("%d idle threads, want 20", got)
		}
	})
	t.Run("deep", func(t *testing.T) {
		c := crash(t, s, "deep", "", nil, debug, "deep")
		contains(t, c.one(t), "SIGSEGV", "#31", "(there are more frames)")
	})
	t.Run("stripped", func(t *testing.T) {
		contains(t, crash(t, s, "stripped", "", nil, program(t, "-s"), "segv").one(t), "SIGSEGV", "SEGV_MAPERR", "#0", "build ID")
	})
	t.Run("static", func(t *testing.T) {
		contains(t, crash(t, s, "static", "", nil, program(t, "-g", "-static"), "abort").one(t), "SIGABRT", "innermost (", "abort ()")
	})
	t.Run("C++", func(t *testing.T) {
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
	t.Run("Go", func(t *testing.T) {
		dir := t.TempDir()
		source := "package main\n\nfunc load(p *int) int { return *p }\n\nfunc main() { println(load(nil)) }\n"
		if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "build", "-o", dir+"/x", dir+"/x.go").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		r := crash(t, s, "golang", "env = { GOTRACEBACK = 'crash' }\n[crash]\ncontext_lines = 1000", nil, dir+"/x").one(t)
		contains(t, r, "SIGABRT", "main.load", "x.go:3", "panic: runtime error: invalid memory address")
	})
	t.Run("another user", func(t *testing.T) {
		r := crash(t, s, "user", "user = 'nobody'\n", nil, debug, "segv").one(t)
		contains(t, r, "user nobody", "innermost (how=", "it was removed")
	})
	t.Run("elsewhere", func(t *testing.T) {
		dir := t.TempDir()
		c := crash(t, s, "elsewhere", "", nil, debug, "chdir:"+dir, "sleep:200", "segv")
		contains(t, c.one(t), "innermost (", "core-elsewhere-")
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	})
	t.Run("a child at the end", func(t *testing.T) {
		c := crash(t, s, "child", "", nil, "sh", "-c", debug+" segv; exit 5")
		r := c.one(t)
		if c.exit != 5 || r.Fields["kind"] != "core" || r.Fields["signal"] != "SIGSEGV" || r.Fields["exit_code"] != "" {
			t.Errorf("exit status %d, %v", c.exit, r.Fields)
		}
		contains(t, r, "started by child, crashed: SIGSEGV", "innermost (")
	})
	t.Run("a child meanwhile", func(t *testing.T) {
		c := crash(t, s, "meanwhile", "", nil, debug, "fork", "segv")
		r := c.one(t)
		status := s.Stream("logs:app:meanwhile:status")
		if end := status[len(status)-1]; c.exit != 5 || r.Fields["kind"] != "core" || r.ID >= end.ID {
			t.Errorf("exit status %d, %v, reported at %s, ended at %s", c.exit, r.Fields, r.ID, end.ID)
		}
		contains(t, r, "started by meanwhile, crashed: SIGSEGV", "innermost (")
	})
	t.Run("a stranger's core of the same name", func(t *testing.T) {
		dir := t.TempDir()
		go func() {
			// Of each of these cores the watch finds out that it is a stranger's.
			for range 8 {
				time.Sleep(400 * time.Millisecond)
				stranger := exec.Command(debug, "abort")
				stranger.Dir = dir
				stranger.Run()
			}
		}()
		c := crash(t, s, "stranger", fmt.Sprintf("dir = %q", dir), nil, debug, "sleep:5000", "segv")
		contains(t, c.one(t), "stranger crashed: SIGSEGV", "innermost (how=")
	})
	t.Run("parent and child", func(t *testing.T) {
		c := crash(t, s, "both", "", nil, "sh", "-c", debug+" segv; kill -ABRT $$")
		kinds := map[string]string{}
		for _, r := range c.reports {
			kinds[r.Fields["kind"]] = r.Fields["signal"]
		}
		// Both cores have the same name, and the second is written over the
		// first if that has not been found yet.
		if kinds["signal"] != "SIGABRT" || len(c.reports) > 2 {
			t.Errorf("%v", kinds)
		}
	})
	t.Run("keep", func(t *testing.T) {
		c := crash(t, s, "keep", "[crash]\nkeep_core = true", nil, debug, "segv")
		r := c.one(t)
		if left := c.left(t); len(left) != 1 || r.Fields["core"] != left[0] {
			t.Errorf("the field says %q, and there is %q", r.Fields["core"], left)
		}
		contains(t, r, "to open it: gdb "+debug+" "+r.Fields["core"])
	})
	t.Run("no core wanted", func(t *testing.T) {
		r := crash(t, s, "unwanted", "[crash]\ncore = false", nil, debug, "nocore", "segv").one(t)
		contains(t, r, "SIGSEGV", "none: no core is looked for because crash.core = false")
	})
	t.Run("no core from the app", func(t *testing.T) {
		r := crash(t, s, "own-limit", "", nil, debug, "nocore", "sleep:200", "segv").one(t)
		contains(t, r, "none: there is no core because the app has its own limit")
	})
	t.Run("backtrace off", func(t *testing.T) {
		c := crash(t, s, "off", "[crash]\nbacktrace = 'off'", nil, debug, "segv")
		contains(t, c.one(t), "none: crash.backtrace is off", "SEGV_MAPERR")
		if left := c.left(t); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("no gdb", func(t *testing.T) {
		r := crash(t, s, "no-gdb", "[crash]\nbacktrace = 'gdb'", []string{"PATH=" + t.TempDir()}, debug, "segv").one(t)
		contains(t, r, "none: gdb is not on PATH", "SEGV_MAPERR", "build ID")
	})
	t.Run("gdb hangs", func(t *testing.T) {
		bin := t.TempDir()
		fake := "#!/bin/sh\nsleep 1000 & sleep 1000\n"
		if err := os.WriteFile(filepath.Join(bin, "gdb"), []byte(fake), 0o755); err != nil {
			t.Fatal(err)
		}
		c := crash(t, s, "gdb-hangs", "[crash]\nbacktrace = 'gdb'\ntimeout = '1s'", []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, debug, "segv")
		contains(t, c.one(t), "none: gdb was ended: it took too long", "SEGV_MAPERR")
		if c.took > 15*time.Second {
			t.Errorf("it took %v", c.took)
		}
	})
	t.Run("gdb babbles", func(t *testing.T) {
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "gdb"), []byte("#!/bin/sh\necho @@wrapp:backtrace; echo '#0 here'; exec yes a long line of nonsense\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := crash(t, s, "gdb-babbles", "", []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, debug, "segv").one(t)
		if n := len(r.Message()); n > 256<<10 || n < 200<<10 {
			t.Errorf("%d bytes", n)
		}
		contains(t, r, "#0 here", "bytes left out here", "limits: core", "it wrote more than")
	})
	t.Run("gdb hangs and wrapp is stopped", func(t *testing.T) {
		bin, dir := t.TempDir(), t.TempDir()
		hung := filepath.Join(bin, "hung")
		if err := os.WriteFile(filepath.Join(bin, "gdb"), []byte("#!/bin/sh\n: >"+hung+"\nsleep 1000\n"), 0o755); err != nil {
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
		if got := code(t, cmd.Wait()); got != 139 || time.Since(began) > 20*time.Second {
			t.Errorf("exit status %d after %v", got, time.Since(began))
		}
		contains(t, crashed{reports: s.Stream("logs:app:hurry:crash")}.one(t), "none: gdb was ended", "SEGV_MAPERR")
	})
	t.Run("while stopping", func(t *testing.T) {
		dir := t.TempDir()
		cmd := wrapp(t, "--redis", s.URL(), "--name", "stopping", "--dir", dir, "--", "sh", "-c", "trap 'kill -SEGV $$' TERM; echo ready; while :; do sleep 0.01; done")
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
		locked := redistest.Start(t, "--requirepass", "s3same-open")
		file := filepath.Join(t.TempDir(), "pw")
		if err := os.WriteFile(file, []byte("s3same-open\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		config := filepath.Join(t.TempDir(), "wrapp.toml")
		text := fmt.Sprintf("[redis]\nport = %d\nhost = '127.0.0.1'\npassword_file = %q\n[app]\nexecutable = %q\nargs = ['what:s3same-open', 'say:token is tok-123456', 'segv']\nstream_name = 'secrets'\ndir = %q\nenv = {API_TOKEN = 'tok-123456'}\n", locked.Port, file, debug, dir)
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
		if strings.Contains(report, "s3same") || strings.Contains(report, "tok-123456") || strings.Count(report, "[secret]") < 2 || !strings.Contains(report, "token is [secret]") {
			t.Errorf("%s", report)
		}
	})
	t.Run("context", func(t *testing.T) {
		r := crash(t, s, "context", "[crash]\ncontext_lines = 3", nil, "sh", "-c", "seq 1 100; echo oops >&2; exec "+debug+" segv").one(t)
		contains(t, r, "last 3 lines of output ---\n99\n100\noops\n")
	})
	t.Run("stop signal", func(t *testing.T) {
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
		c := crash(t, s, "big", "", nil, debug, "fill:300", "segv")
		contains(t, c.one(t), "innermost (how=", "30")
	})
}

// TestCrashPatterns crashes a program with the core pattern in various forms.
func TestCrashPatterns(t *testing.T) {
	t.Parallel()
	canDump(t)
	s := redistest.Start(t)
	debug := program(t, "-g")
	dir := t.TempDir()
	os.Chmod(dir, 0o777)
	for i, tt := range []struct {
		pattern, usesPID string
		says             string
	}{
		{"core", "1", "innermost ("},
		{"core.%p", "0", "innermost ("},
		{dir + "/core", "0", "innermost ("},
		{dir + "/%e.%E.%p.%P.%t.%s.%u.%g.%d.%h.%i.%I.%c.%f", "0", "innermost ("},
		{dir + "/core.%q.100%%.%Z%p", "1", "innermost ("},
		{"./%e-core", "0", "innermost ("},
		{"/does/not/exist/core.%p", "0", `no core was found in /does/not/exist (kernel.core_pattern is "/does/not/exist/core.%p")`},
		{"|/bin/false %p", "0", "the kernel gives cores to /bin/false (kernel.core_pattern); to have a backtrace here set, on the host, as root: sysctl -w kernel.core_pattern="},
		{"", "0", "kernel.core_pattern is empty"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			corePattern(t, tt.pattern, tt.usesPID)
			c := crash(t, s, fmt.Sprintf("pattern-%d", i), "", nil, debug, "segv")
			contains(t, c.one(t), "SIGSEGV", tt.says)
			files, _ := os.ReadDir(dir)
			if left := c.left(t); len(left)+len(files) > 0 {
				t.Errorf("left behind: %q, %v", left, files)
			}
		})
	}
	t.Run("not ours", func(t *testing.T) {
		// What others leave where cores go is looked at and left alone.
		corePattern(t, dir+"/core.%p", "0")
		if err := exec.Command(debug, "segv").Run(); err == nil {
			t.Fatal("it did not crash")
		}
		if err := os.WriteFile(filepath.Join(dir, "core.txt"), []byte("notes"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, "core.link")); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadDir(dir)
		contains(t, crash(t, s, "ours", "", nil, debug, "sleep:100", "segv").one(t), "innermost (")
		if after, _ := os.ReadDir(dir); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("there was %v, and now is %v", before, after)
		}
	})
}

// TestCrashHandler has a handler store cores where systemd-coredump does, late.
func TestCrashHandler(t *testing.T) {
	t.Parallel()
	canDump(t)
	const store = "/var/lib/systemd/coredump"
	if files, _ := os.ReadDir(store); len(files) > 0 {
		t.Skip("there are cores in the store already")
	}
	s := redistest.Start(t)
	debug := program(t, "-g")
	handler := filepath.Join(t.TempDir(), "handler")
	script := "#!/bin/sh\nsleep 0.3\ncat >" + store + "/core.$1.0.abc.$2.123$3\n"
	if err := os.WriteFile(handler, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(store); err != nil {
		if err := os.MkdirAll(store, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(store) })
	}
	t.Cleanup(func() {
		files, _ := filepath.Glob(store + "/core.dying*.0.abc.*")
		for _, f := range files {
			os.Remove(f)
		}
	})

	corePattern(t, "|"+handler+" %e %P", "0")
	c := crash(t, s, "stored", "", nil, debug, "segv")
	r := c.one(t)
	files, _ := os.ReadDir(store)
	if len(files) == 0 {
		t.Skip("the kernel runs handlers elsewhere") // in the first mount namespace
	}
	contains(t, r, "innermost (how=", "to open it: gdb "+debug+" "+store)
	if len(files) != 1 || r.Fields["core"] != filepath.Join(store, files[0].Name()) {
		t.Errorf("%v, and the field says %q", files, r.Fields["core"])
	}
	if err := os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|"+handler+" %e %P .zst\n"), 0); err != nil {
		t.Fatal(err)
	}
	contains(t, crash(t, s, "packed", "", nil, debug, "segv").one(t), "none: the core is in systemd-coredump's store, compressed", "SIGSEGV")
}

// TestDump has a pool that gets no heartbeat dump the app, which goes on or is
// stopped.
func TestDump(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	debug := program(t, "-g")
	for name, settings := range map[string]string{"dump": "dump", "dump-stop": "dump,stop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := fmt.Sprintf("[health]\ninterval = '100ms'\n[health.pools.main]\ninit = 1\ncap = 10\ndepletion_rate = 100\nreplenish_rate = 1\non_depleted = %q", settings)
			c := crash(t, s, name, settings, nil, debug, "threads:3", "sleep:4000", "exit:7")
			r := c.one(t)
			if r.Fields["kind"] != "hang" || c.exit != map[string]int{"dump": 7, "dump-stop": 143}[name] {
				t.Errorf("exit status %d, %v", c.exit, r.Fields)
			}
			contains(t, r, name+" hangs: health pool main is depleted", "idle (", "main (", "4 threads")
		})
	}
}

// TestOutOfMemory has the kernel kill an app for lack of memory.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	debug := program(t, "-g")
	group, limit := "/sys/fs/cgroup/wrapp-test-oom", "memory.max"
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil {
		group, limit = "/sys/fs/cgroup/memory/wrapp-test-oom", "memory.limit_in_bytes"
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Errorf("remove the cgroup: %v", err)
		}
	})
	if err := os.WriteFile(filepath.Join(group, limit), []byte("200000000"), 0); err != nil {
		t.Skipf("limit the memory: %v", err)
	}
	s := redistest.Start(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := wrapp(t)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group, self, "--redis", s.URL(), "--name", "oom", "--", debug, "sleep:100", "fill:1000", "exit:0"}
	out, err := cmd.CombinedOutput()
	if got := code(t, err); got != 137 {
		t.Fatalf("exit status %d: %s", got, out)
	}
	r := crashed{reports: s.Stream("logs:app:oom:crash")}.one(t)
	contains(t, r, "oom was killed: SIGKILL; the kernel killed it for lack of memory", "limit 190.7 MiB")
	if r.Fields["kind"] != "signal" || r.Fields["signal"] != "SIGKILL" {
		t.Errorf("%v", r.Fields)
	}
}
