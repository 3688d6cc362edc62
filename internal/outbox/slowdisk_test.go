package outbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// Of linux/fs.h.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// TestFrozenDisk freezes the spool's file system during the run, so that every write hangs
// until the thaw: no caller waits, and dropped lines are counted, by this run or the next.
func TestFrozenDisk(t *testing.T) {
	t.Parallel()
	for _, nextRun := range []bool{false, true} {
		t.Run(fmt.Sprintf("next run %v", nextRun), func(t *testing.T) {
			t.Parallel()
			frozenDisk(t, nextRun)
		})
	}
}

func frozenDisk(t *testing.T, nextRun bool) {
	mount, freeze, thaw := mountFreezable(t)
	s := redistest.Prepare(t)
	dir := filepath.Join(mount, "spool")
	o := openSpooled(t, s, dir, 32<<20, func(opts *Options) { opts.Block = false })
	number(o, 0, 10_000)
	eventually(t, "spooling has begun", func() bool { return len(segments(t, dir)) > 0 })
	freeze()
	const n = 120_000
	number(o, 10_000, n) // would never return
	thaw()
	if nextRun {
		if lost, kept, _ := o.Close(time.Hour); lost != 0 || kept == 0 {
			t.Errorf("%d lost, %d kept", lost, kept)
		}
	}
	s.Up()
	if nextRun {
		o = openSpooled(t, s, dir, 32<<20, func(opts *Options) { opts.Block = false })
	}
	eventually(t, "all is delivered", o.q.empty)
	closeAll(t, o)
	checkAccounted(t, s, n)
	if wrong := said(s, "damage"); len(wrong) > 0 {
		t.Errorf("status: %q", wrong)
	}
}

// TestFrozenDiskAndBlock freezes the disk and adds a block larger than the memory: the app does not
// wait for the disk.
func TestFrozenDiskAndBlock(t *testing.T) {
	t.Parallel()
	mount, freeze, thaw := mountFreezable(t)
	o := openSpooled(t, redistest.Prepare(t), filepath.Join(mount, "spool"), 32<<20, func(opts *Options) { opts.Block = false })
	number(o, 0, 10_000)
	allSpooled(t, o)
	freeze()
	number(o, 10_000, 20_000)
	add(o, strings.Repeat("x", 2<<20), "behind") // would never return
	thaw()
	o.Close(short)
}

// TestFrozenDiskAndRedis freezes the disk while Redis takes entries, more slowly
// than they come: nothing is dropped.
func TestFrozenDiskAndRedis(t *testing.T) {
	t.Parallel()
	mount, freeze, thaw := mountFreezable(t)
	dir := filepath.Join(mount, "spool")
	s := redistest.Start(t)
	o := openSpooled(t, s, dir, 32<<20, func(opts *Options) { opts.Block = false })
	number(o, 0, 10_000)
	eventually(t, "Redis is there", o.q.empty)
	s.Pause()
	number(o, 10_000, 20_000)
	eventually(t, "spooling has begun", func() bool { return len(segments(t, dir)) > 0 })
	freeze()
	number(o, 20_000, 25_000)
	eventually(t, "the disk is slow", func() bool {
		o.q.mu.Lock()
		defer o.q.mu.Unlock()
		return o.q.slow
	})
	s.Resume()
	const n = 120_000
	number(o, 25_000, n)
	thaw()
	closeAll(t, o)
	checkNumbered(t, s, n)
}

// mountFreezable mounts a file system that can be frozen, until the end of the test.
func mountFreezable(t *testing.T) (mount string, freeze, thaw func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system wants root")
	}
	image, mount := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, mount}} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%s: %v: %s", args[0], err, text)
		}
	}
	disk, err := os.Open(mount)
	if err != nil {
		t.Fatal(err)
	}
	// The guard thaws and unmounts the disk however the test ends: a process that waits for a
	// frozen disk cannot even be killed.
	guard := exec.Command("sh", "-c", `timeout 1000 cat; fsfreeze --unfreeze "$1"; exec umount --lazy "$1"`, "sh", mount)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not to be killed with us
	running, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		disk.Close()
		running.Close()
		if err := guard.Wait(); err != nil {
			t.Errorf("umount: %v", err)
		}
	})
	freeze = func() {
		if err := unix.IoctlSetInt(int(disk.Fd()), fiFreeze, 0); err != nil {
			t.Skipf("freeze: %v", err)
		}
	}
	thaw = func() {
		if err := unix.IoctlSetInt(int(disk.Fd()), fiThaw, 0); err != nil {
			t.Fatal(err)
		}
	}
	return mount, freeze, thaw
}
