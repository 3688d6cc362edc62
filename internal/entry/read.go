package entry

import (
	"time"
)

// A Line is what a JSON object that JSON made says.
type Line struct {
	Time  time.Time
	Level Level
	Msg   []byte
	// Fields are the names and values of the app's own members; a value that is
	// a string is without quotes.
	Fields []Field
}

// A Field is one member of a JSON object.
type Field struct {
	Name, Value []byte
	IsString    bool
}

// ReadLine reads an object that JSON has made. ok is false for any other text.
func ReadLine(text []byte) (line Line, ok bool) {
	list, ok := members(nil, text)
	if !ok || len(list) < len(ours) {
		return Line{}, false
	}
	for i, name := range ours {
		if got, _ := unquote(list[i].name); string(got) != name {
			return Line{}, false
		}
	}
	stamp, _ := unquote(list[0].value)
	level, _ := unquote(list[1].value)
	var err error
	if line.Time, err = time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return Line{}, false
	}
	line.Level = capitals(level)
	line.Msg, _ = unquote(list[2].value)
	for _, m := range list[len(ours):] {
		f := Field{Value: m.value}
		f.Name, _ = unquote(m.name)
		if s, ok := unquote(m.value); ok {
			f.Value, f.IsString = s, true
		}
		line.Fields = append(line.Fields, f)
	}
	return line, true
}

// ParseLevel reads the name of a level in any case: debug, info, warn or warning,
// error.
func ParseLevel(s string) (Level, bool) {
	level := named([]byte(s))
	return level, level != NoLevel
}

// AppendPlain appends a JSON object for text that is none: what wrapp itself said,
// or a line that was stored as text. source says where it comes from.
func AppendPlain(dst, text []byte, at time.Time, level Level, source string) []byte {
	dst = append(dst, `{"time":"`...)
	dst = at.AppendFormat(dst, stampLayout)
	dst = append(append(append(dst, `","level":"`...), level.String()...), `","msg":`...)
	dst = appendString(dst, text)
	dst = appendString(append(dst, `,"source":`...), []byte(source))
	return append(dst, '}')
}
