package debug

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// breakpoints follows what a client tells gdbserver and remembers which break-
// and watchpoints are in the app. A client takes them out before it goes; where
// its connection is lost they stay, and the first one would kill the app.
//
// The client's bytes are written to it. Zero is ready to use; it is not for
// concurrent use.
type breakpoints struct {
	packet []byte          // the beginning of the packet that is coming
	within bool            // there is one
	set    map[string]bool // "0,4011d6,1": type, address and kind
}

// longestPoint is more than a packet needs to say which point it is about.
const longestPoint = 64

func (b *breakpoints) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '$': // these two are never inside a packet
			b.packet, b.within = b.packet[:0], true
		case c == '#' && b.within:
			b.take()
			b.within = false
		case b.within && len(b.packet) < longestPoint:
			b.packet = append(b.packet, c)
		}
	}
	return len(p), nil
}

// take acts on a whole packet: Z inserts, z removes. Behind a semicolon there
// are conditions.
func (b *breakpoints) take() {
	if len(b.packet) < 2 || b.packet[0]|0x20 != 'z' {
		return
	}
	point, _, _ := bytes.Cut(b.packet[1:], []byte(";"))
	if b.packet[0] == 'z' {
		delete(b.set, string(point))
		return
	}
	if len(b.packet) == longestPoint && len(point) == longestPoint-1 {
		return // no point that there can be
	}
	if b.set == nil {
		b.set = make(map[string]bool)
	}
	b.set[string(point)] = true
}

// remove has gdbserver take all of them out, in the place of the client. What it
// was talking about with the client is brought to its end first.
func (b *breakpoints) remove(conn io.ReadWriter) error {
	if len(b.set) == 0 {
		return nil
	}
	r := &remote{conn: conn}
	// A question that nothing else has an answer like.
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
		next := "qC" // the last one was not heard
		if symbol, ok := strings.CutPrefix(answer, "qSymbol:"); ok {
			next = "qSymbol::" + symbol // we know no symbols
		}
		if err := r.send(next); err != nil {
			return err
		}
	}
	points := make([]string, 0, len(b.set))
	for point := range b.set {
		points = append(points, point)
	}
	slices.Sort(points)
	for _, point := range points {
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
		// An answer other than OK is about a point that is not in the app: it was
		// refused, or went as the app executed another program.
	}
	_, err := conn.Write([]byte("+"))
	return err
}
