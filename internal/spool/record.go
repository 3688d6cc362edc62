package spool

import (
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Record is one entry as the outbox holds it in memory and as a segment holds
// it on disk. It is written once, when the entry is added; afterwards only its
// state changes, and only in memory. Numbers are little-endian.
//
//	 0  uint32  CRC32C, on disk only
//	 4  uint32  size of the whole record, in bytes
//	 8  uint32  length of the message
//	12  uint8   stream
//	13  uint8   entry.Flags
//	14  uint8   state; on disk only Own
//	15  uint8   number of further fields
//	16  uint32  sequence number of the ID
//	20  uint64  milliseconds of the ID
//	28  uint64  ordinal: rises from record to record, and may leap
//	36          message; then, for each further field, name and value, each
//	            behind its length as a uint32
//
// The CRC covers the segment's salt and writer and everything behind the CRC itself: it starts
// with the seed that readHeader returns.
type Record []byte

// HeaderSize is the size of a record without its message and further fields.
const HeaderSize = 36

// Bits of a record's state.
const (
	// Skip: never sent again, because Redis refused it for good, or because it landed ahead of
	// others by plain XADD. On disk the journal's Done covers it, once all before it are done.
	Skip = 1 << 0
	Own  = 1 << 4 // wrapp's own entry; see Class
)

// Size returns the size of a record for a message and further fields, in bytes.
func Size(message []byte, fields []string) int {
	size := HeaderSize + len(message)
	for _, f := range fields {
		size += 4 + len(f)
	}
	return size
}

// Fill writes an entry into r, whose length must be Size(message, fields). The ID's sequence number
// must fit in 32 bits.
func (r Record) Fill(ordinal uint64, id entry.ID, stream logstream.Stream, flags entry.Flags, state byte, message []byte, fields []string) {
	binary.LittleEndian.PutUint32(r, 0)
	binary.LittleEndian.PutUint32(r[4:], uint32(len(r)))
	binary.LittleEndian.PutUint32(r[8:], uint32(len(message)))
	r[12], r[13], r[14], r[15] = byte(stream), byte(flags), state, byte(len(fields)/2)
	binary.LittleEndian.PutUint32(r[16:], uint32(id.Seq))
	binary.LittleEndian.PutUint64(r[20:], id.Ms)
	binary.LittleEndian.PutUint64(r[28:], ordinal)
	n := HeaderSize + copy(r[HeaderSize:], message)
	for _, f := range fields {
		binary.LittleEndian.PutUint32(r[n:], uint32(len(f)))
		n += 4 + copy(r[n+4:], f)
	}
}

// At returns the record that begins at offset at of buf.
func At(buf []byte, at int) Record {
	return Record(buf[at:][:binary.LittleEndian.Uint32(buf[at+4:])])
}

// Message is the entry's message.
func (r Record) Message() []byte { return r[HeaderSize:][:binary.LittleEndian.Uint32(r[8:])] }

// Stream is the stream that the entry belongs to.
func (r Record) Stream() logstream.Stream { return logstream.Stream(r[12]) }

// Flags are the entry's flags.
func (r Record) Flags() entry.Flags { return entry.Flags(r[13]) }

// Ordinal is the entry's number: above those of all entries that its writer added before.
func (r Record) Ordinal() uint64 { return binary.LittleEndian.Uint64(r[28:]) }

// Is reports whether any of the given bits of the state is set.
func (r Record) Is(state byte) bool { return r[14]&state != 0 }

// A Class orders the dropping of records to make room: lower classes go first.
type Class uint8

// The classes.
const (
	Lines   Class = iota // of the app
	Reports              // of crashes: an app can cause any number of them
	Words                // wrapp's other entries
	Classes              // how many there are
)

// ClassOf returns the class of a record, by its stream and state.
func ClassOf(stream logstream.Stream, state byte) Class {
	switch {
	case state&Own == 0:
		return Lines
	case stream == logstream.Crash:
		return Reports
	}
	return Words
}

// Class is the record's class.
func (r Record) Class() Class { return ClassOf(r.Stream(), r[14]) }

// Set sets bits of the state.
func (r Record) Set(state byte) { r[14] |= state }

// ID is the ID that the entry has, or will have, in its stream.
func (r Record) ID() entry.ID {
	return entry.ID{Ms: binary.LittleEndian.Uint64(r[20:]), Seq: uint64(binary.LittleEndian.Uint32(r[16:]))}
}

// Extra is the number of further fields.
func (r Record) Extra() int { return int(r[15]) }

// Fields returns all fields of the entry but `message`, names and values in turn.
func (r Record) Fields() []string {
	fields := r.Flags().Fields()
	rest := r[HeaderSize+len(r.Message()):]
	for range 2 * r.Extra() {
		n := binary.LittleEndian.Uint32(rest)
		fields = append(fields, string(rest[4:4+n]))
		rest = rest[4+n:]
	}
	return fields
}

// castagnoli is made when a spool is first used: it takes 0.4 ms, which is much of a start.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// seal prepares a copy of a record for a segment: it clears the state that only memory has,
// and sets the CRC.
func (r Record) seal(seed uint32) {
	r[14] &= Own
	binary.LittleEndian.PutUint32(r, crc32.Update(seed, castagnoli(), r[4:]))
}

// sealAll seals the records of an extent.
func sealAll(extent []byte, seed uint32) {
	for at := 0; at < len(extent); {
		r := At(extent, at)
		r.seal(seed)
		at += len(r)
	}
}

// parse returns the record at the beginning of buf, or nil if it is damaged or not whole.
func parse(buf []byte, seed uint32) Record {
	r := frame(buf)
	if r == nil || binary.LittleEndian.Uint32(r) != crc32.Update(seed, castagnoli(), r[4:]) {
		return nil
	}
	return r
}

// frame is parse without the CRC.
func frame(buf []byte) Record {
	if len(buf) < HeaderSize {
		return nil
	}
	size := uint64(binary.LittleEndian.Uint32(buf[4:]))
	if size < HeaderSize || size > uint64(len(buf)) || !Record(buf[:size]).sound() {
		return nil
	}
	return Record(buf[:size])
}

// sound reports whether the lengths within a record add up and its bytes are valid.
func (r Record) sound() bool {
	rest := uint64(len(r) - HeaderSize)
	n := uint64(binary.LittleEndian.Uint32(r[8:]))
	if n > rest || r.Stream() >= logstream.Count || r.Flags() >= entry.FlagSets || r[14]&^Own != 0 {
		return false
	}
	b := r[HeaderSize+n:]
	for range 2 * r.Extra() {
		if len(b) < 4 {
			return false
		}
		n := uint64(binary.LittleEndian.Uint32(b))
		if n > uint64(len(b)-4) {
			return false
		}
		b = b[4+n:]
	}
	return len(b) == 0
}
