package journal

import (
	"bufio"
	"bytes"
	"io"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A Printer writes lines as text:
//
//	2026-11-23 20:15:01.123 out    what the app said
//	2026-11-23 20:15:01.124 err    WARN  what it said in the JSON format key=value
//
// The second column is out, err, status, error or crash.
type Printer struct {
	w        *bufio.Writer
	terminal bool
	raw      bool
}

// NewPrinter returns a Printer for a terminal, which gets colours and no control
// characters but tabs and colours, or for anything else, which gets the bytes as
// they are. If raw is set, it writes the entries' messages as they are and
// nothing else.
func NewPrinter(w io.Writer, terminal, raw bool) *Printer {
	return &Printer{bufio.NewWriter(w), terminal, raw}
}

// Colours, as SGR sequences (ECMA-48).
const (
	plain  = "\x1b[0m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	alarm  = "\x1b[1;31m"
)

// Print writes lines.
func (p *Printer) Print(lines []Line) error {
	for i := range lines {
		p.line(&lines[i])
	}
	return p.w.Flush()
}

func (p *Printer) line(l *Line) {
	if p.raw {
		message := bytes.TrimSuffix(l.Raw, []byte("\n"))
		if p.terminal {
			message = harmless(message)
		}
		p.w.Write(message)
		p.w.WriteByte('\n')
		return
	}
	label, colour := look(l)
	stamp := l.Time.Format("2006-01-02 15:04:05.000 ")
	if !p.terminal {
		p.w.WriteString(stamp + label)
		p.w.Write(l.appendBody(nil, "", ""))
		p.w.WriteByte('\n')
		return
	}
	p.w.WriteString(dim + stamp + plain + colour + label)
	p.w.Write(harmless(l.appendBody(nil, plain+dim, plain)))
	p.w.WriteString(plain + "\n")
}

// appendBody appends what a line says: its text, and in the JSON format its
// level before and its fields behind, their keys between two sequences.
func (l *Line) appendBody(dst []byte, key, value string) []byte {
	if l.JSON {
		level := l.Level.String()
		dst = append(dst, level...)
		dst = append(dst, "      "[min(len(level), 5):]...) // the longest is ERROR
	}
	dst = append(dst, bytes.TrimSuffix(l.Text, []byte("\n"))...)
	for i := range l.Fields {
		f := &l.Fields[i]
		dst = append(dst, ' ')
		dst = append(dst, key...)
		dst = append(dst, f.Key...)
		dst = append(dst, '=')
		dst = append(dst, value...)
		dst = f.AppendText(dst)
	}
	return dst
}

// look is a line's label and colour.
func look(l *Line) (label, colour string) {
	switch l.Stream {
	case entry.Status:
		return "status ", cyan
	case entry.Error:
		return "error  ", red
	case entry.Crash:
		return "crash  ", alarm
	}
	label = "out    "
	if l.Stderr {
		label = "err    "
	}
	switch l.Level {
	case entry.Debug:
		colour = dim
	case entry.Warning:
		colour = yellow
	case entry.Severe:
		colour = red
	}
	return label, colour
}

// harmless is text without what could command a terminal: of the control
// characters only tabs, line ends and colour sequences stay.
func harmless(text []byte) []byte {
	clean := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == 0x1b:
			if n := sgr(text[i:]); n > 0 {
				clean = append(clean, text[i:i+n]...)
				i += n - 1
				continue
			}
			clean = append(clean, "^["...)
		case c < ' ' && c != '\t' && c != '\n', c == 0x7f:
			clean = append(clean, '^', c^0x40)
		case c == 0xc2 && i+1 < len(text) && text[i+1] >= 0x80 && text[i+1] < 0xa0:
			clean = append(clean, '?') // a C1 control character in UTF-8
			i++
		default:
			clean = append(clean, c)
		}
	}
	return clean
}

// sgr is the length of the colour sequence that text begins with, 0 if it does
// not begin with one.
func sgr(text []byte) int {
	if len(text) < 3 || text[1] != '[' {
		return 0
	}
	for i := 2; i < len(text); i++ {
		switch c := text[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}
