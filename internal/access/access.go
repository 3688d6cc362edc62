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

// Blame names the file or directory that stands in the way of using path, with its owner and
// mode, and who this process is. It is the deepest part of path that exists and can be looked
// at. The result is empty if nothing can be told.
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
