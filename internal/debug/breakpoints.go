package debug

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
)

// breakpoints tracks the break- and watchpoints that a client has set in the app. A client
// removes them before it leaves. After a lost connection they stay, and the first one that
// is hit would kill the app.
//
// Write must get all bytes from the client to gdbserver. The zero value is ready to use, but
// not safe for concurrent use.
type breakpoints struct {
	packet []byte          // the beginning of the current packet
	within bool            // a packet is incomplete
	set    map[string]bool // "0,4011d6,1": type, address and kind
}

// longestPoint is longer than the part of a packet that identifies a point.
const longestPoint = 64

func (b *breakpoints) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '$': // these two are never inside a packet
			b.packet, b.within = b.packet[:0], true
		case c == '#' && b.within:
			b.apply()
			b.within = false
		case b.within && len(b.packet) < longestPoint:
			b.packet = append(b.packet, c)
		}
	}
	return len(p), nil
}

// apply records the effect of a whole packet: Z inserts a point, z removes one. Conditions
// may follow after a semicolon.
func (b *breakpoints) apply() {
	if len(b.packet) < 2 || b.packet[0]|0x20 != 'z' {
		return
	}
	point, _, _ := bytes.Cut(b.packet[1:], []byte(";"))
	if b.packet[0] == 'z' {
		delete(b.set, string(point))
		return
	}
	if len(b.packet) == longestPoint && len(point) == longestPoint-1 {
		return // too long for a point
	}
	if b.set == nil {
		b.set = make(map[string]bool)
	}
	b.set[string(point)] = true
}

// remove has gdbserver remove all points, in the client's place. It first completes the
// exchange that gdbserver had with the client.
func (b *breakpoints) remove(conn io.ReadWriter) error {
	if len(b.set) == 0 {
		return nil
	}
	r := &remote{conn: conn}
	// The answer to qC is like no other answer.
	if err := r.send("qC"); err != nil {
		return err
	}
	for {
		answer, err := r.receive()
		if err != nil {
			return err
		}
		if strings.HasPrefix(answer, "QC") {
			break
		}
		next := "qC" // gdbserver did not receive the last one
		if symbol, ok := strings.CutPrefix(answer, "qSymbol:"); ok {
			next = "qSymbol::" + symbol // we know no symbols
		}
		if err := r.send(next); err != nil {
			return err
		}
	}
	for _, point := range slices.Sorted(maps.Keys(b.set)) {
		if err := r.send("z" + point); err != nil {
			return err
		}
		answer := "QC"
		for strings.HasPrefix(answer, "QC") {
			var err error
			if answer, err = r.receive(); err != nil {
				return err
			}
		}
		// An answer other than OK means that the point is not in the app: gdbserver had
		// refused it, or the app has executed another program.
	}
	_, err := conn.Write([]byte("+"))
	return err
}
