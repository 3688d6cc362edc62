package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/access"
)

// systemDir has the spools of every wrapp that may write there.
const systemDir = "/var/lib/wrapp"

// Prepare makes and returns the directory for the spool of the app called name. Its parent
// is dir, or, if dir is empty, $WRAPP_SPOOL_DIR, or else /var/lib/wrapp or the user's state
// directory. The error names every place that was tried; where a right was missing, it also
// names the owner and the command that gives the right. passed says why a place where
// the app already has a directory was passed over for path.
func Prepare(dir, name string) (path string, passed, err error) {
	return firstUsable(places(dir), name)
}

func firstUsable(places []string, name string) (path string, passed, err error) {
	var problem error
	for _, place := range places {
		dir := filepath.Join(place, name)
		_, missing := os.Lstat(dir)
		path, err := prepare(dir)
		if err == nil {
			return path, passed, nil
		}
		if missing == nil {
			passed = err
		}
		if problem == nil {
			problem = err
		} else {
			problem = fmt.Errorf("%w; and %w", problem, err)
		}
	}
	return "", nil, problem
}

// places returns the directories that may have spools; the first usable one is used.
func places(dir string) []string {
	if dir == "" {
		dir = os.Getenv("WRAPP_SPOOL_DIR")
	}
	if dir != "" {
		return []string{dir}
	}
	state := os.Getenv("XDG_STATE_HOME")
	if home := os.Getenv("HOME"); !filepath.IsAbs(state) && filepath.IsAbs(home) {
		state = filepath.Join(home, ".local", "state")
	}
	if os.Geteuid() == 0 || !filepath.IsAbs(state) {
		return []string{systemDir}
	}
	return []string{systemDir, filepath.Join(state, "wrapp")}
}

// prepare makes a directory that only we can use, and checks that it is one.
func prepare(dir string) (string, error) {
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		if err = os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("make the spool's directory %s: %w", dir, explain(dir, err))
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("check the spool's directory: %w", err)
	}
	mode := info.Mode().Perm()
	if !info.IsDir() {
		return "", fmt.Errorf("the spool %s is not a directory", dir)
	}
	// wrapp would deliver entries that another user puts there as the app's.
	if owner, us := info.Sys().(*syscall.Stat_t).Uid, os.Geteuid(); int(owner) != us {
		return "", fmt.Errorf("the spool %s belongs to user %d (mode %04o) and wrapp runs as %d; as root: chown -R %d:%d %s",
			dir, owner, mode, us, us, os.Getegid(), dir)
	}
	if mode&0o022 != 0 {
		return "", fmt.Errorf("the spool %s can be written to by others (mode %04o): chmod go-w %s", dir, mode, dir)
	}
	return dir, nil
}

// explain adds to a permission error the owner of the directory that we may not write to, and
// the command that makes the spool's parent for us.
func explain(dir string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // the message around it has the path
	}
	if why := access.Blame(dir); why != "" && errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (%s; as root: install -d -o %d -g %d %s)", err, why, os.Geteuid(), os.Getegid(), filepath.Dir(dir))
	}
	return err
}
