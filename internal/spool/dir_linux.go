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

// systemDir is where spools are kept by a wrapp that may write there.
const systemDir = "/var/lib/wrapp"

// Prepare makes the directory in which the app called name has its spool, and
// returns it. It is a directory of that name in dir, or, if dir is empty, in
// $WRAPP_SPOOL_DIR, or else in /var/lib/wrapp or the user's state directory. The error names
// every place that was tried, and for one that may not be used its owner and the way out.
func Prepare(dir, name string) (string, error) {
	var problem error
	for _, place := range places(dir) {
		path, err := prepare(filepath.Join(place, name))
		if err == nil {
			return path, nil
		}
		if problem == nil {
			problem = err
		} else {
			problem = fmt.Errorf("%w; and %w", problem, err)
		}
	}
	return "", problem
}

// places are where a spool may be, the first that can be used being the one.
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

// prepare makes a directory for us alone, and looks whether we can use it.
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
		return "", fmt.Errorf("look at the spool's directory: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("the spool %s is no directory", dir)
	}
	// What another user can put there could be delivered as the app's words.
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return "", fmt.Errorf("the spool %s belongs to user %d and wrapp runs as %d", dir, owner, os.Geteuid())
	}
	if info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("the spool %s can be written to by others (mode %04o)", dir, info.Mode().Perm())
	}
	return dir, nil
}

// explain adds whose the directory is that may not be written to, and what gives us the one that
// the spool is to be in.
func explain(dir string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // the message around it has the path
	}
	if why := access.Blame(dir); why != "" && errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (%s; as root: install -d -o %d -g %d %s)", err, why, os.Geteuid(), os.Getegid(), filepath.Dir(dir))
	}
	return err
}
