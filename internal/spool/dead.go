package spool

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
)

// DeadLetters is the name of the file, in a spool's directory, of entries that
// Redis refused for good: one JSON object a line.
const DeadLetters = "dead-letters.jsonl"

// maxDeadLetters bounds the file of dead letters, in bytes; a quarter of the
// spool's size bounds it too.
const maxDeadLetters = 16 << 20

// errDeadFull says that the file of dead letters is as large as it may be.
var errDeadFull = errors.New("the file of dead letters is full")

type deadLetters struct {
	mu    sync.Mutex
	name  string
	limit int64
	file  *os.File
	size  int64
}

func (d *deadLetters) open(dir string, size int64) {
	d.name = filepath.Join(dir, DeadLetters)
	d.limit = min(size/4, maxDeadLetters)
}

// SetAside writes an entry that Redis will never take into the file of dead
// letters, as long as that is not full.
func (s *Spool) SetAside(stream string, r Record, reply string) error {
	return s.dead.write(append(appendLetter(nil, time.Now().UTC(), stream, r, reply), '\n'))
}

// appendLetter appends an entry as a line of the file, without the line end: time
// (when it was set aside), stream, id, reply (what Redis had against it), message,
// or message_base64 if it is no UTF-8, and fields, if it has any, sorted by name.
func appendLetter(b []byte, at time.Time, stream string, r Record, reply string) []byte {
	b = at.AppendFormat(append(b, `{"time":"`...), time.RFC3339Nano)
	b = jsontext.AppendText(b, `","stream":`, stream)
	b = jsontext.AppendText(b, `,"id":`, r.ID().String())
	b = jsontext.AppendText(b, `,"reply":`, reply)
	if m := r.Message(); utf8.Valid(m) {
		b = jsontext.AppendText(b, `,"message":`, string(m))
	} else {
		b = jsontext.AppendText(b, `,"message_base64":`, base64.StdEncoding.EncodeToString(m))
	}
	fields := r.Fields()
	for i := 2; i < len(fields); i += 2 {
		for j := i; j > 0 && fields[j] < fields[j-2]; j -= 2 {
			fields[j], fields[j-2] = fields[j-2], fields[j]
			fields[j+1], fields[j-1] = fields[j-1], fields[j+1]
		}
	}
	open := `,"fields":{`
	for i := 0; i < len(fields); i += 2 {
		if i+2 < len(fields) && fields[i] == fields[i+2] {
			continue // the last of one name counts
		}
		b = jsontext.AppendText(b, open, fields[i])
		b = jsontext.AppendText(b, ":", fields[i+1])
		open = ","
	}
	if len(fields) > 0 {
		b = append(b, '}')
	}
	return append(b, '}')
}

func (d *deadLetters) write(line []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		f, err := os.OpenFile(d.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return fmt.Errorf("set an entry aside: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return fmt.Errorf("set an entry aside: %w", err)
		}
		d.file, d.size = f, info.Size()
	}
	if d.size+int64(len(line)) > d.limit {
		return fmt.Errorf("set an entry aside: %w (%s)", errDeadFull, d.name)
	}
	n, err := d.file.Write(line)
	d.size += int64(n)
	if err != nil {
		if n > 0 && d.file.Truncate(d.size-int64(n)) == nil {
			d.size -= int64(n)
		}
		return fmt.Errorf("set an entry aside: %w", err)
	}
	return nil
}

func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		d.file.Sync()
		d.file.Close()
	}
}
