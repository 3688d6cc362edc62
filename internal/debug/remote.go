package debug

import (
	"errors"
	"fmt"
	"io"
)

// A remote is the client's side of GDB's remote protocol: packets of $command#checksum, each
// acknowledged with a plus sign unless both sides agree not to. Extra plus signs are ignored.
type remote struct{ conn io.ReadWriter }

// send acknowledges the last packet and sends one.
func (r *remote) send(command string) error {
	sum := byte(0)
	for _, b := range []byte(command) {
		sum += b
	}
	_, err := fmt.Fprintf(r.conn, "+$%s#%02x", command, sum)
	return err
}

// longestAnswer is longer than any packet of gdbserver.
const longestAnswer = 1 << 20

// receive returns the next packet. It reads nothing beyond it: the rest may be for another
// reader.
func (r *remote) receive() (string, error) {
	var packet []byte
	within := false
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(r.conn, one); err != nil {
			return "", err
		}
		switch c := one[0]; {
		case c == '$':
			packet, within = packet[:0], true
		case c == '#' && within:
			_, err := io.ReadFull(r.conn, make([]byte, 2))
			return string(packet), err
		case len(packet) == longestAnswer:
			return "", errors.New("gdbserver sends a packet without an end")
		case within:
			packet = append(packet, c)
		}
	}
}
