package run

import (
	"errors"
	"io/fs"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// openSpool opens the spool that cfg asks for. On an error, entries wait in memory only.
// passed is Prepare's.
func openSpool(cfg *config.Config, writer uint64) (store *spool.Spool, left *spool.Left, passed, err error) {
	for try := 1; ; try++ {
		dir, passed, err := spool.Prepare(cfg.Spool.Dir, cfg.Name())
		if err != nil {
			return nil, nil, nil, err
		}
		store, left, err := spool.Open(dir, int64(cfg.Spool.Size), writer)
		// Another wrapp that ends meanwhile removes an empty spool, with its directory.
		if try == 10 || !errors.Is(err, fs.ErrNotExist) {
			return store, left, passed, err
		}
	}
}
