package jsontext

import (
	"bytes"
	"unicode/utf8"
)

// Unquote returns the text of a string that a Scanner has read, with its quotes. Without a
// backslash the result is a part of quoted, unchanged. Else it is a copy in which half a
// surrogate pair, or a byte that is not UTF-8, becomes U+FFFD.
func Unquote(quoted []byte) []byte {
	in := quoted[1 : len(quoted)-1]
	at := bytes.IndexByte(in, '\\')
	if at < 0 {
		return in
	}
	text := make([]byte, 0, len(in))
	for at = 0; at < len(in); {
		c := in[at]
		at++
		if c == '\\' {
			c = in[at]
			at++
			switch c {
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'u':
				r := unit(in[at:])
				at += 4
				if r&^0x7ff == 0xd800 {
					high, low := r, rune(0)
					r = utf8.RuneError
					if high < 0xdc00 && at < len(in) && in[at] == '\\' && in[at+1] == 'u' {
						low = unit(in[at+2:])
					}
					if low&^0x3ff == 0xdc00 {
						r = 0x10000 + (high-0xd800)<<10 + low - 0xdc00
						at += 6
					}
				}
				text = utf8.AppendRune(text, r)
				continue
			}
		} else if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(in[at-1:])
			at += size - 1
			text = utf8.AppendRune(text, r)
			continue
		}
		text = append(text, c)
	}
	return text
}

// unit returns the number in b's first four hexadecimal digits.
func unit(b []byte) rune { return hex(b[0])<<12 | hex(b[1])<<8 | hex(b[2])<<4 | hex(b[3]) }

// safe says which bytes need no escape in a string.
var safe = func() (safe [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		safe[c] = c != '"' && c != '\\' && c != 0x7f
	}
	return safe
}()

// AppendString appends text as a JSON string that is safe to print: it escapes DEL and C1
// controls, too, which a terminal may obey. Control characters other than \t, \n and \r become
// \u00XX, and bytes that are not UTF-8 U+FFFD.
func AppendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	for {
		n := 0
		for n < len(text) && safe[text[n]] {
			n++
		}
		dst = append(dst, text[:n]...)
		if n == len(text) {
			return append(dst, '"')
		}
		r, size := utf8.DecodeRune(text[n:])
		text = text[n+size:]
		short := byte(0)
		switch {
		case r == '"' || r == '\\':
			short = byte(r)
		case r == '\n':
			short = 'n'
		case r == '\r':
			short = 'r'
		case r == '\t':
			short = 't'
		}
		switch {
		case short != 0:
			dst = append(dst, '\\', short)
		case r < ' ', r >= 0x7f && r < 0xa0:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
}
