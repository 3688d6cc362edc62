package debug

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// breakpoints follows what a client tells gdbserver and remembers which break-
// and watchpoints are in the app. A client takes them out before it goes; where
// its connection is lost nobody does, and the app would be killed by the first
// one it came to.
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

// removal is what to tell gdbserver to have all of them out. The plus signs
// acknowledge its answers, and mean nothing to it where it needs none.
func (b *breakpoints) removal() []byte {
	text := []byte("+")
	for _, point := range slices.Sorted(maps.Keys(b.set)) {
		text = append(text, packet("z"+point)...)
		text = append(text, '+')
	}
	return text
}

// packet is a packet of GDB's remote protocol: $command#checksum.
func packet(command string) []byte {
	sum := byte(0)
	for _, b := range []byte(command) {
		sum += b
	}
	return fmt.Appendf(nil, "$%s#%02x", command, sum)
}
