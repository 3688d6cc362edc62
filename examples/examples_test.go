// Package examples runs the examples.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/command"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// bin is a directory with this test binary under the names of the tools.
var bin string

func TestMain(m *testing.M) {
	// The race detector sleeps for a second at every exit unless told otherwise.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	switch filepath.Base(os.Args[0]) {
	case "wrapp":
		command.Main(command.WrappWith(redistest.Patient))
	case "jettison_health":
		command.Main(command.JettisonHealth)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	self, err := os.Executable()
	if err == nil {
		bin, err = os.MkdirTemp("", "jettison-examples-")
	}
	if err == nil {
		defer os.RemoveAll(bin)
		err = os.Chmod(bin, 0o755)
	}
	for _, name := range []string{"wrapp", "jettison_health"} {
		if err == nil {
			err = os.Symlink(self, filepath.Join(bin, name))
		}
	}
	if err != nil {
		panic(err)
	}
	os.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return m.Run()
}

// need returns the path of a program, or skips the test if it is missing.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil {
		t.Skipf("%v; `make tools` installs it", err)
	}
	return path
}

// begin starts a program, and kills it at the end of the test.
func begin(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.Stderr == nil {
		cmd.Stderr = t.Output()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
}

// kill kills a program and its process group.
func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
}

var eventually = redistest.Eventually

// adapt copies a file of an example into dir, with replacements, and returns the copy's path.
func adapt(t *testing.T, dir, file string, oldnew ...string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(text), oldnew[i]) {
			t.Fatalf("%s has no %q", file, oldnew[i])
		}
	}
	adapted := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(adapted, []byte(strings.NewReplacer(oldnew...).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return adapted
}
