package journal

import (
	"bufio"
	"bytes"
	"io"
	"slices"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Printer writes lines as text:
//
//	2026-11-23 20:15:01.123 out    what the app said
//	2026-11-23 20:15:01.124 err    WARN  what it said in the JSON format key=value
//
// The second column is out, err, status, error or crash; of several apps, their name is
// before it.
type Printer struct {
	w     *bufio.Writer
	style Style
}

// A Style is how lines are printed.
type Style struct {
	Output   string // Text, JSON or Raw; "" is Text
	Colour   bool
	Harmless bool // for a terminal: no control characters but tabs, line ends and colours; else bytes unchanged
	Apps     bool // Text: with the app's name
}

// Values of Style.Output.
const (
	Text = "text"
	JSON = "json" // one object a line, whatever the entry's format
	Raw  = "raw"  // the entries' messages unchanged, and nothing else
)

// NewPrinter returns a Printer.
func NewPrinter(w io.Writer, style Style) *Printer { return &Printer{bufio.NewWriter(w), style} }

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
	switch p.style.Output {
	case Raw:
		p.w.Write(p.shown(bytes.TrimSuffix(l.Raw, []byte("\n"))))
		p.w.WriteByte('\n')
		return
	case JSON:
		p.w.Write(p.shown(l.appendJSON(nil)))
		p.w.WriteByte('\n')
		return
	}
	label, colour := labelOf(l)
	stamp := l.Time.Format("2006-01-02 15:04:05.000 ")
	if p.style.Apps {
		stamp += string(p.shown([]byte(l.App))) + " "
	}
	if !p.style.Colour {
		p.w.WriteString(stamp + label)
		p.w.Write(p.shown(l.appendBody(nil, "", "")))
		p.w.WriteByte('\n')
		return
	}
	p.w.WriteString(dim + stamp + plain + colour + label)
	p.w.Write(p.shown(l.appendBody(nil, plain+dim, plain)))
	p.w.WriteString(plain + "\n")
}

func (p *Printer) shown(text []byte) []byte {
	if p.style.Harmless {
		return Harmless(text)
	}
	return text
}

// source returns the pipe that the app wrote to.
func (l *Line) source() string {
	if l.Stderr {
		return "stderr"
	}
	return "stdout"
}

// appendJSON appends the line as one JSON object on one line. Its keys are _id (the line's
// EntryName), _stream, and those of the JSON format of entries (docs/logs.md). Only a whole
// entry in the JSON format has run, pid and seq. Another field of that name gets "app." before it.
func (l *Line) appendJSON(dst []byte) []byte {
	member := func(key string, value []byte) {
		dst = append(dst, ',')
		dst = jsontext.AppendString(dst, []byte(key))
		dst = append(dst, ':')
		dst = jsontext.AppendString(dst, value)
	}
	verbatim := func(text []byte) {
		for _, c := range text {
			if c != '\n' && c != '\r' { // these stand between values only
				dst = append(dst, c)
			}
		}
	}
	dst = append(dst, `{"_id":`...)
	dst = jsontext.AppendString(dst, []byte(l.EntryName().String()))
	member("_stream", []byte(l.Stream.String()))
	if l.JSON && !l.Joined {
		dst = append(dst, ',')
		if !slices.ContainsFunc(l.Fields, func(f entry.Field) bool { return ours(string(f.Key)) }) {
			verbatim(l.Raw[1:])
			return dst
		}
		m, _ := entry.ReadJSON(l.Raw)
		verbatim(m.Own[1:])
	} else {
		level := l.Level
		if level == loglevel.None {
			level = loglevel.Info
		}
		member("time", l.Time.AppendFormat(nil, "2006-01-02T15:04:05.000000000Z07:00"))
		member("level", []byte(level.String()))
		member("msg", bytes.TrimSuffix(l.Text, []byte("\n")))
		member("service", []byte(l.App))
		if l.Stream == logstream.Info {
			member("source", []byte(l.source()))
		}
		for i := 0; i+1 < len(l.More); i += 2 {
			member(theirs(l.More[i]), []byte(l.More[i+1]))
		}
	}
	for _, f := range l.Fields {
		member(theirs(string(f.Key)), nil)
		dst = dst[:len(dst)-len(`""`)]
		verbatim(f.Value)
	}
	return append(dst, '}')
}

// ours reports whether appendJSON itself writes the key.
func ours(key string) bool {
	switch key {
	case "_id", "_stream", "time", "level", "msg", "service", "source":
		return true
	}
	return false
}

// theirs returns the key for a field of the app or of another writer.
func theirs(key string) string {
	if ours(key) {
		return "app." + key
	}
	return key
}

// appendBody appends a line's text; in the JSON format its level before and its fields after.
// key and value are colours for the fields.
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

// labelOf returns a line's label and colour.
func labelOf(l *Line) (label, colour string) {
	switch l.Stream {
	case logstream.Status:
		return "status ", cyan
	case logstream.Error:
		return "error  ", red
	case logstream.Crash:
		return "crash  ", alarm
	}
	label = "out    "
	if l.Stderr {
		label = "err    "
	}
	switch l.Level {
	case loglevel.Debug:
		colour = dim
	case loglevel.Warn:
		colour = yellow
	case loglevel.Error:
		colour = red
	}
	return label, colour
}

// Harmless returns text without control characters, except tabs, line ends and colour
// sequences: the others could command a terminal.
func Harmless(text []byte) []byte {
	clean := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == 0x1b:
			if n := SGR(text[i:]); n > 0 {
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

// SGR returns the length of the colour sequence (ECMA-48 SGR) at the beginning of text, 0 for none.
func SGR[T string | []byte](text T) int {
	if len(text) < 3 || text[0] != 0x1b || text[1] != '[' {
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
