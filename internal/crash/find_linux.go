package crash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
)

// A finder finds the cores of one app's tree. It recognises them by their contents: a file
// with a core's name may be anything.
type finder struct {
	pattern *pattern
	name    string    // of the app, for the names of kept cores
	began   time.Time // no core of this app is older
	ours    func(c *corefile.Origin, written time.Time) bool
	retain  bool             // leave cores on disk
	seen    map[version]bool // fully examined
}

type fileID struct{ dev, ino uint64 }

// A version is a file's identity at one time: the kernel overwrites an older core of the
// same name.
type version struct {
	fileID
	written unix.Timespec
}

func identify(stat *unix.Stat_t) fileID { return fileID{uint64(stat.Dev), stat.Ino} }

// A found core is a file in a directory. A core outside a handler's store is renamed at
// once, so that the next core does not overwrite it.
type found struct {
	*corefile.Origin
	dir       string
	name      string
	bytes     int64
	allocated int64  // bytes of disk
	stored    bool   // in a handler's store: not ours to rename or remove
	packed    string // the file in a handler's store that this core is an unpacked copy of; discard removes the copy
	removed   bool
	id        fileID
	when      time.Time
	remarks   []string
}

func (f *found) path() string    { return filepath.Join(f.dir, f.name) }
func (f *found) truncated() bool { return uint64(f.bytes) < f.Size }

// clockSlack is how far the kernel's file time stamps may lag behind the clock: they show
// the time of the last tick.
const clockSlack = 20 * time.Millisecond

// coarseSlack is clockSlack for time stamps of whole seconds, as ext4 with inodes of 128 bytes has
// them, or of two, as FAT has them.
const coarseSlack = 2 * time.Second

// find returns the new cores since the last call, of processes that worked in one of dirs.
// It leaves an incomplete core for the next call. With last, it waits for the rest while
// the file grows and ctx allows. broken names files that may be our cores but cannot be read
// as cores.
func (f *finder) find(ctx context.Context, dirs []string, last bool) (cores []*found, broken []string) {
	if f.pattern == nil {
		return nil, nil
	}
	places, name, stored := slices.Clone(stores), "core.*", true
	if f.pattern.toFile() {
		places, name, stored = f.pattern.places(dirs), f.pattern.name, false
	}
	slices.Sort(places)
	for _, dir := range slices.Compact(places) {
		for _, n := range candidates(dir, name) {
			if stored && packing(n) != "" {
				continue
			}
			c, wrong := f.claim(ctx, dir, n, stored, last)
			if c != nil {
				cores = append(cores, c)
			}
			if wrong != nil {
				broken = append(broken, filepath.Join(dir, n)+": "+wrong.Error())
			}
		}
	}
	return cores, broken
}

