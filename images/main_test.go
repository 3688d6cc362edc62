//go:build images

// Package images tests the images: it builds all four from the Dockerfiles as they
// are, without Docker and without a registry, and looks into them. docs/images.md
// says how; make images runs it, as root.
package images

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Inside marks the process that runs the tests: its parent looks after what has to
// be put back, also when a test panics or runs out of time.
const inside = "JETTISON_IMAGES_DIR"

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	status, err := guard()
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// guard runs the tests in a child, with ARM64 programs runnable and a directory for
// what they build, and undoes both.
func guard() (status int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("building and entering images needs root: run make images, or go test with sudo")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	dir, err := os.MkdirTemp("", "jettison-images-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	undo, err := registerARM64()
	if err != nil {
		return 0, err
	}
	defer undo()
	child := exec.Command(os.Args[0], os.Args[1:]...)
	child.Env = append(os.Environ(), inside+"="+dir)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	// The child does not outlive its guard, nor what it has started the child; a group of
	// its own keeps a terminal's Ctrl-C from reaching it twice.
	runtime.LockOSThread() // whose end would be taken for the guard's
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return 0, err
	}
	defer syscall.Kill(-child.Process.Pid, syscall.SIGKILL)
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			syscall.Kill(-child.Process.Pid, s.(syscall.Signal))
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, err
			}
			if code := child.ProcessState.ExitCode(); code >= 0 {
				return code, nil
			}
			return 2, nil
		}
	}
}

const binfmt = "/proc/sys/fs/binfmt_misc"

// registerARM64 lets the kernel run ARM64 programs through qemu-aarch64, unless the
// system has it do so already. The registration is the one that Debian's
// qemu-user-static brings for systemd-binfmt, under a name of this process alone, so
// that two runs do not end each other's.
func registerARM64() (undo func(), err error) {
	if runtime.GOARCH == "arm64" || os.Getenv("LAYOUTS") != "" {
		return func() {}, nil
	}
	if _, err := os.Stat(filepath.Join(binfmt, "register")); err != nil {
		if err := syscall.Mount("binfmt_misc", binfmt, "binfmt_misc", 0, ""); err != nil {
			return nil, fmt.Errorf("mount binfmt_misc on %s: %w", binfmt, err)
		}
		unmount = true
	}
	for _, name := range registered() {
		text, _ := os.ReadFile(name)
		pid, ours := strings.CutPrefix(filepath.Base(name), prefix)
		if !ours && strings.HasPrefix(string(text), "enabled") {
			return unmountUnused, nil
		}
		if n, err := strconv.Atoi(pid); ours && err == nil && syscall.Kill(n, 0) == syscall.ESRCH {
			unregister(name) // of a run that was killed
		}
	}
	line, err := os.ReadFile("/usr/lib/binfmt.d/qemu-aarch64.conf")
	if err != nil {
		unmountUnused()
		return nil, fmt.Errorf("how to run ARM64 programs (make images installs qemu-user-static): %w", err)
	}
	name := prefix + strconv.Itoa(os.Getpid())
	text := strings.Replace(strings.TrimSpace(string(line)), ":qemu-aarch64:", ":"+name+":", 1)
	if err := os.WriteFile(filepath.Join(binfmt, "register"), []byte(text), 0o200); err != nil {
		unmountUnused()
		return nil, fmt.Errorf("register qemu-aarch64: %w", err)
	}
	return func() {
		unregister(filepath.Join(binfmt, name))
		unmountUnused()
	}, nil
}

func unregister(name string) {
	if err := os.WriteFile(name, []byte("-1"), 0o200); err != nil {
		fmt.Fprintln(os.Stderr, "images: unregister qemu-aarch64:", err)
	}
}

const prefix = "jettison-aarch64-"

// unmount is whether this process has mounted binfmt_misc.
var unmount bool

func registered() []string {
	names, _ := filepath.Glob(filepath.Join(binfmt, "*aarch64*"))
	return names
}

// unmountUnused unmounts what this process has mounted, unless another run uses it.
func unmountUnused() {
	if unmount && len(registered()) == 0 {
		syscall.Unmount(binfmt, 0)
	}
}
