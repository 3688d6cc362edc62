package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// crashing are programs that print a few lines and die in the middle, by a signal that leaves
// no time to write buffered output.
var crashing = []struct {
	language, file, text string
	build                []string // makes {} without its extension; {} is the file
	run                  []string
}{
	{
		"C", "c.c", `#include <stdio.h>
#include <signal.h>
int main(void) { for (int i = 0; i < 100; i++) printf("out %d\n", i); printf("half"); fflush(stdout); puts(" a line"); fprintf(stderr, "err\n"); raise(SIGKILL); }`,
		[]string{"gcc", "-o", "c", "c.c"},
		[]string{"./c"},
	},
	{
		"C++", "cc.cc", `#include <iostream>
#include <csignal>
int main() { for (int i = 0; i < 100; i++) std::cout << "out " << i << '\n'; std::cout << "half" << std::flush << " a line\n"; std::cerr << "err\n"; raise(SIGKILL); }`,
		[]string{"g++", "-o", "cc", "cc.cc"},
		[]string{"./cc"},
	},
	{"Python", "p.py", `import os, sys
for i in range(100): print("out", i)
print("half", end="", flush=True); print(" a line"); print("err", file=sys.stderr)
os.kill(os.getpid(), 9)`, nil, []string{"python3", "p.py"}},
	{"Node", "n.js", `for (let i = 0; i < 100; i++) console.log("out", i);
process.stdout.write("half"); console.log(" a line"); console.error("err");
process.kill(process.pid, "SIGKILL"); for (;;);`, nil, []string{"node", "n.js"}},
	{
		"Rust", "r.rs", `use std::io::Write;
fn main() { for i in 0..100 { println!("out {}", i); } print!("half"); std::io::stdout().flush().unwrap(); println!(" a line"); eprintln!("err");
std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap(); loop {} }`,
		[]string{"rustc", "-o", "r", "r.rs"},
		[]string{"./r"},
	},
	{
		"Java", "J.java", `class J { public static void main(String[] a) throws Exception { for (int i = 0; i < 100; i++) System.out.println("out " + i);
System.out.print("half"); System.out.println(" a line"); System.err.println("err"); Runtime.getRuntime().halt(137); } }`,
		nil,
		[]string{"java", "J.java"},
	},
}

// TestTTY has apps die in the middle that hold lines back when they write to a pipe: on a
// terminal no line is missing, and none has a carriage return.
func TestTTY(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("out %d", i))
	}
	want = append(want, "half a line")
	for _, c := range crashing {
		t.Run(c.language, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, program := range [][]string{c.build, c.run} {
				if len(program) == 0 || strings.Contains(program[0], "/") {
					continue
				}
				if _, err := exec.LookPath(program[0]); err != nil {
					t.Skip(err)
				}
			}
			if c.build != nil {
				build := exec.Command(c.build[0], c.build[1:]...)
				build.Dir = dir
				if text, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
			}
			for _, tty := range []string{"stdout", "both"} {
				name := tty + "-" + strings.TrimSuffix(c.file, filepath.Ext(c.file))
				cmd := wrapp(t, append([]string{"--redis", s.URL(), "--name", name, "--tty", tty, "--dir", dir, "--"}, c.run...)...)
				text, err := cmd.CombinedOutput()
				if got := code(t, err); got != 137 {
					t.Fatalf("exit status %d: %s", got, text)
				}
				var out, errs []string
				for _, e := range s.Stream("logs:app:" + name + ":info") {
					switch {
					case e.Fields["source"] == "stderr":
						errs = append(errs, e.Message())
					case !strings.HasPrefix(e.Message(), "{{__"):
						out = append(out, e.Message())
					}
				}
				if got, want := strings.Join(out, "\n"), strings.Join(want, "\n"); got != want {
					t.Errorf("--tty %s: %q, want %q", tty, got, want)
				}
				if got := strings.Join(errs, "\n"); got != "err" {
					t.Errorf("--tty %s: stderr is %q", tty, got)
				}
			}
		})
	}
}

// TestPipeHoldsBack: without app.tty a line is lost.
func TestPipeHoldsBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cmd := wrapp(t, "--redis", s.URL(), "--name", "held", "--", "python3", "-c", `import os; print("lost"); os.kill(os.getpid(), 9)`)
	cmd.Env = append(cmd.Env, "PYTHONUNBUFFERED=")
	if text, err := cmd.CombinedOutput(); code(t, err) != 137 {
		t.Fatalf("%v: %s", err, text)
	}
	if got := output(t, s, "held"); len(got) != 0 {
		t.Errorf("%q: there is no need for app.tty any more", got)
	}
}

// TestTTYIs checks the terminal that an app sees.
func TestTTYIs(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const script = `test -t 1 && echo stdout; test -t 2 && echo stderr; stty size <&1; echo "$TERM $NO_COLOR"; echo | cat /dev/tty 2>/dev/null || echo none controls`
	ask := func(args ...string) string {
		name := fmt.Sprint("is", len(args), strings.Trim(strings.Join(args, ""), "-="))
		cmd := wrapp(t, append(append([]string{"--redis", s.URL(), "--name", name}, args...), "--", "setsid", "-w", "sh", "-c", script)...)
		cmd.Env = append(cmd.Env, "TERM=xterm-256color")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return strings.Join(output(t, s, name), "; ")
	}
	if got, want := ask("--tty", "both"), "stdout; stderr; 50 200; dumb 1; none controls"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := ask("--tty=stdout", "--env", "TERM=vt100", "--env", "NO_COLOR="), "stdout; 50 200; vt100 ; none controls"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := ask(); !strings.HasSuffix(got, "xterm-256color ; none controls") {
		t.Errorf("%q", got)
	}
}

// TestOpensItsOutput has apps that are not root open their output anew: as the user that they
// start as, and as a user that they change to.
func TestOpensItsOutput(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can run the app as another user")
	}
	s := redistest.Start(t)
	const script = `echo one >/dev/stdout && echo two >/dev/stderr && echo three >/proc/self/fd/1`
	const owned = `[ -O /dev/stdout ] && [ -O /dev/stderr ] && ` + script
	for name, args := range map[string][]string{
		"starts":  {"--user", "nobody", "--", "sh", "-c", owned},
		"becomes": {"--user", "root", "--", "setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c", script},
		"drops": {"--user", "root", "--", "python3", "-c", `import os
os.setgid(65534); os.setuid(65534)
for p in ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1"): open(p, "w").write(p + "\n")`},
		"tty": {"--user", "nobody", "--tty", "both", "--", "sh", "-c", owned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := wrapp(t, append([]string{"--redis", s.URL(), "--name", name, "--dir", "/"}, args...)...).CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, text)
			}
			if got := len(output(t, s, name)); got != 3 {
				t.Errorf("%d lines: %q", got, output(t, s, name))
			}
		})
	}
}