// candidates returns the names in dir that match a pattern.
func candidates(dir, pattern string) (names []string) {
	if !varies(pattern) {
		return []string{pattern}
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	for {
		some, err := d.Readdirnames(1024)
		for _, n := range some {
			if ok, _ := path.Match(pattern, n); ok {
				names = append(names, n)
			}
		}
		if err != nil || len(names) > maxCandidates {
			d.Close()
			return names
		}
	}
}

// maxCandidates bounds the files of one directory that are examined.
const maxCandidates = 10_000

// claim examines one file, and renames it if it is our core. It works below an open
// directory: the app may own that directory, and could otherwise redirect us to a file of the
// same name elsewhere.
func (f *finder) claim(ctx context.Context, dir, name string, stored, last bool) (*found, error) {
	dirfd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	defer unix.Close(dirfd)
	var stat unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil || !f.plausible(&stat) {
		return nil, nil
	}
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	c, err := f.examine(ctx, file, fd, last)
	file.Close()
	if c != nil {
		c.dir, c.name, c.stored = dir, name, stored
		if !stored {
			f.rename(dirfd, c)
		}
	}
	return c, err
}

// examine reads an open file. It returns nil if the core is not ours or must be examined
// again later.
func (f *finder) examine(ctx context.Context, file *os.File, fd int, last bool) (*found, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || !f.plausible(&stat) {
		return nil, nil
	}
	id := identify(&stat)
	c, err := corefile.ReadOrigin(file)
	if err != nil && !last {
		return nil, nil
	}
	stamp := time.Unix(stat.Mtim.Unix())
	if err != nil || !f.ours(c, stamp.Add(slackOf(stamp))) {
		f.seen[version{id, stat.Mtim}] = true
		if err != nil {
			err = fmt.Errorf("%w; it has %d bytes", err, stat.Size)
		}
		return nil, err
	}
	found := &found{Origin: c, id: id, when: stamp}
	progress := time.Now()
	for size := stat.Size; uint64(size) < c.Size; {
		if !last {
			return nil, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		if err := unix.Fstat(fd, &stat); err != nil || ctx.Err() != nil {
			break
		}
		if stat.Size != size {
			size, progress = stat.Size, time.Now()
		} else if time.Since(progress) > stuck {
			break
		}
	}
	f.seen[version{id, stat.Mtim}] = true
	found.bytes, found.allocated = stat.Size, stat.Blocks*512
	return found, nil
}

// stuck is how long an incomplete core may stop growing before it counts as truncated.
const stuck = 300 * time.Millisecond

func (f *finder) plausible(stat *unix.Stat_t) bool {
	return stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Nlink == 1 &&
		f.recent(time.Unix(stat.Mtim.Unix())) &&
		!f.seen[version{identify(stat), stat.Mtim}]
}

// recent says whether a core of this app may have that time stamp. If the clock was set back
// meanwhile, the app's start by its present setting counts.
func (f *finder) recent(stamp time.Time) bool {
	began, now := f.began.Round(0), time.Now().Add(-time.Since(f.began)).Round(0)
	if now.Before(began) {
		began = now
	}
	return !stamp.Before(began.Add(-slackOf(stamp)))
}

// slackOf returns how far a time stamp may lag behind the clock.
func slackOf(stamp time.Time) time.Duration {
	if stamp.Nanosecond() == 0 {
		return coarseSlack
	}
	return clockSlack
}

// rename gives a core a name of its own.
func (f *finder) rename(dirfd int, c *found) {
	name := "core-" + f.name + "-" + strconv.Itoa(c.PID) + "-" + c.when.Format("20060102-150405.000")
	if err := f.same(dirfd, c); err != nil {
		c.remarks = append(c.remarks, "the core was replaced while wrapp read it")
		return
	}
	if err := unix.Renameat2(dirfd, c.name, dirfd, name, unix.RENAME_NOREPLACE); err != nil {
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) || unix.Renameat(dirfd, c.name, dirfd, name) != nil {
			c.remarks = append(c.remarks, "the core keeps its name, and the next may overwrite it: "+err.Error())
			return
		}
	}
	c.name = name
}

// same returns an error unless the name still stands for the file that was examined.
func (f *finder) same(dirfd int, c *found) error {
	var stat unix.Stat_t
	if err := unix.Fstatat(dirfd, c.name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if identify(&stat) != c.id {
		return errors.New("another file has its name")
	}
	return nil
}

// discard removes a core, unless the user retains cores or a handler's store owns it.
func (f *finder) discard(c *found) {
	if c.packed != "" {
		os.Remove(c.path())
		return
	}
	if f.retain || c.stored {
		return
	}
	dirfd, err := unix.Open(c.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = f.same(dirfd, c); err == nil {
			err = unix.Unlinkat(dirfd, c.name, 0)
		}
		unix.Close(dirfd)
	}
	if err != nil {
		c.remarks = append(c.remarks, "the core cannot be removed: "+err.Error())
		return
	}
	c.removed = true
}

// stores are the directories of the usual handlers, if they run where we do:
// systemd-coredump, and apport for programs that are in no package.
var stores = []string{"/var/lib/systemd/coredump", "/var/lib/apport/coredump"}

// packing returns the suffix that tells how systemd-coredump compressed a core; empty: not.
func packing(name string) string {
	for _, end := range []string{".zst", ".lz4", ".xz"} {
		if strings.HasSuffix(name, end) {
			return end
		}
	}
	return ""
}

// packed returns the path of a process's compressed core in the stores, named
// core.COMM.UID.BOOT.PID.TIME.zst, or "".
func (f *finder) packed(pid int) string {
	for _, dir := range stores {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			fields := strings.Split(strings.TrimSuffix(e.Name(), packing(e.Name())), ".")
			if packing(e.Name()) == "" || fields[0] != "core" || len(fields) < 6 || fields[len(fields)-2] != strconv.Itoa(pid) {
				continue
			}
			if info, err := e.Info(); err == nil && f.recent(info.ModTime()) {
				return filepath.Join(dir, e.Name())
			}
		}
	}
	return ""
}
