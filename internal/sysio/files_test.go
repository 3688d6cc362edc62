package sysio

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, size := range []int{0, 1, 2047, 2048, 2049, 4096, 100_000} {
		name := filepath.Join(dir, strconv.Itoa(size))
		want := []byte(strings.Repeat("0123456789", size/10+1)[:size])
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d came, %v", size, len(got), err)
		}
	}
	if got, err := ReadFile("/proc/self/limits"); err != nil || !bytes.HasPrefix(got, []byte("Limit ")) {
		t.Errorf("%q, %v", got, err)
	}
	for name, want := range map[string]error{"/none": unix.ENOENT, dir: unix.EISDIR, "a\x00b": unix.EINVAL} {
		if _, err := ReadFile(name); err != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for want := []string(nil); len(want) <= 1000; want = append(want, "a name of some length "+strconv.Itoa(len(want))) {
		if n := len(want); n > 0 {
			if err := os.WriteFile(filepath.Join(dir, want[n-1]), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if n%100 != 1 {
				continue
			}
		}
		got, err := Names(dir)
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d names, want %d; %v", len(got), len(want), err)
		}
	}
	tasks, err := Names("/proc/self/task")
	if err != nil || !slices.Contains(tasks, strconv.Itoa(os.Getpid())) {
		t.Errorf("%q, %v", tasks, err)
	}
	if _, err := Names("/proc/self/stat"); err != unix.ENOTDIR {
		t.Errorf("a file: %v", err)
	}
}
