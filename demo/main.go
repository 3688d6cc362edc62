// Demo runs wrapp's main job with nothing installed but Go: it builds wrapp, finds
// or starts a Redis, runs a small app and shows what arrived.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// beApp, set in the environment, makes this program the app.
const beApp = "DEMO_BE_APP"

// stopTimeout is how long wrapp may take to end itself and the app after SIGTERM.
const stopTimeout = 15 * time.Second

func main() {
	if os.Getenv(beApp) != "" {
		os.Exit(app(os.Stdout, os.Stderr))
	}
	// Our children end with us by Pdeathsig, which the kernel ties to this thread.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	demo := run
	if len(os.Args) > 1 && os.Args[1] == "panel" {
		demo = showPanel
	}
	if err := demo(ctx, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "demo: error: %v\n", err)
		os.Exit(1)
	}
}

// build builds a command of this module into dir. What an interrupted go leaves is in dir, too.
func build(ctx context.Context, dir, name, command string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", filepath.Join(dir, name),
		"github.com/lpportorino/jettison-base-images/cmd/"+command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go ends its compilers
	cmd.WaitDelay = stopTimeout
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}

// run is the whole demo. It leaves nothing behind.
func run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "jettison-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Fprintln(w, "To see all this in a browser: make panel, then http://127.0.0.1:8420")
	fmt.Fprintln(w, "Building wrapp and jettison_health ...")
	if err := build(ctx, dir, "wrapp", "jettison"); err != nil {
		return err
	}
	if err := os.Symlink("wrapp", filepath.Join(dir, "jettison_health")); err != nil {
		return err
	}
	if err := copySelf(filepath.Join(dir, "demo-app")); err != nil {
		return err
	}

	store, err := findRedis(ctx, dir)
	if err != nil {
		return err
	}
	defer store.stop()
	fmt.Fprintf(w, "Redis: %s.\n", store.what)

	s := &shell{ctx: ctx, dir: dir, w: w}
	start, logs, health, err := store.commands(dir)
	if err != nil {
		return err
	}
	defer store.forget()

	status, said, err := s.run(start...)
	if err != nil {
		return err
	}
	s.show(said)
	if status != appStatus {
		return fmt.Errorf("wrapp ended with %d, and the app with %d", status, appStatus)
	}
	s.run("echo", "$?")
	s.show(fmt.Appendf(nil, "%d\n", status))

	status, said, err = s.run(logs...)
	if err != nil {
		return err
	}
	s.show(said)
	if status != 0 {
		return fmt.Errorf("wrapp logs ended with %d", status)
	}
	if err := arrived(said); err != nil {
		return err
	}
	status, said, err = s.run(health...)
	if err != nil {
		return err
	}
	s.show(said)
	if err := ended(said); status != 0 || err != nil {
		return fmt.Errorf("jettison_health ended with %d: %v", status, err)
	}
	fmt.Fprintf(w, `
Seen: wrapp ended with the app's own exit status, %d. Every line arrived, stderr marked
as err, the last one although it had no end; the line of %d bytes is longer
than the 64 KiB at which lines are split, and reads as one line again. Its markers, such
as %s, were taken out and kept a health pool, which says how
often it beat, and that it has ended.
`, appStatus, len(longLine), beat)
	return nil
}

// copySelf makes a copy of this program, so that the app has a name of its own.
func copySelf(file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o700)
}

// A shell runs commands in dir and shows them as a person would type them.
type shell struct {
	ctx context.Context
	dir string
	w   io.Writer
}

// run shows a command and runs it. It returns the exit status and all that the
// command wrote.
func (s *shell) run(args ...string) (status int, said []byte, err error) {
	fmt.Fprintf(s.w, "\n$ %s\n", strings.Join(args, " "))
	if args[0] == "echo" {
		return 0, nil, nil // we are no shell, but its exit status is known
	}
	cmd := exec.CommandContext(s.ctx, filepath.Join(s.dir, args[0]), args[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "REDIS_URL=", beApp+"=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	said, err = cmd.CombinedOutput()
	var exit *exec.ExitError
	if s.ctx.Err() != nil {
		return 0, nil, errors.New("interrupted")
	}
	if err != nil && !errors.As(err, &exit) {
		return 0, nil, err
	}
	return cmd.ProcessState.ExitCode(), said, nil
}

// width is how many bytes of a line are shown.
const width = 110

// show writes lines, and shortens long ones.
func (s *shell) show(text []byte) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) > width {
			fmt.Fprintf(s.w, "%s[... %d bytes more]\n", line[:width], len(line)-width)
			continue
		}
		fmt.Fprintf(s.w, "%s\n", line)
	}
}
