package command

import (
	"context"
	"debug/elf"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// target is an app to debug. Its first argument says how it ends: "wait" ends with 9 on
// SIGTERM, and with 5 when the file of its second argument exists. It writes a line after
// several calls of tick.
const target = `
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int counter;

void stopped(int sig) { (void)sig; _exit(9); }

void tick(int i) { counter = i; }

int main(int argc, char **argv) {
	puts("in main");
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "abort")) abort();
	if (argc > 1 && !strcmp(argv[1], "segv")) *(volatile int *)8 = 1;
	if (argc > 1 && !strcmp(argv[1], "wait")) {
		signal(SIGTERM, stopped);
		for (int i = 0; access(argv[2], F_OK); i++) {
			tick(i);
			if (i == 5) {
				puts("has ticked");
				fflush(stdout);
			}
			usleep(10000);
		}
		return 5;
	}
	return 7;
}
`

// compiled returns the target, compiled with further flags, once for all tests.
func compiled(t *testing.T, flags ...string) string {
	t.Helper()
	key := strings.Join(flags, " ")
	build, _ := targets.LoadOrStore(key, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp(shared, "")
		if err != nil {
			return "", err
		}
		source, file := filepath.Join(dir, "target.c"), filepath.Join(dir, "target")
		if err := os.WriteFile(source, []byte(target), 0o644); err != nil {
			return "", err
		}
		out, err := exec.Command("gcc", append(flags, "-g", "-O0", "-o", file, source)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("gcc (make test installs it): %w: %s", err, out)
		}
		return file, err
	}))
	file, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// targets has the builds of the target, by their flags.
var targets sync.Map

// A debugged run is a wrapp that was started with --debug.
type debugged struct {
	t      *testing.T
	redis  *redistest.Server
	name   string
	port   string
	cmd    *exec.Cmd
	stderr string     // a file
	app    string     // pid
	ended  chan error // result of Wait
}

// debugRun starts a command under wrapp --debug on a free port. args are flags
// for wrapp, -- and the command; env is added to wrapp's.
func debugRun(t *testing.T, s *redistest.Server, env []string, args ...string) *debugged {
	t.Helper()
	d := &debugged{t: t, redis: s, name: strings.ReplaceAll(t.Name(), "/", "-"), port: freePort(t), stderr: filepath.Join(t.TempDir(), "stderr")}
	d.cmd = wrapp(t, append([]string{"--redis", s.URL(), "--name", d.name, "--debug=127.0.0.1:" + d.port}, args...)...)
	d.cmd.Env = append(d.cmd.Env, env...)
	d.start()
	return d
}

// start starts wrapp, which does not outlive the test.
func (d *debugged) start() {
	t := d.t
	t.Helper()
	stderr, err := os.Create(d.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	d.cmd.Stderr = stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.ended = make(chan error, 1)
	over := make(chan struct{})
	go func() {
		d.ended <- d.cmd.Wait()
		close(over)
	}()
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		<-over
		if t.Failed() {
			t.Logf("wrapp said:\n%s", d.said())
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(redistest.FreePort(t))
}

func (d *debugged) said() string {
	text, err := os.ReadFile(d.stderr)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

var letsRun = regexp.MustCompile(`kill -CONT (\d+) lets it run`)

// paused waits until a debugger can connect. It skips the test where none can attach to the app.
func (d *debugged) paused() *debugged {
	d.t.Helper()
	coretest.CanTrace(d.t)
	eventually(d.t, "wrapp says how to connect", func() bool {
		if m := letsRun.FindStringSubmatch(d.said()); m != nil {
			d.app = m[1]
		}
		return d.app != ""
	})
	return d
}

// state returns the app's state in /proc, "" if it is gone.
func (d *debugged) state() string {
	text, _ := os.ReadFile("/proc/" + d.app + "/stat")
	_, after, _ := strings.Cut(string(text), ") ")
	if after == "" {
		return ""
	}
	return after[:1]
}

// eventuallyState waits until the app is in one of these states.
func (d *debugged) eventuallyState(states string) {
	d.t.Helper()
	eventually(d.t, "the app is in state "+states, func() bool {
		s := d.state()
		return s != "" && strings.Contains(states, s)
	})
}

// hold is a command at which gdb stays; atPrompt waits until gdb executes it.
const hold = "shell exec sleep 600"

// prompt returns the name of the file that gdb makes when it executes hold.
func (d *debugged) prompt() string { return d.stderr + ".prompt" }

// gdbPatience makes gdb wait for an answer: by default it gives up after 2 s.
const gdbPatience = "set remotetimeout 300"

// gdb returns a gdb that connects and executes commands.
func (d *debugged) gdb(file string, commands ...string) *exec.Cmd {
	args := []string{"-nx", "-q", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off", "-iex", "set sysroot /", "-iex", "set width 0", "-iex", gdbPatience}
	for _, c := range append([]string{"target remote 127.0.0.1:" + d.port}, commands...) {
		if c == hold {
			c = "shell : >'" + d.prompt() + "'; " + strings.TrimPrefix(hold, "shell ")
		}
		args = append(args, "-ex", c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "gdb", append(args, file)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// debug runs such a gdb to its end and returns what it wrote.
func (d *debugged) debug(file string, commands ...string) string {
	d.t.Helper()
	out, err := d.gdb(file, commands...).CombinedOutput()
	if err != nil {
		d.t.Logf("gdb: %v", err)
	}
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("gdb said:\n%s", out)
		}
	})
	return string(out)
}

// term sends SIGTERM to wrapp.
func (d *debugged) term() {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
}

// ends waits for wrapp to end, and checks its exit status and that no process is left.
func (d *debugged) ends(want int) {
	d.t.Helper()
	select {
	case err := <-d.ended:
		if got := code(d.t, err); got != want {
			d.t.Errorf("exit status %d, want %d", got, want)
		}
	case <-time.After(2 * time.Minute):
		d.t.Fatal("wrapp does not end")
	}
	if d.app == "" {
		return
	}
	if s := d.state(); s != "" {
		d.t.Errorf("the app is still there, in state %s", s)
	}
	for _, command := range commandLines(d.t) {
		if strings.Contains(command, "gdbserver") && strings.HasSuffix(command, " "+d.app) {
			d.t.Errorf("still there: %s", command)
		}
	}
}

// commandLines returns those of all processes.
func commandLines(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f)
		lines = append(lines, strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " ")))
	}
	return lines
}

