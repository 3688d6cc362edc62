package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// systemDir is where spools are kept by a wrapp that may write there.
const systemDir = "/var/lib/wrapp"

// Prepare makes the directory in which the app called name has its spool, and
// returns it. It is a directory of that name in dir, or, if dir is empty, in
// $WRAPP_SPOOL_DIR, or else in /var/lib/wrapp or the user's state directory.
func Prepare(dir, name string) (string, error) {
	if dir == "" {
		dir = os.Getenv("WRAPP_SPOOL_DIR")
	}
	if dir != "" {
		return prepare(filepath.Join(dir, name))
	}
	path, err := prepare(filepath.Join(systemDir, name))
	if err == nil || os.Geteuid() == 0 {
		return path, err
	}
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home := os.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", err
		}
		state = filepath.Join(home, ".local", "state")
	}
	return prepare(filepath.Join(state, "wrapp", name))
}

// prepare makes a directory for us alone, and looks whether we can use it.
func prepare(dir string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the spool's directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the spool's directory: %w", err)
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
