package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// waiting starts the target so that it runs until it is stopped or let end.
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

// runs wants the app to run, untraced, and then to end by itself.
func (d *debugged) runs(letEnd func()) {
	d.t.Helper()
	d.eventuallyState("SR")
	eventually(d.t, "nobody traces the app", func() bool {
		status, _ := os.ReadFile("/proc/" + d.app + "/status")
		return strings.Contains(string(status), "\nTracerPid:\t0\n")
	})
	d.eventuallyState("SR")
	letEnd()
	d.ends(5)
}

// TestDebugDetach lets an app run on and comes back to it.
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
		gdb := d.gdb(file, "break tick", "continue", "shell sleep 600")
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

// atPrompt waits until gdb has the app at a breakpoint: it is held for longer
// than in passing.
func (d *debugged) atPrompt() {
	d.t.Helper()
	held := 0
	eventually(d.t, "gdb holds the app in its main", func() bool {
		if held++; d.state() != "t" || len(d.redis.Stream("logs:app:"+d.name+":info")) < 2 {
			held = 0
		}
		return held > 20
	})
}

// TestDebugLost has the client die in every situation. The app runs on, and is
// not killed by a breakpoint that was left behind.
func TestDebugLost(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, row := range []struct {
		name     string
		commands []string
		running  bool
	}{
		{"fresh", []string{"shell sleep 600"}, false},
		{"at a breakpoint", []string{"break tick", "continue", "shell sleep 600"}, false},
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
			switch {
			case row.running:
				eventually(t, "the app has run under gdb", func() bool { return len(s.Stream("logs:app:"+d.name+":info")) >= 2 })
				time.Sleep(200 * time.Millisecond) // for the breakpoints to be met
			case len(row.commands) > 1:
				d.atPrompt()
			default:
				d.eventuallyState("t")
				time.Sleep(200 * time.Millisecond) // for gdb to have come to its prompt
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

// TestDebugTerm stops wrapp while the app is held or debugged.
func TestDebugTerm(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, row := range []struct {
		name     string
		commands []string // nil: no client
		inMain   bool
		exit     int
	}{
		{"paused", nil, false, 128 + 15},
		{"connected", []string{"shell sleep 600"}, false, 128 + 15},
		{"at a breakpoint", []string{"break tick", "continue", "shell sleep 600"}, true, 9},
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
				if row.inMain {
					eventually(t, "the app has run under gdb", func() bool { return len(s.Stream("logs:app:"+d.name+":info")) >= 2 })
					time.Sleep(200 * time.Millisecond)
				} else {
					d.eventuallyState("t")
				}
			}
			d.term()
			d.ends(row.exit)
		})
	}
}

// threadsApp is a Go app with several threads. It ends with 9 on SIGTERM and with
// 5 when the file of its argument is there.
const threadsApp = `package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

var counter int

//go:noinline
func tick() { counter++ }

func main() {
	println("in main")
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			for {
				time.Sleep(time.Millisecond)
			}
		}()
	}
	for {
		tick()
		select {
		case <-c:
			os.Exit(9)
		case <-time.After(10 * time.Millisecond):
		}
		if _, err := os.Stat(os.Args[1]); err == nil {
			os.Exit(5)
		}
	}
}
`

// threadsScript is the same in Python.
const threadsScript = `
import os, signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
for _ in range(4):
    threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()
print("in main", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
sys.stdout.flush()
os._exit(5)
`

// TestDebugThreads comes, goes, is lost and stopped with apps of many threads.
func TestDebugThreads(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	goApp := filepath.Join(t.TempDir(), "goapp")
	if err := os.WriteFile(goApp+".go", []byte(threadsApp), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", goApp, goApp+".go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	script := filepath.Join(t.TempDir(), "app.py")
	if err := os.WriteFile(script, []byte(threadsScript), 0o644); err != nil {
		t.Fatal(err)
	}
	python, err := exec.Command("python3", "-c", "import sys, os; print(os.path.realpath(sys.executable), end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{"go": {goApp}, "python": {string(python), script}} {
		tick := "break select"
		if name == "go" {
			tick = "break main.tick"
		}
		for _, row := range []struct {
			name     string
			commands []string // of a client that is lost; nil: none
			term     bool
		}{
			{"detached", nil, false},
			{"lost", []string{"continue"}, false},
			{"lost, breakpoint", []string{tick + " if 1 == 2", "continue"}, false},
			{"stopped", []string{"continue"}, true},
			{"stopped, breakpoint", []string{tick + " if 1 == 2", "continue"}, true},
			{"stopped, without gdb", nil, true},
		} {
			t.Run(name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				end := filepath.Join(t.TempDir(), "end")
				d := debugRun(t, s, nil, append(append([]string{"--stop-timeout", "40s", "--"}, command...), end)...).paused()
				var gdb *exec.Cmd
				if row.commands == nil {
					d.debug(command[0], "detach")
				} else {
					gdb = d.gdb(command[0], row.commands...)
					if err := gdb.Start(); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "the app runs", func() bool { return len(s.Stream("logs:app:"+d.name+":info")) >= 2 })
				time.Sleep(100 * time.Millisecond) // for it to meet the breakpoint
				switch {
				case row.term:
					d.term()
					d.ends(9)
					if gdb != nil {
						killGroupOf(t, gdb)
					}
					return
				case gdb != nil:
					killGroupOf(t, gdb)
					eventually(t, "wrapp notices", func() bool { return strings.Contains(d.said(), "debugger disconnected") })
				}
				out := d.debug(command[0], "info threads", "thread apply all backtrace 1")
				saysAll(t, out, `Thread \d+\.\d+`)
				if n := strings.Count(out, "#0 "); n < 5 {
					t.Errorf("%d threads", n)
				}
				d.runs(func() {
					if err := os.WriteFile(end, nil, 0o644); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	}
}

// TestDebugPools looks at a health pool that nobody feeds: it keeps its health
// while the app is held, and loses it while the app runs.
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
init = 500
cap = 500
depletion_rate = 500
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
	time.Sleep(1500 * time.Millisecond) // it would be empty after one second
	if got := health(); got != "500" {
		t.Errorf("health %s after 1.5 s of pause, want 500", got)
	}
	out := d.debug(file, "break tick", "continue", "shell sleep 2", "delete 1", "detach")
	saysAll(t, out, `^Breakpoint 1, tick`)
	saysNone(t, d.said(), `depleted`)
	eventually(t, "the pool is empty", func() bool { return health() == "0" })
	if err := os.WriteFile(end, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.ends(5)
}
