package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// threadsApp is a Go app with several threads. It ends with 9 on SIGTERM, and with 5 when
// the file of its argument exists.
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
	begun := make(chan bool)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			begun <- true
			for {
				time.Sleep(time.Millisecond)
			}
		}()
		<-begun
	}
	for {
		tick()
		if counter == 5 {
			println("has ticked")
		}
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
import itertools, os, signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
for _ in range(4):
    threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()
print("in main", flush=True)
for i in itertools.count():
    if os.path.exists(sys.argv[1]):
        break
    if i == 5:
        print("has ticked", flush=True)
    time.sleep(0.01)
sys.stdout.flush()
os._exit(5)
`

// TestDebugThreads connects, detaches, dies and stops, with apps of many threads.
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
			commands []string // of a client that dies; nil: no client
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
				d.ticked()
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
