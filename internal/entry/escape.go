package entry

import "bytes"

// escape returns the length of the terminal sequence at the beginning of b (ECMA-48: CSI,
// OSC and other strings, two-byte functions), or 0 without one or its end. b
// begins with ESC.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch c := b[1]; {
	case c == '[':
		for i := 2; i < len(b); i++ {
			switch c := b[i]; {
			case c >= 0x40 && c <= 0x7e:
				return i + 1
			case c < 0x20 || c > 0x7e:
				return 0
			}
		}
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		// A string ends with BEL or ST, and never goes beyond a line.
		for i := 2; i < len(b); i++ {
			switch {
			case b[i] == 0x07:
				return i + 1
			case b[i] == 0x1b && i+1 < len(b) && b[i+1] == '\\':
				return i + 2
			case b[i] == '\n' || b[i] == 0x1b:
				return 0
			}
		}
	case c >= 0x20 && c <= 0x2f:
		for i := 2; i < len(b); i++ {
			switch c := b[i]; {
			case c >= 0x30 && c <= 0x7e:
				return i + 1
			case c < 0x20 || c > 0x2f:
				return 0
			}
		}
	case bytes.IndexByte([]byte("78=>cDEHMNOZ"), c) >= 0:
		return 2
	}
	return 0
}

// appendWithoutEscapes appends text without terminal sequences, up to limit bytes.
func appendWithoutEscapes(dst, text []byte, limit int) []byte {
	for len(text) > 0 && limit > 0 {
		n := bytes.IndexByte(text, 0x1b)
		if n == 0 {
			if skip := escape(text); skip > 0 {
				text = text[skip:]
				continue
			}
			n = 1
		}
		if n < 0 {
			n = len(text)
		}
		n = min(n, limit)
		dst = append(dst, text[:n]...)
		text = text[n:]
		limit -= n
	}
	return dst
}
