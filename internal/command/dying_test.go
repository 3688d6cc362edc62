package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

const coreSetting = "/proc/sys/kernel/core_pattern"

// corePattern sets where the kernel puts cores until the end of the test, in
// which nobody else who goes by the same lock changes it; or, if it has to be
// changed, uses it. A process of its own puts it back if this one is killed.
func corePattern(t *testing.T, pattern, usesPID string) {
	t.Helper()
	lock, err := os.OpenFile("/tmp/jettison-core-pattern.lock", os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	const usesPIDSetting = "/proc/sys/kernel/core_uses_pid"
	is := func(file, want string) bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.TrimSuffix(string(text), "\n") == want
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if is(coreSetting, pattern) && is(usesPIDSetting, usesPID) {
		return // others may use it meanwhile
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
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
		else if (!strncmp(a, "setuid:", 7)) { if (setuid(atoi(a + 7))) perror("setuid"); }
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

// program compiles it with further flags.
func program(t *testing.T, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755) // another user is to run it
	file := filepath.Join(dir, "dying")
	if err := os.WriteFile(file+".c", []byte(dying), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-pthread", "-O0", "-fno-omit-frame-pointer", "-o", file, file + ".c"}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v: %s", err, out)
	}
	return file
}

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
