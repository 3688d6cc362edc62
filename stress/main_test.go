package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// flaky has real tests for a module of its own: one always fails, one fails every other time,
// one is skipped.
const flaky = `package flaky

import (
	"os"
	"testing"
)

func TestAlways(t *testing.T) {
	t.Run("inner", func(t *testing.T) { t.Error("as ever") })
	t.Run("well", func(t *testing.T) {})
}

func TestSometimes(t *testing.T) {
	if err := os.Remove("was-here"); err == nil {
		t.Fatal("the second time")
	}
	if err := os.WriteFile("was-here", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSkipped(t *testing.T) { t.Skip() }
`

// inModule makes a module of files, and changes into it.
func inModule(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.org/flaky\n\ngo 1.26.0\n"
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestCounts(t *testing.T) {
	inModule(t, map[string]string{
		"flaky_test.go":         flaky,
		"broken/broken_test.go": "package broken\n\nfunc oops() { return 1 }\n",
	})
	logs := t.TempDir()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-n", "2", "-busy", "1", "-modes", "plain", "-logs", logs}, &out)
	if err == nil || !strings.Contains(err.Error(), logs) {
		t.Errorf("the error is %v", err)
	}
	for _, want := range []string{
		"plain, run 1 of 2: 2 passed, 2 failed, 1 skipped", "plain, run 2 of 2: 1 passed, 3 failed, 1 skipped",
		"skipped in 2 runs: 1\n    2 of 2  example.org/flaky TestSkipped\n",
		"failed in 2 runs: 3\n    2 of 2  example.org/flaky TestAlways/inner\n    2 of 2  example.org/flaky/broken\n    1 of 2  example.org/flaky TestSometimes\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	log, err := os.ReadFile(filepath.Join(logs, "plain-2.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"as ever", "the second time", "too many return values"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
}

// TestInterrupted wants an interrupt to end the tests, too.
func TestInterrupted(t *testing.T) {
	inModule(t, map[string]string{"slow_test.go": `package slow

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestSlow(t *testing.T) {
	os.WriteFile("pid.new", []byte(strconv.Itoa(os.Getpid())), 0o600)
	os.Rename("pid.new", "pid")
	time.Sleep(time.Hour)
}
`})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-busy", "0", "-modes", "plain", "-logs", t.TempDir()}, new(bytes.Buffer))
	}()
	var text []byte
	for len(text) == 0 {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
			text, _ = os.ReadFile("pid")
		}
	}
	cancel()
	if err := <-ended; err == nil || err.Error() != "interrupted" {
		t.Errorf("the error is %v", err)
	}
	pid := 0
	for _, c := range text {
		pid = 10*pid + int(c-'0')
	}
	for syscall.Kill(pid, 0) == nil {
		time.Sleep(10 * time.Millisecond)
	}
}
