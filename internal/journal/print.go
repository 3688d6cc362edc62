package journal

import (
	"bufio"
	"bytes"
	"io"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A Printer writes entries as lines of text:
//
//	2026-11-23 20:15:01.123 out    what the app said
//
// The second column is out, err, status, error or crash. The pieces of a line
// that was split are joined again.
type Printer struct {
	w      *bufio.Writer
	colour bool
	held   [2]*Entry // a line whose last piece has not come; stdout, stderr
}

// NewPrinter returns a Printer for a terminal, which gets colours and no control
// characters but tabs and colours, or for anything else, which gets the bytes as
// they are.
func NewPrinter(w io.Writer, terminal bool) *Printer {
	return &Printer{w: bufio.NewWriter(w), colour: terminal}
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

// Print writes entries. A line that was split is written when its last piece is
// there.
func (p *Printer) Print(entries []Entry) error {
	for _, e := range entries {
		if e.Stream == entry.Info {
			held := &p.held[0]
			if e.Stderr {
				held = &p.held[1]
			}
			if *held != nil {
				(*held).Message = append((*held).Message, e.Message...)
				e.Message, e.ID = (*held).Message, (*held).ID
			}
			*held = nil
			if e.Partial {
				*held = &e
				continue
			}
		}
		p.line(&e)
	}
	return p.w.Flush()
}

// Finish writes what there is of lines whose last piece did not come.
func (p *Printer) Finish() error {
	for i, e := range p.held {
		if e != nil {
			p.line(e)
			p.held[i] = nil
		}
	}
	return p.w.Flush()
}

func (p *Printer) line(e *Entry) {
	label, colour := look(e)
	stamp := e.Time().Format("2006-01-02 15:04:05.000 ")
	message := bytes.TrimSuffix(e.Message, []byte("\n"))
	if !p.colour {
		p.w.WriteString(stamp + label)
		p.w.Write(message)
		p.w.WriteByte('\n')
		return
	}
	p.w.WriteString(dim + stamp + plain + colour + label)
	p.w.Write(harmless(message))
	p.w.WriteString(plain + "\n")
}

// look is an entry's label and colour.
func look(e *Entry) (label, colour string) {
	switch e.Stream {
	case entry.Status:
		return "status ", cyan
	case entry.Error:
		return "error  ", red
	case entry.Crash:
		return "crash  ", alarm
	}
	label = "out    "
	if e.Stderr {
		label = "err    "
	}
	switch entry.LevelOf(e.Message) {
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
