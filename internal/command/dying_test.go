package command

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// dying is a C program whose arguments say how it ends.
const dying = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
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
// await returns when a FIFO was opened for writing and closed.
static void await(const char *fifo) {
	char byte;
	int fd = open(fifo, O_RDONLY);
	while (read(fd, &byte, 1) > 0);
	close(fd);
}
static sem_t begun;
static void *idle(void *unused) { sem_post(&begun); for (;;) pause(); return unused; }
int main(int argc, char **argv) {
	const char *how = "", *what = 0;
	for (int i = 1; i < argc; i++) {
		char *a = argv[i];
		if (!strncmp(a, "threads:", 8)) {
			pthread_t t;
			sem_init(&begun, 0, 0);
			for (int n = atoi(a + 8); n > 0; n--) { pthread_create(&t, 0, idle, 0); sem_wait(&begun); }
		} else if (!strncmp(a, "sleep:", 6)) usleep(1000 * atoi(a + 6));
		else if (!strncmp(a, "setuid:", 7)) { if (setuid(atoi(a + 7))) perror("setuid"); }
		else if (!strncmp(a, "chdir:", 6)) { if (chdir(a + 6)) perror("chdir"); }
		else if (!strncmp(a, "say:", 4)) { puts(a + 4); fflush(stdout); }
		else if (!strncmp(a, "what:", 5)) what = strdup(a + 5);
		else if (!strncmp(a, "fill:", 5)) { size_t n = (size_t)atoi(a + 5) << 20; memset(malloc(n), 0x5a, n); }
		else if (!strcmp(a, "nocore")) { struct rlimit none = {0, 0}; setrlimit(RLIMIT_CORE, &none); }
		else if (!strncmp(a, "await:", 6)) await(a + 6);
		else if (!strncmp(a, "fork:", 5)) { if (fork()) { wait(0); await(a + 5); puts("still here"); return 5; } }
		else how = a;
	}
	int result = innermost(how, what);
	printf("went on: %d\n", result);
	return result;
}
`

// fifo makes a FIFO for the arguments "await:" and "fork:". proceed waits until the app opens
// it, and lets the app go on.
func fifo(t *testing.T) (path string, proceed func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "go")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		f.Close()
	}
}

// whileAwaiting calls f once the app has opened the FIFO at path, and then lets the app go on. The
// result waits until f has returned.
func whileAwaiting(t *testing.T, path string, f func()) (wait func()) {
	var done sync.WaitGroup
	done.Go(func() {
		app, err := os.OpenFile(path, os.O_WRONLY, 0) // waits until the app opens it; Close lets the app go on
		if err != nil {
			t.Error(err)
			return
		}
		defer app.Close()
		f()
	})
	return done.Wait
}

// program returns dying, compiled with further flags.
func program(t *testing.T, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755) // another user runs it
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

// crashed is one run of an app under wrapp, with its results.
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
	os.Chmod(filepath.Dir(dir), 0o755) // another user works there
	quoted := make([]string, len(app)-1)
	for i, arg := range app[1:] {
		quoted[i] = fmt.Sprintf("%q", arg)
	}
	file := filepath.Join(t.TempDir(), "wrapp.toml")
	text := fmt.Sprintf("[redis]\nurl = %q\n[app]\nexecutable = %q\nargs = [%s]\nstream_name = %q\nstop_timeout = '1m'\n%s\n", s.URL(), app[0], strings.Join(quoted, ", "), name, settings)
	if !strings.Contains(settings, "\ntimeout = ") { // gdb may be late on a busy machine
		if !strings.Contains(text, "[crash]\n") {
			text += "[crash]\n"
		}
		text = strings.Replace(text, "[crash]\n", "[crash]\ntimeout = '5m'\n", 1)
	}
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

// one returns the only report, and checks the fields that every report has.
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

// closings watches a directory. wait returns after a process has closed the file of that name
// that it had only read.
func closings(t *testing.T, dir string) (wait func(name string)) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { events.Close() })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CLOSE_NOWRITE); err != nil {
		t.Fatal(err)
	}
	return func(name string) {
		b := make([]byte, 64<<10)
		if err := events.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Error(err)
		}
		for {
			n, err := events.Read(b)
			if err != nil {
				t.Errorf("%s was not read: %v", name, err)
				return
			}
			for rest := b[:n]; len(rest) > 0; {
				size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
				if string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:size], "\x00")) == name {
					return
				}
				rest = rest[size:]
			}
		}
	}
}
