package beat

import (
	"context"
	"net"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/address"
)

func validTCP(target string) bool { return address.IsHostPort(strings.TrimPrefix(target, "tcp://")) }

// probeTCP succeeds when the target accepts a connection.
func probeTCP(ctx context.Context, target string, _ App) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(target, "tcp://"))
	if err == nil {
		conn.Close()
	}
	return err
}
