// Package access explains why this process may not use a path.
package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Blame returns the deepest part of path that exists and can be read with stat, its owner and
// mode, and this process's user and group; "" if nothing of path can be.
func Blame(path string) string {
	for {
		info, err := os.Stat(path)
		if err == nil {
			owner, ok := info.Sys().(*syscall.Stat_t)
			if !ok {
				return ""
			}
			return fmt.Sprintf("%s belongs to %d:%d, mode %04o; this process is %d:%d",
				path, owner.Uid, owner.Gid, info.Mode().Perm(), os.Geteuid(), os.Getegid())
		}
		parent := filepath.Dir(path)
		if parent == path || !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		path = parent
	}
}
