package panel

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/journal"
)

// visible makes untrusted text safe to show: it removes colour sequences (ECMA-48 SGR),
// replaces other control characters by their pictures (U+2400), and characters that are
// invisible or turn the direction of text by their numbers. Tabs and line ends stay.
func visible(s string) string {
	if !suspicious(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == 0x1b && journal.SGR(s[i:]) > 0:
			i += journal.SGR(s[i:])
			continue
		case r == utf8.RuneError && size == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\n', r == '\t':
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune(0x2400 + r)
		case r == 0x7f:
			b.WriteRune(0x2421)
		case r > 0x7f && !unicode.IsPrint(r) && r != 0xa0 && r != 0x200d:
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// suspicious is a quick test whether visible may have to change s.
func suspicious(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return true
		}
	}
	return false
}
