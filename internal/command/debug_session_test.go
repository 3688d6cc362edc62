package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// waiting starts the target, which runs until it is stopped or letEnd is called.
func waiting(t *testing.T, s *redistest.Server, args ...string) (d *debugged, file string, letEnd func()) {
	t.Helper()
	file = compiled(t)
	end := filepath.Join(t.TempDir(), "end")
	d = debugRun(t, s, nil, append(args, "--", file, "wait", end)...).paused()
	return d, file, func() {
		if err := os.WriteFile(end, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runs checks that the app runs, untraced, and then lets it end by itself.
func (d *debugged) runs(letEnd func()) {
	d.t.Helper()
	d.eventuallyState("SR")
	eventually(d.t, "the app is not traced", func() bool {
		status, _ := os.ReadFile("/proc/" + d.app + "/status")
		return strings.Contains(string(status), "\nTracerPid:\t0\n")
	})
	d.eventuallyState("SR")
	letEnd()
	d.ends(5)
}

// TestDebugDetach detaches from an app and connects again.
func TestDebugDetach(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		d, file, letEnd := waiting(t, s)
		saysAll(t, d.debug(file, "detach"), `\[Inferior 1 \(process `+d.app+`\) detached\]`)
		d.runs(letEnd)
	})
	t.Run("quit", func(t *testing.T) {
		t.Parallel()
		d, file, letEnd := waiting(t, s)
		d.debug(file)
		d.runs(letEnd)
	})
	t.Run("no debugger", func(t *testing.T) {
		t.Parallel()
		d, _, letEnd := waiting(t, s)
		pid, err := strconv.Atoi(d.app)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(pid, syscall.SIGCONT)
		d.runs(letEnd)
	})
	t.Run("second", func(t *testing.T) {
		t.Parallel()
		d, file, letEnd := waiting(t, s)
		saysAll(t, d.debug(file, "break tick", "continue", "detach"), `^Breakpoint 1, tick`)
		d.eventuallyState("SR")
		for range 3 {
			out := d.debug(file, "break tick", "continue", "backtrace", "print counter", "continue", "print counter")
			saysAll(t, out, `^Breakpoint 1, tick`, `^#1 .* main \(argc=3`, `^\$2 = \d+`)
			saysNone(t, out, `received signal`)
		}
		d.runs(letEnd)
	})
	t.Run("second without a first continue", func(t *testing.T) {
		t.Parallel()
		d, file, letEnd := waiting(t, s)
		d.debug(file, "detach")
		out := d.debug(file, "break tick", "continue")
		saysAll(t, out, `^Breakpoint 1, tick`)
		saysNone(t, out, `received signal`)
		d.runs(letEnd)
	})
}

// TestDebugKill kills the app from gdb, and from outside while gdb holds it.
func TestDebugKill(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	t.Run("fresh", func(t *testing.T) {
		t.Parallel()
		d, file, _ := waiting(t, s)
		saysAll(t, d.debug(file, "kill"), `\[Inferior 1 \(process \d+\) killed\]`)
		d.ends(128 + 9)
	})
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		d, file, _ := waiting(t, s)
		saysAll(t, d.debug(file, "break tick", "continue", "kill"), `^Breakpoint 1, tick`)
		d.ends(128 + 9)
	})
	t.Run("from outside", func(t *testing.T) {
		t.Parallel()
		d, file, _ := waiting(t, s)
		gdb := d.gdb(file, "break tick", "continue", hold)
		if err := gdb.Start(); err != nil {
			t.Fatal(err)
		}
		d.atPrompt()
		pid, _ := strconv.Atoi(d.app)
		syscall.Kill(pid, syscall.SIGKILL)
		d.ends(128 + 9)
		killGroupOf(t, gdb)
	})
	t.Run("paused, from outside", func(t *testing.T) {
		t.Parallel()
		d, _, _ := waiting(t, s)
		pid, _ := strconv.Atoi(d.app)
		syscall.Kill(pid, syscall.SIGKILL)
		d.ends(128 + 9)
	})
}

// atPrompt waits until gdb executes hold.
func (d *debugged) atPrompt() {
	d.t.Helper()
	eventually(d.t, "gdb is at its prompt", func() bool {
		_, err := os.Stat(d.prompt())
		return err == nil
	})
	if s := d.state(); s != "t" {
		d.t.Errorf("gdb is at its prompt, and the app in state %q", s)
	}
}

// ticked waits until the app has called tick several times, and so met a breakpoint there.
func (d *debugged) ticked() {
	d.t.Helper()
	eventually(d.t, "the app has ticked", func() bool {
		for _, e := range d.redis.Stream("logs:app:" + d.name + ":info") {
			if e.Message() == "has ticked" {
				return true
			}
		}
		return false
	})
}

