package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// ErrInUse says that another process uses the spool.
var ErrInUse = errors.New("another wrapp uses it")

// lockPatience is how long to wait for a lock whose owner was killed: a child that it was forking
// holds the lock until its exec.
const lockPatience = 300 * time.Millisecond

func flock(f *os.File) (err error) {
	for until := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(until) {
			return err
		}
	}
}

// unlock releases a lock, also for a child that is being forked, and closes its file.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// lockDir locks a spool for the life of the process.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockName)
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the spool: %w", err)
		}
		err = flock(f)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the spool %s: %w", dir, err)
		}
		// The last owner may have removed the file while we waited.
		ours, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return f, nil
		}
		f.Close()
		if err := errors.Join(err1, err2); err != nil && !errors.Is(err2, os.ErrNotExist) {
			return nil, fmt.Errorf("lock the spool: %w", err)
		}
	}
}