func saysAll(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(text) {
			t.Errorf("no %s in:\n%s", p, text)
		}
	}
}

func saysNone(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if regexp.MustCompile("(?m)" + p).MatchString(text) {
			t.Errorf("%s in:\n%s", p, text)
		}
	}
}

// atTheFirst checks, in gdb's output of "info auxv" and "print/x $pc", that the program is at
// its first instruction: the loader's, if it has one. It compares addresses, because the
// loader's symbols are in a package of their own.
func atTheFirst(t *testing.T, program, said string) {
	t.Helper()
	number := func(pattern string) uint64 {
		m := regexp.MustCompile("(?m)" + pattern + `(0x[0-9a-f]+)$`).FindStringSubmatch(said)
		if m == nil {
			t.Fatalf("no %s in:\n%s", pattern, said)
		}
		n, err := strconv.ParseUint(m[1], 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := number(`^9 +AT_ENTRY .* `)
	if interp := file.Section(".interp"); interp != nil {
		name, err := interp.Data()
		if err != nil {
			t.Fatal(err)
		}
		loader, err := elf.Open(strings.TrimRight(string(name), "\x00"))
		if err != nil {
			t.Fatal(err)
		}
		defer loader.Close()
		want = number(`^7 +AT_BASE .* `) + loader.Entry
	}
	if at := number(`^\$\d+ = `); at != want {
		t.Errorf("paused at %#x, not at %#x, the first instruction:\n%s", at, want, said)
	}
}

// TestDebugFresh connects to apps that have not run an instruction.
func TestDebugFresh(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	goApp := filepath.Join(t.TempDir(), "goapp")
	source := goApp + ".go"
	if err := os.WriteFile(source, []byte("package main\n\nimport \"os\"\n\nfunc main() {\n\tprintln(\"in main\")\n\tos.Exit(3)\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", goApp, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	python, err := exec.Command("python3", "-c", "import sys, os; print(os.path.realpath(sys.executable), end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	c, static := compiled(t), compiled(t, "-static")
	for _, row := range []struct {
		name     string
		command  []string
		commands []string
		shows    []string
		exit     int
	}{
		{"c", []string{c}, []string{"break main", "continue", "backtrace"}, []string{`^Breakpoint 1, main`, `^#0 .* main \(argc=1`}, 7},
		{"static", []string{static}, []string{"break main", "continue"}, []string{`^Breakpoint 1, main`}, 7},
		{"abort", []string{c, "abort"}, []string{"continue"}, []string{`^Program received signal SIGABRT`}, 128 + 6},
		{"segv", []string{c, "segv"}, []string{"continue", "print $_siginfo._sifields._sigfault.si_addr"}, []string{`^Program received signal SIGSEGV`, `= \(void \*\) 0x8`}, 128 + 11},
		{"go", []string{goApp}, []string{"break main.main", "continue", "info threads"}, []string{`Breakpoint 1, main.main`}, 3},
		{"python", []string{string(python), "-c", "print('in main'); import sys; sys.exit(4)"}, nil, nil, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := debugRun(t, s, nil, append([]string{"--"}, row.command...)...).paused()
			if s := d.state(); s != "T" {
				t.Errorf("the app is in state %s", s)
			}
			commands := append([]string{"info auxv", "print/x $pc", "info signals SIGTRAP"}, row.commands...)
			out := d.debug(row.command[0], append(commands, "continue")...)
			atTheFirst(t, row.command[0], out)
			saysAll(t, out, row.shows...)
			if row.exit < 128 {
				saysAll(t, out, fmt.Sprintf(`exited with code 0?%d\]`, row.exit))
				saysNone(t, out, `received signal`) // no signal of wrapp's
			}
			d.ends(row.exit)
			lines := output(t, s, d.name)
			if len(lines) == 0 || lines[0] != "in main" {
				t.Errorf("the app's output is %q", lines)
			}
		})
	}
}

// TestDebugSays checks the entries on :status, and the output of ss.
func TestDebugSays(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := debugRun(t, s, nil, "--", compiled(t)).paused()
	listening := func() string {
		out, err := exec.Command("ss", "-Hltn").Output()
		if err != nil {
			t.Fatalf("ss (make test installs it): %v", err)
		}
		var addresses []string
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[3], ":"+d.port) {
				addresses = append(addresses, f[3])
			}
		}
		return strings.Join(addresses, " ")
	}
	if got, want := listening(), "127.0.0.1:"+d.port; got != want {
		t.Errorf("listening on %s, want %s", got, want)
	}
	held := d.gdb("/bin/true", hold)
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "gdb is connected", func() bool { return strings.Contains(d.said(), "debugger connected from 127.0.0.1") })
	d.eventuallyState("t")
	if got, want := listening(), "127.0.0.1:"+d.port; got != want {
		t.Errorf("with a client listening on %s, want %s", got, want)
	}
	second := d.debug("/bin/true")
	saysAll(t, second, `(?i)remote (connection closed|communication error)|connection reset`)
	eventually(t, "it is told", func() bool {
		return regexp.MustCompile(`a second debugger, 127\.0\.0\.1:\d+, is turned away`).MatchString(d.said())
	})
	killGroupOf(t, held)
	d.ends(7)
	var status []string
	for _, e := range s.Stream("logs:app:" + d.name + ":status") {
		status = append(status, e.Message())
	}
	for _, text := range []string{strings.Join(status, "\n"), d.said()} {
		saysAll(t, text, `paused before its first instruction; a debugger can connect to 127\.0\.0\.1:`+d.port,
			`gdb: gdb /.*/target -ex 'target remote 127\.0\.0\.1:`+d.port+`'`, `CLion: .*'target remote'.* 127\.0\.0\.1:`+d.port,
			`ssh -N -L `+d.port+`:127\.0\.0\.1:`+d.port, `kill -CONT \d+`, `debugger disconnected`)
		saysNone(t, text, `loopback`)
	}
}

// killGroupOf ends a gdb and the processes that it has started.
func killGroupOf(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	cmd.Wait()
}

// TestDebugAddress: wrapp listens on the configured address, and warns if others reach it.
func TestDebugAddress(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, host := range []string{"0.0.0.0", "::", "::1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			if host[0] == ':' {
				l, err := net.Listen("tcp6", "[::1]:0")
				if err != nil {
					t.Skip("no IPv6 here")
				}
				l.Close()
			}
			d := debugRun(t, s, nil, "--debug="+net.JoinHostPort(host, freePort(t)), "--", "true").paused()
			out, err := exec.Command("ss", "-Hltnp").Output()
			if err != nil {
				t.Fatal(err)
			}
			var addresses []string
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, fmt.Sprintf("pid=%d,", d.cmd.Process.Pid)) {
					addresses = append(addresses, strings.Fields(line)[3])
				}
			}
			want := map[string]string{"0.0.0.0": "0.0.0.0:", "::": "[::]:", "::1": "[::1]:", "localhost": "127.0.0.1:"}[host]
			if len(addresses) != 1 || !strings.HasPrefix(addresses[0], want) {
				t.Errorf("listening on %q, want %s", addresses, want)
			}
			warning := `^wrapp: warning: debug.host is not the loopback address: .* without a password; .*ssh -N -L`
			if strings.HasSuffix(host, "1") || host == "localhost" {
				saysNone(t, d.said(), warning)
			} else {
				saysAll(t, d.said(), warning)
			}
			d.term()
			d.ends(128 + 15)
			status := strings.Join(s.Messages("logs:app:"+d.name+":status"), "\n")
			if got, want := strings.Contains(status, "is not the loopback address"), host == "0.0.0.0" || host == "::"; got != want {
				t.Errorf("the warning is in :status: %v, want %v", got, want)
			}
		})
	}
}
