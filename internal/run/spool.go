package run

import (
	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// openSpool opens the spool that cfg asks for. Without one, which the error
// explains, entries wait in memory only.
func openSpool(cfg *config.Config) (*spool.Spool, *spool.Left, error) {
	dir, err := spool.Prepare(cfg.Spool.Dir, cfg.Name())
	if err != nil {
		return nil, nil, err
	}
	return spool.Open(dir, int64(cfg.Spool.Size))
}
