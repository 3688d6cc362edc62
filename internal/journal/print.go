package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A Printer writes entries as lines of text:
//
//	2026-11-23 20:15:01.123 out    what the app said
//
// The second column is out, err, status, error or crash. The pieces of a line
// that was split are joined again. Of JSON entries there are the time, the level
// and the message, and what else the app said as name=value.
type Printer struct {
	opts Options
	w    *bufio.Writer
	held [2]*Entry // a line whose last piece has not come; stdout, stderr
	text []byte    // to write to
}

// Options say what a Printer prints, and how.
type Options struct {
	Terminal bool           // colours, and no control characters but tabs and colours
	JSON     bool           // one JSON object a line; JSON entries as they are
	Level    entry.Level    // this and worse; NoLevel: everything
	Grep     *regexp.Regexp // what a line has to match, if not nil
}

// NewPrinter returns a Printer that writes to w.
func NewPrinter(w io.Writer, opts Options) *Printer {
	return &Printer{opts: opts, w: bufio.NewWriter(w)}
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
func (p *Printer) Print(entries []Entry) error { return p.PrintLast(entries, -1) }

// PrintLast is Print for no more than the last n lines that are to be written; for
// all of them if n is negative.
func (p *Printer) PrintLast(entries []Entry, n int) error {
	var lines []Entry
	for _, e := range entries {
		if e, ok := p.join(e); ok && p.wants(&e) {
			lines = append(lines, e)
		}
	}
	if n >= 0 && len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	for i := range lines {
		p.line(&lines[i])
	}
	return p.w.Flush()
}

// join returns e with the pieces of its line that came before, or false if more
// are to come.
func (p *Printer) join(e Entry) (Entry, bool) {
	if e.Stream != entry.Info {
		return e, true
	}
	if line, ok := entry.ReadLine(e.Message); ok {
		e.object = &line
		if p.opts.JSON {
			return e, true // as they are
		}
	}
	held := &p.held[0]
	if e.Stderr {
		held = &p.held[1]
	}
	if h := *held; h != nil {
		if h.object != nil && e.object != nil {
			h.object.Msg = append(h.object.Msg, e.object.Msg...)
		} else {
			h.Message = append(h.Message, e.Message...)
		}
		h.Partial = e.Partial
		e = *h
	}
	*held = nil
	if e.Partial {
		*held = &e
		return Entry{}, false
	}
	return e, true
}

// wants says whether a line is to be written.
func (p *Printer) wants(e *Entry) bool {
	level := e.level()
	if level == entry.NoLevel {
		level = entry.Information
	}
	return level >= p.opts.Level && (p.opts.Grep == nil || p.opts.Grep.Match(e.words()))
}

// level is how bad an entry is; NoLevel if it does not say.
func (e *Entry) level() entry.Level {
	switch {
	case e.Stream == entry.Status:
		return entry.Information
	case e.Stream == entry.Error, e.Stream == entry.Crash:
		return entry.Severe
	case e.object != nil:
		return e.object.Level
	}
	return entry.LevelOf(e.Message)
}

// words are what an entry says, without its time and level.
func (e *Entry) words() []byte {
	if e.object == nil {
		return bytes.TrimSuffix(e.Message, []byte("\n"))
	}
	text := bytes.Clone(e.object.Msg)
	for _, f := range e.object.Fields {
		text = append(append(append(append(text, ' '), f.Name...), '='), f.Value...)
		if f.IsString && (len(f.Value) == 0 || bytes.ContainsAny(f.Value, " \t\n\"=")) {
			text = strconv.AppendQuote(text[:len(text)-len(f.Value)], string(f.Value))
		}
	}
	return text
}

// Finish writes what there is of lines whose last piece did not come.
func (p *Printer) Finish() error {
	for i, e := range p.held {
		if e != nil && p.wants(e) {
			p.line(e)
		}
		p.held[i] = nil
	}
	return p.w.Flush()
}

func (p *Printer) line(e *Entry) {
	label, colour := look(e)
	if p.opts.JSON {
		text := e.Message
		if e.object == nil {
			level := e.level()
			if level == entry.NoLevel {
				level = entry.Information
			}
			source := map[string]string{"out": "stdout", "err": "stderr"}[strings.TrimSpace(label)]
			if source == "" {
				source = strings.TrimSpace(label)
			}
			text = entry.AppendPlain(p.text[:0], text, e.Time(), level, source)
			p.text = text
		}
		p.w.Write(text)
		p.w.WriteByte('\n')
		return
	}
	at, message := e.Time(), e.words()
	if e.object != nil {
		at = e.object.Time.Local()
		message = append(fmt.Appendf(nil, "%-5s ", e.object.Level), message...)
	}
	stamp := at.Format("2006-01-02 15:04:05.000 ")
	if !p.opts.Terminal {
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
	switch e.level() {
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
