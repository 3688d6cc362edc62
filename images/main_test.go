//go:build images

// Package images tests the images: it builds all six from the unchanged Dockerfiles, without
// Docker and without a registry on the internet, and checks their contents. docs/images.md
// explains how; make images runs it, as root.
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

// inside is set in the process that runs the tests. Its parent cleans up, even if a test panics
// or times out.
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

// guard makes ARM64 programs runnable and a directory for the builds, runs the tests in a child,
// and undoes both.
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
	// The child dies with the guard, and the child's processes with the child. Its own
	// process group keeps a terminal's Ctrl-C from reaching it twice.
	runtime.LockOSThread() // Pdeathsig fires at the end of the thread
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

// registerARM64 has the kernel run ARM64 programs with qemu-aarch64, unless it does so already.
// It uses the registration of Debian's qemu-user-static for systemd-binfmt, under a name with
// this process's pid, so that parallel runs do not remove each other's.
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
			unregister(name) // a killed run has left it
		}
	}
	line, err := os.ReadFile("/usr/lib/binfmt.d/qemu-aarch64.conf")
	if err != nil {
		unmountUnused()
		return nil, fmt.Errorf("read qemu's registration (make images installs qemu-user-static): %w", err)
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

// unmount says that this process has mounted binfmt_misc.
var unmount bool

func registered() []string {
	names, _ := filepath.Glob(filepath.Join(binfmt, "*aarch64*"))
	return names
}

// unmountUnused unmounts binfmt_misc if this process has mounted it and no other run uses it.
func unmountUnused() {
	if unmount && len(registered()) == 0 {
		syscall.Unmount(binfmt, 0)
	}
}