// TestDebugLost has the client die in every situation. The app runs on, and a breakpoint
// that stayed behind does not kill it.
func TestDebugLost(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, row := range []struct {
		name     string
		commands []string
		running  bool
	}{
		{"fresh", []string{hold}, false},
		{"at a breakpoint", []string{"break tick", "continue", hold}, false},
		{"running", []string{"continue"}, true},
		{"running, breakpoint ahead", []string{"break tick if counter > 1000000000", "break tick if counter < 0", "continue"}, true},
		{"running, watchpoint", []string{"break tick", "continue", "watch counter if counter == -1", "delete 1", "continue"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d, file, letEnd := waiting(t, s)
			gdb := d.gdb(file, row.commands...)
			if err := gdb.Start(); err != nil {
				t.Fatal(err)
			}
			if row.running {
				d.ticked()
			} else {
				d.atPrompt()
			}
			killGroupOf(t, gdb)
			eventually(t, "wrapp notices", func() bool { return strings.Contains(d.said(), "debugger disconnected") })
			if row.name != "fresh" {
				saysAll(t, d.debug(file, "break tick", "continue"), `^Breakpoint 1, tick`) // another one can come
			}
			d.runs(letEnd)
		})
	}
}

// attaches is a gdbserver that attaches and then gives no answer of use.
const attaches = `
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
int main(int n, char **args) {
	if (ptrace(PTRACE_ATTACH, atoi(args[n - 1]), 0, 0) == 0) write(1, "$E01#a6", 7);
	for (;;) pause();
}
`

// TestDebugUnanswered has the attaching fail midway: a paused app stays paused, and one that
// ran runs on.
func TestDebugUnanswered(t *testing.T) {
	t.Parallel()
	gdbserver, err := exec.LookPath("gdbserver")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stub, failing := filepath.Join(dir, "attaches"), filepath.Join(dir, "failing")
	gcc := exec.Command("gcc", "-o", stub, "-x", "c", "-")
	gcc.Stdin = strings.NewReader(attaches)
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	either := fmt.Sprintf("#!/bin/sh\ntest -e %s && exec %s \"$@\"\nexec %s \"$@\"\n", failing, stub, gdbserver)
	if err := redistest.WriteProgram(filepath.Join(dir, "gdbserver"), []byte(either)); err != nil {
		t.Fatal(err)
	}
	file, end := compiled(t), filepath.Join(t.TempDir(), "end")
	d := debugRun(t, redistest.Start(t), []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, "--", file, "wait", end).paused()
	touch := func(file string) {
		t.Helper()
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fails := func(times int) {
		t.Helper()
		touch(failing)
		d.debug(file)
		eventually(t, "the session ends", func() bool {
			return strings.Count(d.said(), `debugger disconnected: gdbserver did not attach: gdbserver answers "E01"`) == times
		})
		if err := os.Remove(failing); err != nil {
			t.Fatal(err)
		}
	}
	fails(1)
	d.eventuallyState("T")
	saysAll(t, d.debug(file, "detach"), `detached`)
	d.eventuallyState("SR")
	fails(2)
	d.runs(func() { touch(end) })
}

// TestDebugTerm stops wrapp while the app is paused or debugged.
func TestDebugTerm(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, row := range []struct {
		name     string
		commands []string // nil: no client
		running  bool
		exit     int
	}{
		{"paused", nil, false, 128 + 15},
		{"connected", []string{hold}, false, 128 + 15},
		{"at a breakpoint", []string{"break tick", "continue", hold}, false, 9},
		{"running", []string{"continue"}, true, 9},
		{"running, signal not passed", []string{"handle SIGTERM nostop nopass", "break tick if counter < 0", "continue"}, true, 9},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d, file, _ := waiting(t, s, "--stop-timeout", "40s")
			if row.commands != nil {
				gdb := d.gdb(file, row.commands...)
				if err := gdb.Start(); err != nil {
					t.Fatal(err)
				}
				defer killGroupOf(t, gdb)
				if row.running {
					d.ticked()
				} else {
					d.atPrompt()
				}
			}
			d.term()
			d.ends(row.exit)
		})
	}
}

// TestDebugInterrupt sends a paused app a signal that ends it.
func TestDebugInterrupt(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		t.Run(strconv.Itoa(int(sig)), func(t *testing.T) {
			t.Parallel()
			d, _, _ := waiting(t, s)
			if err := d.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			d.ends(128 + int(sig))
			if lines := output(t, s, d.name); len(lines) > 0 {
				t.Errorf("the app has run: %q", lines)
			}
		})
	}
}

