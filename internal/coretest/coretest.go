// Package coretest sets where the kernel puts cores, and knows whether it allows tracing, for tests.
package coretest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

const (
	patternSetting = "/proc/sys/kernel/core_pattern"
	usesPIDSetting = "/proc/sys/kernel/core_uses_pid"
)

// open opens the lock file. Whoever creates it makes it readable for all, whatever the umask.
func open(t testing.TB) *os.File {
	t.Helper()
	const name = "/tmp/jettison-core-pattern.lock"
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			err = f.Chmod(0o644)
		} else {
			f, err = os.Open(name) // another process was faster
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Set is TrySet, but skips the test if no program may have a core, or the kernel refuses the settings.
func Set(t testing.TB, pattern, usesPID string) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		t.Skipf("the hard limit for cores is %d (%v)", limit.Max, err)
	}
	restore, err := TrySet(t, pattern, usesPID)
	if err != nil {
		t.Skip(err)
	}
	return restore
}

// TrySet sets kernel.core_pattern and kernel.core_uses_pid until restore. All that call it use one
// lock: those that want the current settings share it, and a change waits until nobody holds it.
// A test must not call it again before restore. A separate process restores the settings, even if
// the test is killed. The error says that the kernel does not accept them.
func TrySet(t testing.TB, pattern, usesPID string) (restore func(), err error) {
	t.Helper()
	lock := open(t)
	release := func() { lock.Close() }
	t.Cleanup(release)
	is := func(file, want string) bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.TrimSuffix(string(text), "\n") == want
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if is(patternSetting, pattern) && is(usesPIDSetting, usesPID) {
		return release, nil
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(patternSetting)
	if err != nil {
		t.Fatal(err)
	}
	oldUsesPID, err := os.ReadFile(usesPIDSetting)
	if err != nil {
		t.Fatal(err)
	}
	guard := exec.Command("sh", "-c", `cat >/dev/null; printf %s "$1" >"$2"; printf %s "$3" >"$4"`, "guard",
		string(old), patternSetting, string(oldUsesPID), usesPIDSetting)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	guard.ExtraFiles = []*os.File{lock} // the guard holds the lock until it is done
	stdin, err := guard.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	putBack := func() {
		stdin.Close()
		if err := guard.Wait(); err != nil {
			t.Errorf("restore the core pattern: %v", err)
		}
		if now, err := os.ReadFile(patternSetting); err != nil || string(now) != string(old) {
			t.Errorf("the core pattern is %q now and was %q: %v", now, old, err)
		}
		release()
	}
	for _, w := range []struct{ file, text string }{{patternSetting, pattern + "\n"}, {usesPIDSetting, usesPID}} {
		if err := os.WriteFile(w.file, []byte(w.text), 0); err != nil {
			putBack()
			return nil, fmt.Errorf("set %s: %w", w.file, err)
		}
	}
	return putBack, nil
}

// Yama returns kernel.yama.ptrace_scope, 0 without yama. From 1 on, Ubuntu's default, only
// CAP_SYS_PTRACE lets a process attach to one that it has not started.
func Yama() int {
	text, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// CanTrace skips the test if no gdb or gdbserver can attach to a running app here.
func CanTrace(t testing.TB) {
	t.Helper()
	switch n := Yama(); {
	case n > 2:
		t.Skipf("kernel.yama.ptrace_scope is %d: no process may attach to another until the next boot", n)
	case n > 0 && !process.Capable(unix.CAP_SYS_PTRACE):
		t.Skipf("attaching to an app needs CAP_SYS_PTRACE, or kernel.yama.ptrace_scope 0, not %d", n)
	}
}
