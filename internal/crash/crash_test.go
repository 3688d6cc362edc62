package crash

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
	"github.com/lpportorino/jettison-base-images/internal/process"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A process.Supervisor reaps all children of its process, so each test of a Watch runs it in
// a process of its own: this test binary, in the role that $TEST_ROLE names.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	roles := map[string]func(*watched){"hang": hang, "two hangs": twoHangs, "stopped": stopped, "tracebacks": tracebacks, "signed": signed}
	if role := roles[os.Getenv("TEST_ROLE")]; role != nil {
		os.Unsetenv("TEST_ROLE")
		watch(role, os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// watched is a started app with its Watch.
type watched struct {
	opts Options
	*Watch
	cmd   process.Command
	out   *os.File      // the app's output
	lives time.Duration // the Watch's survivalTime; 0: its default
}

// watch runs f for an app, and prints its reports as JSON.
func watch(f func(*watched), args []string) {
	fail := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	supervisor, err := process.New()
	fail(err)
	defer supervisor.Close()
	r, w, err := os.Pipe()
	fail(err)
	path, err := process.Resolve(args[0], "", os.Getenv("PATH"))
	fail(err)
	dir, err := os.Getwd()
	fail(err)
	reports := json.NewEncoder(os.Stdout)
	f(&watched{
		opts: Options{
			Crash: config.Crash{Core: true, Backtrace: "auto", Timeout: config.Duration(5 * time.Minute), ContextLines: 5},
			Name:  "app", Run: "today",
			MostTracebacks: 100, Supervisor: supervisor,
			Secrets: func() []string { return nil }, Hold: func() {}, Free: func() {},
			Deliver: func(r *Report) { fail(reports.Encode(r)) },
		},
		cmd: process.Command{
			Path: path, Args: args[1:], Dir: dir, Env: os.Environ(), Stdin: os.Stdin, Stdout: w, Stderr: w,
			StopSignal: syscall.SIGTERM, StopTimeout: time.Minute, Core: true,
		},
		out: r,
	})
}

func (w *watched) start() {
	w.Watch = New(w.opts)
	if w.lives > 0 {
		w.survivalTime = w.lives
	}
	began := time.Now()
	app, err := w.opts.Supervisor.Start(w.cmd)
	if err != nil {
		log.Fatal(err)
	}
	w.cmd.Stdout.Close()
	w.Watch.Start(app, w.cmd, began)
}

func (w *watched) finish() {
	<-w.app.Gone()
	w.Finish()
}

// line waits until the app writes a line.
func (w *watched) line(text string) {
	var all []byte
	b := make([]byte, 1)
	for !strings.HasSuffix(string(all), text+"\n") {
		if _, err := w.out.Read(b); err != nil {
			log.Fatalf("%q, and then %v", all, err)
		}
		all = append(all, b...)
		w.Output(0, b)
	}
}

// reports runs an app in a role and returns its reports, and the role's other output.
func reports(t *testing.T, role string, env []string, app ...string) (reports []Report, rest string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, app...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(os.Environ(), env...), "TEST_ROLE="+role)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	for d := json.NewDecoder(&stdout); d.More(); {
		var r Report
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if _, err := hex.DecodeString(r.Signature.ID); err != nil || len(r.Signature.ID) != 12 {
			t.Errorf("the signature %q of %s", r.Signature.ID, r.Message)
		}
		reports = append(reports, r)
	}
	return reports, stderr.String()
}

// hang dumps the app twice, lets it run on, and tries a dump after its end.
func hang(w *watched) {
	w.start()
	w.line("ready")
	for range 2 {
		if err := w.Dump("it does not answer"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	w.app.Forward(syscall.SIGUSR1)
	w.line("alive")
	w.app.Stop()
	w.finish()
	fmt.Fprintln(os.Stderr, w.Dump("again"))
	w.hung = time.Time{}
	fmt.Fprintln(os.Stderr, w.Dump("again"))
}

const sleeper = `
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static sem_t begun;
static void alive(int s) { write(1, "alive\n", 6); }
static void *waits_for_ever(void *say) {
	if (say) write(1, say, 6);
	sem_post(&begun);
	for (;;) pause();
}
int main(void) {
	pthread_t t;
	signal(SIGUSR1, alive);
	sem_init(&begun, 0, 0);
	for (int i = 0; i < 3; i++) { pthread_create(&t, 0, waits_for_ever, 0); sem_wait(&begun); }
	waits_for_ever("ready\n");
}
`

func compile(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "app")
	if err := os.WriteFile(file+".c", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-g", "-pthread", "-w", "-o", file, file+".c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

func TestHang(t *testing.T) {
	t.Parallel()
	coretest.CanTrace(t)
	app := compile(t, sleeper)
	got, rest := reports(t, "hang", nil, app)
	if len(got) != 1 {
		t.Fatalf("%d reports: %v; %s", len(got), got, rest)
	}
	r := got[0]
	if r.Kind != Hang || r.ExitCode != -1 || r.Signal != 0 || r.PID == 0 || !strings.HasPrefix(r.Signature.Top, "waits_for_ever at ") {
		t.Errorf("%+v", r)
	}
	if strings.Count(r.Message, "waits_for_ever (") != 4 {
		t.Errorf("gdb does not show the places of four threads:\n%s", r.Message)
	}
	for _, text := range []string{"app hangs: it does not answer", "4 threads", "app.c:", " app: ", "ready"} {
		if !strings.Contains(r.Message, text) {
			t.Errorf("%q is not in\n%s", text, r.Message)
		}
	}
	const tooSoon = "the last dump was less than a minute ago\n"
	if want := tooSoon + tooSoon + "the app has ended\n"; rest != want {
		t.Errorf("%q, want %q", rest, want)
	}
}

// twoHangs has two pools depleted at once, which both want a dump and then a stop.
func twoHangs(w *watched) {
	w.start()
	w.line("ready")
	w.Hang("one pool is depleted", w.app.Stop)
	w.Hang("another pool is depleted", w.app.Stop)
	w.finish()
}

// TestTwoHangs: the stop for the pool that gets no dump waits for the other's.
func TestTwoHangs(t *testing.T) {
	t.Parallel()
	coretest.CanTrace(t)
	got, rest := reports(t, "two hangs", nil, compile(t, sleeper))
	if len(got) != 1 || got[0].Kind != Hang || strings.Count(got[0].Message, "waits_for_ever (") != 4 {
		t.Errorf("%v; %s", got, rest)
	}
}

// TestHangOfManyThreads dumps an app whose threads are more than gdb may write: the report has
// the main thread, the signature that few threads give, and why it is not complete.
func TestHangOfManyThreads(t *testing.T) {
	t.Parallel()
	coretest.CanTrace(t)
	source := strings.ReplaceAll(`
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static sem_t begun;
static void alive(int s) { write(1, "alive\n", 6); }
static void *NAME(void *depth) {
	if (depth) return NAME(depth - 1) + 1;
	sem_post(&begun);
	for (;;) pause();
}
static void main_waits(void) {
	write(1, "ready\n", 6);
	for (;;) pause();
}
int main(int n, char **args) {
	pthread_t t;
	signal(SIGUSR1, alive);
	sem_init(&begun, 0, 0);
	for (int i = atoi(args[1]); i > 0; i--) { pthread_create(&t, 0, NAME, (void *)40); sem_wait(&begun); }
	main_waits();
}
`, "NAME", strings.Repeat("long", 100))
	app := compile(t, source)
	few, rest := reports(t, "hang", nil, app, "2")
	many, restOfMany := reports(t, "hang", nil, app, "100")
	if len(few) != 1 || len(many) != 1 {
		t.Fatalf("%v, %s; %v, %s", few, rest, many, restOfMany)
	}
	if few[0].Signature != many[0].Signature || !strings.HasPrefix(many[0].Signature.Top, "main_waits at ") {
		t.Errorf("few threads: %v; many threads: %v", few[0].Signature, many[0].Signature)
	}
	for text, want := range map[string]bool{"\nThread 1 ": true, "by gdb, below, incomplete: gdb was ended: " + gdbTooMuch: true, "\nThread 100 ": false} {
		if strings.Contains(many[0].Message, text) != want {
			t.Errorf("%q is in the report: %v\n%.2000s", text, !want, many[0].Message)
		}
	}
	if strings.Contains(few[0].Message, "incomplete") {
		t.Errorf("few threads:\n%.2000s", few[0].Message)
	}
}

func TestHangWithoutGDB(t *testing.T) {
	t.Parallel()
	got, rest := reports(t, "hang", []string{"PATH=" + t.TempDir()}, compile(t, sleeper))
	if len(got) != 1 || got[0].Kind != Hang || !strings.Contains(got[0].Message, "none: gdb is not on PATH") || strings.Count(got[0].Message, " app: ") != 4 {
		t.Errorf("%v; %s", got, rest)
	}
}

// TestThreadStates wants the main thread, whose number is the process's, before all others.
func TestThreadStates(t *testing.T) {
	t.Parallel()
	proc := filepath.Join(t.TempDir(), "999")
	for n := 990; n < 990+maxStates+5; n++ {
		if err := os.MkdirAll(filepath.Join(proc, "task", strconv.Itoa(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// What proc(5) says of a thread that is blocked, but not in a system call.
	if err := os.WriteFile(filepath.Join(proc, "task/999/syscall"), []byte("-1 0x7ffe 0x7fff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := strings.Split(threadStates(proc), "\n")
	var begins []string
	for _, line := range list[:min(3, len(list))] {
		number, _, _ := strings.Cut(line, " ")
		begins = append(begins, number)
	}
	if want := []string{"999", "990", "991"}; !slices.Equal(begins, want) {
		t.Errorf("it begins with %q, want %q", begins, want)
	}
	if strings.Contains(list[0], "system call") {
		t.Errorf("%q is in no system call", list[0])
	}
	if len(list) != maxStates+2 || list[maxStates] != "… and 5 more" {
		t.Errorf("%d lines, the last but one %q", len(list), list[len(list)-2])
	}
}

// TestHangOfTraced dumps an app that a debugger is attached to already.
func TestHangOfTraced(t *testing.T) {
	t.Parallel()
	source := "#include <sys/prctl.h>\n#include <sys/ptrace.h>\n#include <sys/wait.h>\n" + strings.Replace(sleeper, "int main(void) {", `int main(void) {
	int to[2];
	char byte;
	pipe(to);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (!fork()) {
		if (ptrace(PTRACE_SEIZE, getppid(), 0, 0)) return 1;
		write(to[1], "x", 1);
		for (int s; waitpid(getppid(), &s, 0) > 0 && WIFSTOPPED(s);) ptrace(PTRACE_CONT, getppid(), 0, WSTOPSIG(s));
		return 0;
	}
	read(to[0], &byte, 1);
`, 1)
	got, rest := reports(t, "hang", nil, compile(t, source))
	if len(got) != 1 || !strings.Contains(got[0].Message, "none: a debugger is attached already") {
		t.Errorf("%v; %s", got, rest)
	}
}

// TestHangingGDB has gdb itself hang while it holds the app: the app runs on all the same.
func TestHangingGDB(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fake := "#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\nkill -STOP $1\nexit 1\n"
	if err := redistest.WriteProgram(filepath.Join(dir, "gdb"), []byte(fake)); err != nil {
		t.Fatal(err)
	}
	got, rest := reports(t, "hang", []string{"PATH=" + dir}, compile(t, sleeper))
	if len(got) != 1 || got[0].Kind != Hang || !strings.Contains(got[0].Message, "none: gdb: exit status 1") {
		t.Errorf("%v; %s", got, rest)
	}
}

// stopped stops the app while gdb holds it.
func stopped(w *watched) {
	w.cmd.StopTimeout = 2 * time.Minute
	var holders atomic.Int64
	w.opts.Hold = func() { holders.Add(1) }
	w.opts.Free = func() { holders.Add(-1) }
	w.start()
	w.line("ready")
	if err := syscall.Mkfifo("held", 0o600); err != nil {
		log.Fatal(err)
	}
	dumped := make(chan error)
	go func() { dumped <- w.Dump("it does not answer") }()
	if _, err := os.ReadFile("held"); err != nil { // waits for gdb to write it
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, holders.Load())
	w.app.Stop()
	fmt.Fprintln(os.Stderr, <-dumped, holders.Load())
	w.finish()
	fmt.Fprintln(os.Stderr, w.app.Status())
}

// TestStopWhileHeld stops an app that gdb holds for ever: the app gets its stop signal, not
// SIGKILL in the end. Hold and Free are called.
func TestStopWhileHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gdb := "#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\nkill -STOP $1\n: >/proc/$1/cwd/held\nsleep 1000\n"
	if err := redistest.WriteProgram(filepath.Join(dir, "gdb"), []byte(gdb)); err != nil {
		t.Fatal(err)
	}
	got, rest := reports(t, "stopped", []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, compile(t, sleeper))
	if len(got) != 1 || got[0].Kind != Hang || !strings.Contains(got[0].Message, "none: gdb was ended") {
		t.Errorf("%v", got)
	}
	if want := "1\n<nil> 0\nkilled by SIGTERM\n"; rest != want {
		t.Errorf("%q, want %q", rest, want)
	}
}

// tracebacks calls Traceback for each "traceback" that the app writes. If the app has made a
// FIFO, tracebacks reports each delivery to the app; an app without one survives no traceback,
// however late it ends.
func tracebacks(w *watched) {
	deliver := w.opts.Deliver
	w.opts.Deliver = func(r *Report) {
		deliver(r)
		if f, err := os.OpenFile("reported", os.O_WRONLY, 0); err == nil {
			f.Close()
		}
	}
	if !slices.ContainsFunc(w.cmd.Args, func(arg string) bool { return strings.Contains(arg, "mkfifo") }) {
		w.lives = time.Hour
	}
	w.start()
	n := 0
	for scanner := bufio.NewScanner(w.out); scanner.Scan(); {
		if text, ok := strings.CutPrefix(scanner.Text(), "traceback "); ok {
			n++
			w.Traceback(traceback.Report{Language: "Python", Title: fmt.Sprint("number ", n), Text: "Traceback:\n" + text + "\n", Begin: time.Now()})
		}
	}
	w.finish()
}

func TestTracebacks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		script string
		want   string // kind, signal, exit code, title
	}{
		{"exit 3", ""},
		{"echo traceback x; exit 3", "traceback 0 3 ended with exit status 3 after a traceback: Python: number 1"},
		{"echo traceback x; exit 0", "traceback 0 -1 wrote a traceback and went on: Python: number 1"},
		{"echo traceback KeyboardInterrupt; exit 130", ""},
		{"echo traceback x; kill -TERM $$", "traceback 0 -1 wrote a traceback and went on: Python: number 1"},
		{"ulimit -c 0; echo traceback x; kill -ABRT $$", "signal 6 134 crashed: SIGABRT (aborted) after Python: number 1"},
		{"mkfifo reported; echo traceback x; read line <reported; exit 3", "traceback 0 -1 wrote a traceback and went on: Python: number 1"},
		{"echo traceback x; echo traceback y; exit 3", "traceback 0 3 ended with exit status 3 after a traceback: Python: number 2 | traceback 0 -1 wrote a traceback and went on: Python: number 1"},
	} {
		t.Run(tt.script, func(t *testing.T) {
			t.Parallel()
			got, rest := reports(t, "tracebacks", nil, "sh", "-c", tt.script)
			var lines []string
			for _, r := range got {
				title, _, _ := strings.Cut(r.Message, "\n")
				lines = append(lines, fmt.Sprintf("%s %d %d %s", r.Kind, r.Signal, r.ExitCode, strings.TrimPrefix(title, "app ")))
				if !strings.Contains(r.Message, "--- traceback in the output ---\nTraceback:\n") {
					t.Errorf("%s", r.Message)
				}
			}
			if text := strings.Join(lines, " | "); text != tt.want || rest != "" {
				t.Errorf("got %q, want %q; %s", text, tt.want, rest)
			}
		})
	}
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	t.Cleanup(coretest.Set(t, "core", "0"))
	app := compile(t, "int main(void) { *(volatile int *)0 = 1; }")
	got, rest := reports(t, "signed", []string{"TEST_BACKTRACE=auto", "PATH=" + t.TempDir()}, app)
	if len(got) != 1 || !strings.Contains(got[0].Message, "by wrapp, below") || !strings.Contains(got[0].Message, "--- backtrace ---\nThread "+strconv.Itoa(got[0].PID)+", which crashed:\n#0 ") ||
		!strings.Contains(got[0].Message, " in main+0x") || !strings.Contains(got[0].Message, app+".c:1 ("+app+")\n") {
		t.Errorf("%v; %s", got, rest)
	}
}

// TestReplacedFiles crashes apps that have replaced a library or their own file: another function
// is now where they died, and the report does not have its name, but the build ID of what ran.
func TestReplacedFiles(t *testing.T) {
	t.Parallel()
	t.Cleanup(coretest.Set(t, "core", "0"))
	dir := t.TempDir()
	make := func(name, source string, flags ...string) string {
		file := filepath.Join(dir, name)
		cmd := exec.Command("gcc", append([]string{"-g", "-w", "-o", file, "-xc", "-", "-xnone"}, flags...)...)
		cmd.Stdin = strings.NewReader(source)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return file
	}
	const dies = "void dies(void) { *(volatile int *)0 = 1; }\n"
	const later = "void later(int n) { volatile int x = n; while (x) x += x * x - 3 * x * x * x; }\n"
	const main = "int main(int n, char **a) { rename(a[1], a[2]); dies(); }\n"
	library := make("libdies.so", dies, "-shared", "-fPIC")
	app := make("app", main, library)
	alone := make("alone", dies+main)
	for _, row := range []struct{ by, app, from, to string }{
		{"auto", app, make("new.so", later+dies, "-shared", "-fPIC"), library},
		{"gdb", alone, make("new", later+dies+main), alone},
	} {
		build := shortBuild(buildID(row.app))
		got, rest := reports(t, "signed", []string{"TEST_BACKTRACE=" + row.by}, row.app, row.from, row.to)
		if len(got) != 1 || build == "" || got[0].Build != build || strings.Contains(got[0].Message, "later") {
			t.Fatalf("want build %q: %v; %s", build, got, rest)
		}
		for _, text := range []string{
			"by wrapp, below", row.to + " (deleted)+0x", "gdb was not used", "the file " + row.to + " is not the one that ran", ", build ID " + build,
		} {
			if !strings.Contains(got[0].Message, text) {
				t.Errorf("%q is not in\n%s", text, got[0].Message)
			}
		}
	}
}

// TestManyThreads crashes an app with 3001 threads: the report counts them all.
func TestManyThreads(t *testing.T) {
	t.Parallel()
	t.Cleanup(coretest.Set(t, "core", "0"))
	app := compile(t, `
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
static sem_t begun;
static void *idle(void *unused) { sem_post(&begun); for (;;) pause(); }
int main(void) {
	pthread_t t;
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 16384);
	sem_init(&begun, 0, 0);
	for (int i = 0; i < 3000; i++) if (pthread_create(&t, &a, idle, 0) == 0) sem_wait(&begun);
	*(volatile int *)0 = 1;
}
`)
	got, rest := reports(t, "signed", []string{"TEST_BACKTRACE=off"}, app)
	if len(got) != 1 || !strings.Contains(got[0].Message, ", 3001 threads\n") {
		t.Errorf("%.500v; %s", got, rest)
	}
}