// TestDebugLostAnyTime has the client die at random moments of its talk with gdbserver, to
// find one that wrapp does not handle. Timing alone cannot make it fail.
func TestDebugLostAnyTime(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := compiled(t)
	for i := range 12 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			d := debugRun(t, s, nil, "--", file).paused()
			gdb := d.gdb(file, "break main", "continue", hold)
			if err := gdb.Start(); err != nil {
				t.Fatal(err)
			}
			d.eventuallyState("t")
			time.Sleep(time.Duration(i) * 20 * time.Millisecond)
			killGroupOf(t, gdb)
			d.ends(7)
		})
	}
}

// TestDebugPools has a health pool without beats: it keeps its health while the app is
// paused, and loses it while the app runs.
func TestDebugPools(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file, end := compiled(t), filepath.Join(t.TempDir(), "end")
	d := &debugged{t: t, redis: s, name: t.Name(), port: freePort(t), stderr: filepath.Join(t.TempDir(), "stderr")}
	d.cmd = wrapp(t, configure(t, s, fmt.Sprintf(`
[app]
executable = %q
args = ["wait", %q]
stream_name = %q
[health]
interval = "100ms"
[health.pools.api]
init = 5000
cap = 5000
depletion_rate = 1000
replenish_rate = 1
[debug]
enabled = true
port = %s
`, file, end, d.name, d.port)))
	d.start()
	d.paused()
	values := s.Dial(2)
	defer values.Close()
	health := func() string {
		text, err := redis.String(values.Do("GET", d.name+":__healthpool__api_health"))
		if err != nil && !errors.Is(err, redis.ErrNil) {
			t.Fatal(err)
		}
		return text
	}
	eventually(t, "the pool is published", func() bool { return health() != "" })
	time.Sleep(1500 * time.Millisecond)
	// A pool gets back nothing that it has lost.
	eventually(t, "the pool is as full as it was", func() bool { return health() == "5000" })
	free := filepath.Join(t.TempDir(), "free")
	var out string
	var debugging sync.WaitGroup
	debugging.Go(func() {
		out = d.debug(file, "break tick", "continue", "shell : >'"+d.prompt()+"'; until [ -e '"+free+"' ]; do sleep 0.01; done", "delete 1", "detach")
	})
	d.atPrompt()
	eventually(t, "the pool loses nothing for 2 s", func() bool {
		before := health()
		time.Sleep(2 * time.Second)
		return before != "" && before != "0" && health() == before
	})
	saysNone(t, d.said(), `depleted`)
	touch(t, free)
	debugging.Wait()
	saysAll(t, out, `^Breakpoint 1, tick`)
	eventually(t, "the pool is empty", func() bool { return health() == "0" })
	if err := os.WriteFile(end, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.ends(5)
}

// TestDebugExec debugs a script that executes another program, as entrypoints do.
func TestDebugExec(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := compiled(t)
	script := filepath.Join(t.TempDir(), "entrypoint")
	if err := redistest.WriteProgram(script, []byte("#!/bin/sh\nexec \"$@\"\n")); err != nil {
		t.Fatal(err)
	}
	// One breakpoint is in the shell, and goes with it; one is in the next program.
	commands := []string{"break execve", "continue", "set breakpoint pending on", "break tick", "continue"}
	for _, row := range []struct {
		name string
		then []string // of the client
		term bool
		exit int
	}{
		{"detached", []string{"detach"}, false, 5},
		{"quit", nil, false, 5},
		{"lost", []string{hold}, false, 5},
		{"lost, running", []string{"delete", "break tick if counter < 0", "continue"}, false, 5},
		{"stopped", []string{hold}, true, 9},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			end := filepath.Join(t.TempDir(), "end")
			letEnd := func() {
				if err := os.WriteFile(end, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			d := debugRun(t, s, nil, "--stop-timeout", "40s", "--", script, file, "wait", end).paused()
			commands := append(slices.Clone(commands), row.then...)
			if row.name == "detached" || row.name == "quit" {
				saysAll(t, d.debug("/bin/sh", commands...), `is executing new program: .*/target`, `^Breakpoint 2, tick`)
				d.runs(letEnd)
				return
			}
			gdb := d.gdb("/bin/sh", commands...)
			if err := gdb.Start(); err != nil {
				t.Fatal(err)
			}
			if row.name == "lost, running" {
				d.ticked()
			} else {
				d.atPrompt()
			}
			if row.term {
				d.term()
				d.ends(row.exit)
				killGroupOf(t, gdb)
				return
			}
			killGroupOf(t, gdb)
			eventually(t, "wrapp notices", func() bool { return strings.Contains(d.said(), "debugger disconnected") })
			saysNone(t, d.said(), `may be left`)
			d.runs(letEnd)
		})
	}
}
