package entry

import (
	"bytes"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// A Message is the content of a message in the JSON format.
type Message struct {
	Time   time.Time
	Level  loglevel.Level
	Text   []byte // msg
	Fields []Field
	Own    []byte // Own: the object's text before the Fields, which wrapp makes
}

// A Field is a field that the app wrote; Value is its JSON text.
type Field struct{ Key, Value []byte }

// made are the keys of a message in the JSON format, in the order in which
// Append writes them.
var made = [...]string{"time", "level", "msg", "service", "source", "run", "pid", "seq"}

// ReadJSON reads a message that a JSON made. ok is false for any other message, also for an
// object of the app that wrapp passed on unchanged. The result shares memory with message.
func ReadJSON(message []byte) (m Message, ok bool) {
	if !bytes.HasPrefix(message, []byte(`{"time":"`)) {
		return m, false
	}
	members, ok := object(nil, message)
	if !ok || len(members) < len(made) {
		return m, false
	}
	for i, key := range made {
		v := members[i].value(message)
		if string(members[i].key(message)) != key || i < 6 && v[0] != '"' {
			return m, false
		}
	}
	t, err := time.Parse(time.RFC3339Nano, string(jsontext.Unquote(members[0].value(message))))
	if err != nil {
		return m, false
	}
	m.Time = t
	if m.Level, _ = loglevel.Word(jsontext.Unquote(members[1].value(message))); m.Level == loglevel.None {
		return m, false
	}
	m.Text = jsontext.Unquote(members[2].value(message))
	m.Own = message[:members[len(made)-1].end]
	for _, mem := range members[len(made):] {
		m.Fields = append(m.Fields, Field{mem.plain(message), mem.value(message)})
	}
	return m, true
}

// AppendText appends the value for people: a string without its quotes, unless its end would
// then be unclear.
func (f Field) AppendText(dst []byte) []byte {
	if f.Value[0] == '"' {
		text := jsontext.Unquote(f.Value)
		if len(text) == 0 || bytes.ContainsFunc(text, unclear) {
			return append(dst, f.Value...)
		}
		return append(dst, text...)
	}
	for _, c := range f.Value {
		if c != '\n' && c != '\r' && c != '\t' { // only between values: strings escape them
			dst = append(dst, c)
		}
	}
	return dst
}

func unclear(r rune) bool {
	return r <= ' ' || r == '"' || r == '=' || r >= 0x7f && r < 0xa0 || r == 0xfffd
}
