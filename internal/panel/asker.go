package panel

import (
	"context"
	"errors"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// An asker has the connections over which requests read a board, one request at a time. So
// viewers never burden Redis with more than one request.
type asker struct {
	cfg  *config.Redis
	free chan struct{} // free: full while a request uses conns

	conns redisconn.Pair
}

// errBusy says that other requests use the connections.
var errBusy = errors.New("the board is busy with other requests; try again")

// do calls f with connections to the logs and the values, maybe twice; see redisconn.Pair.Use.
func (a *asker) do(ctx context.Context, f func(ctx context.Context, logs, values *redisconn.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	select {
	case a.free <- struct{}{}:
		defer func() { <-a.free }()
	case <-ctx.Done():
		return errBusy
	}
	return a.conns.Use(ctx, a.cfg, func(logs, values *redisconn.Client) error { return f(ctx, logs, values) })
}
