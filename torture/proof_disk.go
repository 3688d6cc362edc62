package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// proveWrappKilled kills wrapp again and again while it writes to its spool, with Redis up,
// stopped or away. All records in the spool at that moment must come.
func proveWrappKilled(up setup, kills, lines int) error {
	up.block = true // or wrapp would drop lines if the disk is slow
	if up.second == shared {
		up.second = twin // a wrapp with the same spool would use it before inspectSpool
	}
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	torn := 0
	for i := range kills {
		state := r.random.IntN(3)
		amount := int64(r.random.IntN(lines / kills * 120))
		switch state {
		case 1:
			r.server.stop()
		case 2:
			r.server.kill()
		}
		r.did["redis "+[]string{"there", "stopped", "away"}[state]]++
		start := r.main.start
		if i == 0 {
			start = r.start
		}
		if err := start(); err != nil {
			return err
		}
		if r.twin != nil {
			if err := r.twin.leash.write((i + 1) * lines / kills); err != nil {
				return err
			}
		}
		r.allowed.Add(int64(2 * lines / kills))
		if err := r.main.leash.write(2 * lines / kills); err != nil {
			return err
		}
		before, end := r.spooled(), time.Now().Add(time.Second)
		for r.spooled()-before < amount && time.Now().Before(end) {
			time.Sleep(50 * time.Microsecond)
		}
		r.did["wrapp killed"]++
		r.main.stop(syscall.SIGKILL)
		half, err := r.inspectSpool(i)
		if err != nil {
			return err
		}
		if half {
			torn++
		}
		switch state {
		case 1:
			r.server.cont()
		case 2:
			if err := r.server.up(); err != nil {
				return err
			}
		}
	}
	if err := r.main.start(); err != nil {
		return err
	}
	if r.twin != nil {
		if err := r.twin.leash.reached(lines); err != nil {
			return err
		}
	}
	if err := until("the spool is empty", func() (bool, error) { return r.spooled() == 0, nil }); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	fmt.Printf("%d kills left half a record at the end of the spool\n", torn)
	return r.audit()
}

func (r *rig) spoolDir() string { return filepath.Join(r.dir, "spool", name) }

// spooled returns the size of the spool's segments.
func (r *rig) spooled() (bytes int64) { return segments(r.spoolDir()) }

// inspectSpool records the lines that a killed wrapp has left in its spool, from a copy with the
// number i. torn: the spool ends with half a record.
func (r *rig) inspectSpool(i int) (torn bool, err error) {
	dir := filepath.Join(r.dir, "copy-"+strconv.Itoa(i))
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(r.spoolDir())); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	whole := segments(dir)
	s, left, err := spool.Open(dir, 1<<30, 0)
	if err != nil {
		return false, err
	}
	defer s.Close()
	if len(left.Found) > 0 || left.Missing > 0 {
		return false, fmt.Errorf("the spool is damaged: %q, %d missing", left.Found, left.Missing)
	}
	for _, x := range left.Extents {
		buf, err := s.Read(x.Place, x.Bytes, x.Ordinal, nil)
		if err != nil {
			return false, err
		}
		for at := 0; at < len(buf); {
			record := spool.At(buf, at)
			at += len(record)
			var run, n int
			if _, err := fmt.Sscanf(string(record.Message()), "%d %d ", &run, &n); err == nil && record.Stream() == logstream.Info {
				r.main.stored[run] = max(r.main.stored[run], n+1)
			}
		}
	}
	return segments(dir) != whole, nil
}

// segments returns the size of all segments in a directory.
func segments(dir string) (bytes int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// proveBadDisk uses disks that are full, read-only, or another user's, while Redis is away:
// that is reported, the app does not wait, and lines that do not fit into memory are counted.
func proveBadDisk(up setup, _, lines int) error {
	if os.Geteuid() != 0 {
		return errors.New("mounting file systems wants root")
	}
	for _, disk := range []struct {
		name, options string
		flags         uintptr
		owner         int
		told          string
	}{
		{"full", "size=1m", 0, 0, "the spool cannot be written; entries wait in memory only"},
		{"read-only", "", unix.MS_RDONLY, 0, "no spool; entries wait in memory only"},
		{"foreign", "", 0, 65534, "no spool; entries wait in memory only"},
	} {
		up := up
		up.dir = filepath.Join(up.dir, disk.name)
		up.spool = filepath.Join(up.dir, "disk")
		if err := os.MkdirAll(up.spool, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("none", up.spool, "tmpfs", disk.flags, disk.options); err != nil {
			return fmt.Errorf("mount a tmpfs: %w", err)
		}
		err := onDisk(up, disk.owner, lines, disk.told)
		if err = errors.Join(err, unix.Unmount(up.spool, 0)); err != nil {
			return fmt.Errorf("%s disk: %w", disk.name, err)
		}
	}
	return nil
}

// onDisk runs the app without a Redis, with a spool directory of the user owner, and expects
// told on :status.
func onDisk(up setup, owner, lines int, told string) error {
	if owner != 0 {
		dir := filepath.Join(up.spool, name)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, owner, owner)); err != nil {
			return err
		}
	}
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	r.account.gaps = true
	r.server.kill()
	err = errors.Join(r.start(), r.write(lines), r.reached(lines), r.server.up())
	if err == nil {
		err = errors.Join(r.delivered(lines), r.end())
	}
	if err == nil {
		err = r.audit()
	}
	if err != nil {
		return err
	}
	if !r.account.says(told) {
		return fmt.Errorf("nothing on :status says %q: %q", told, r.account.said)
	}
	return nil
}

// mostMemory bounds wrapp's memory, in KiB.
const mostMemory = 40 << 10

// proveMemory writes 300 MB while Redis is stopped, and checks wrapp's memory before and after
// everything is delivered.
func proveMemory(up setup, _, lines int) error {
	const output = 300_000_000
	up.volatile, up.entries = true, 1000
	up.width = min(2*output/lines, 3000)
	lines = output/(up.width/2+16) + 1
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.start(); err != nil {
		return err
	}
	err = until("the run begins", func() (bool, error) {
		landed, err := r.server.landed()
		return landed == len(r.programs()), err
	})
	if err != nil {
		return err
	}
	r.server.stop()
	if err := errors.Join(r.write(lines), r.reached(lines)); err != nil {
		return err
	}
	stopped := peak(r.main.cmd.Process.Pid)
	disk := r.spooled()
	r.server.cont()
	if err := r.delivered(lines); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	drained := r.peakKB()
	fmt.Printf("%d MB in the spool; wrapp took %d KiB while Redis was stopped, and %d KiB until all was delivered\n", disk/1e6, stopped, drained)
	added, err := r.server.info("entries-added")
	if err != nil {
		return err
	}
	said, err := r.server.said()
	if err != nil {
		return err
	}
	dropped := countDropped(said)
	want := len(r.programs())*(lines+2) - dropped // 2: a run's markers
	if r.stranger != nil {
		r.stopStranger()
		want += int(r.stranger.wrote.Load())
		if added, err = r.server.info("entries-added"); err != nil {
			return err
		}
	}
	if added != strconv.Itoa(want) || dropped > 0 && !r.account.gaps {
		return fmt.Errorf("%s entries came, and %d should have; %d were dropped", added, want, dropped)
	}
	if stopped == 0 || drained > mostMemory {
		return fmt.Errorf("wrapp took more than %d KiB of memory", mostMemory)
	}
	return nil
}
