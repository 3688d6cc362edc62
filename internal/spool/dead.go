package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// DeadLetters is the name of the file, in a spool's directory, of the entries that Redis
// refused for good: one JSON object a line.
const DeadLetters = "dead-letters.jsonl"

// maxDeadLetters bounds the file of dead letters, in bytes. A quarter of the spool's size
// bounds it, too.
const maxDeadLetters = 16 << 20

// errDeadFull says that the file of dead letters is as large as it may be.
var errDeadFull = errors.New("the file of dead letters is full")

type deadLetters struct {
	mu    sync.Mutex
	name  string
	limit int64
	file  *os.File
	size  int64
	dirty bool // dirty: no sync has covered the last letter
}

func (d *deadLetters) open(dir string, size int64) {
	d.name = filepath.Join(dir, DeadLetters)
	d.limit = min(size/4, maxDeadLetters)
}

// A letter is one line of the file.
type letter struct {
	Time    time.Time         `json:"time"` // when it was set aside
	Stream  string            `json:"stream"`
	ID      string            `json:"id"`
	Reply   string            `json:"reply"` // the error reply of Redis
	Message *string           `json:"message,omitempty"`
	Base64  []byte            `json:"message_base64,omitempty"` // a message that is not UTF-8
	Fields  map[string]string `json:"fields,omitempty"`
}

// SetAside writes an entry that Redis will never take into the file of dead letters. It fails
// when that file is full.
func (s *Spool) SetAside(stream string, r Record, reply string) error {
	l := letter{Time: time.Now().UTC(), Stream: stream, ID: r.ID().String(), Reply: reply}
	if m := r.Message(); utf8.Valid(m) {
		text := string(m)
		l.Message = &text
	} else {
		l.Base64 = m
	}
	if fields := r.Fields(); len(fields) > 0 {
		l.Fields = make(map[string]string)
		for i := 0; i < len(fields); i += 2 {
			l.Fields[fields[i]] = fields[i+1]
		}
	}
	line, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("set an entry aside: %w", err)
	}
	return s.dead.write(append(line, '\n'))
}

func (d *deadLetters) write(line []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil && !d.present() {
		d.file.Close()
		d.file, d.dirty = nil, false
	}
	if d.file == nil {
		f, err := os.OpenFile(d.name, os.O_CREATE|os.O_APPEND|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
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
	var last [1]byte
	if _, err := d.file.ReadAt(last[:], d.size-1); err == nil && last[0] != '\n' {
		line = append([]byte{'\n'}, line...) // behind half a line, which a kill or a full disk has left
	}
	if d.size+int64(len(line)) > d.limit {
		return fmt.Errorf("set an entry aside: %w (%s)", errDeadFull, d.name)
	}
	n, err := d.file.Write(line)
	d.size += int64(n)
	d.dirty = true
	if err != nil {
		if n > 0 && d.file.Truncate(d.size-int64(n)) == nil {
			d.size -= int64(n)
		}
		return fmt.Errorf("set an entry aside: %w", err)
	}
	return nil
}

// present reports whether the open file still has its name: the user may remove it, or move it
// away, at any time.
func (d *deadLetters) present() bool {
	ours, err := d.file.Stat()
	there, err2 := os.Lstat(d.name)
	return err == nil && err2 == nil && os.SameFile(ours, there)
}

// sync makes the letters durable. Others can be written meanwhile.
func (d *deadLetters) sync() error {
	d.mu.Lock()
	file, dirty := d.file, d.dirty
	d.dirty = false
	d.mu.Unlock()
	if !dirty {
		return nil
	}
	err := errors.Join(file.Sync(), syncDir(filepath.Dir(d.name)))
	if err != nil {
		d.mu.Lock()
		d.dirty = d.dirty || d.file == file
		d.mu.Unlock()
	}
	return err
}

func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file.Close()
}
