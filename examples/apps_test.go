package examples

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// output runs a program and returns what it printed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestApps runs each app under wrapp, and wants its lines, counters, pools and crash in Redis.
func TestApps(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	source := func(name string) string {
		path, err := filepath.Abs(filepath.Join("apps", name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		language string
		program  string   // needed to build and run it
		build    []string // makes the file ./camera
		exit     int
		crash    string // in the output of wrapp crashes
	}{
		{"cpp", "g++", []string{"g++", "-std=c++17", "-g", "-o", "camera", source("camera.cpp")}, 139, "SIGSEGV"},
		{"python", "python3", []string{"ln", "-s", source("camera.py"), "camera"}, 1, "KeyError: 1"},
		{"rust", "rustc", []string{"rustc", "-g", "-o", "camera", source("camera.rs")}, 101, "panicked at"},
		{"go", "go", []string{"go", "build", "-C", source("go"), "-buildvcs=false", "-o", "DIR/camera", "."}, 2, "index out of range"},
		{"node", "node", []string{"ln", "-s", source("camera.js"), "camera"}, 1, "TypeError"},
	} {
		t.Run(tt.language, func(t *testing.T) {
			t.Parallel()
			need(t, tt.program)
			if tt.language == "node" {
				need(t, "systemd-notify")
			}
			dir := t.TempDir()
			for i := range tt.build {
				tt.build[i] = strings.Replace(tt.build[i], "DIR", dir, 1)
			}
			build := exec.Command(tt.build[0], tt.build[1:]...)
			build.Dir = dir
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			name := "camera-" + tt.language
			config := adapt(t, dir, "apps/camera.toml", `"camera"`, `"`+name+`"`)
			cmd := exec.Command("wrapp", "--redis", s.URL(), config)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "WRAPP_SPOOL_DIR="+t.TempDir())
			begin(t, cmd)
			c := s.Dial(2)
			defer c.Close()
			value := func(key string) int {
				n, _ := redis.Int(c.Do("GET", key))
				return n
			}
			eventually(t, "frames are counted, and both pools beat", func() bool {
				return value("wrapp:"+name+":frames") >= 3 &&
					value(name+":__healthpool__frames_beats") >= 3 && value(name+":__healthpool__watchdog_beats") >= 3
			})
			if n := value("wrapp:" + name + ":temperature"); n != 42 {
				t.Errorf("temperature is %d", n)
			}
			eventually(t, "it is listed as running", func() bool {
				got := output(t, "wrapp", "ls", "--redis", s.URL(), name)
				return regexp.MustCompile(`(?m)^` + name + ` +running `).MatchString(got)
			})
			eventually(t, "its pools are healthy", func() bool {
				return exec.Command("jettison_health", "--redis", s.URL(), "--min-health", "1", name+":frames", name+":watchdog").Run() == nil
			})
			if err := os.WriteFile(filepath.Join(dir, "crash"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.exit {
				t.Errorf("exit status %d", got)
			}
			logs := output(t, "wrapp", "logs", "--redis", s.URL(), name)
			for _, want := range []string{" out    camera starts\n", " err    WARNING: sensor is warm\n", " out    frame 3 of sensor 1\n", " status started "} {
				if !strings.Contains(logs, want) {
					t.Errorf("no %q in\n%s", want, logs)
				}
			}
			if got := output(t, "wrapp", "crashes", "--redis", s.URL(), name); !strings.Contains(got, tt.crash) {
				t.Errorf("no %q in\n%s", tt.crash, got)
			}
			if got := output(t, "wrapp", "ls", "--redis", s.URL(), name); !strings.Contains(got, fmt.Sprintf("ended %d ", tt.exit)) {
				t.Error(got)
			}
		})
	}
}

// TestClients kills the readers with a consumer group repeatedly: each resumes at its place, and
// no line is lost.
func TestClients(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "archive")
	for language, command := range map[string][]string{"python": {"python3", "apps/clients/archive.py"}, "go": {binary}} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			need(t, language+map[string]string{"python": "3"}[language])
			if language == "go" {
				output(t, "go", "build", "-buildvcs=false", "-o", binary, "./apps/clients/go")
			}
			s := redistest.Start(t)
			c := s.Dial(1)
			seen, again := make(map[string]bool), 0
			const kills, lines = 5, 500
			for round := range kills {
				for i := range lines {
					c.Send("XADD", "logs:app:camera:info", "*", "message", fmt.Sprintf("line %d of %d", i, round))
				}
				if _, err := c.Do(""); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(command[0], append(command[1:], s.Addr(), "camera")...)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				begin(t, cmd)
				want := round*lines + lines/2 // the last round wants all lines
				if round == kills-1 {
					want = kills * lines
				}
				for rows := bufio.NewScanner(out); rows.Scan(); {
					if _, message, _ := bytes.Cut(rows.Bytes(), []byte(" ")); seen[string(message)] {
						again++
					} else {
						seen[string(message)] = true
					}
					if len(seen) >= want { // the loop goes on with the output until its death
						cmd.Process.Kill()
					}
				}
				cmd.Wait()
			}
			for round := range kills {
				for i := range lines {
					line := fmt.Sprintf("line %d of %d", i, round)
					if !seen[line] {
						t.Errorf("%q is missing", line)
					}
					delete(seen, line)
				}
			}
			if len(seen) > 0 || again > kills*2*lines {
				t.Errorf("%d again, and these came: %q", again, slices.Collect(maps.Keys(seen)))
			}
			t.Logf("%d lines, %d kills, %d came again", kills*lines, kills, again)
		})
	}
}
