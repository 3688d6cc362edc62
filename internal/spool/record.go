package spool

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
)

// A Record is one entry as the outbox holds it in memory and as a segment holds
// it on disk. It is written once, when the entry is added; later only its
// state changes, and that only in memory. Numbers are little-endian.
//
//	 0  uint32  CRC32C, on disk only
//	 4  uint32  size of the whole record, in bytes
//	 8  uint32  length of the message
//	12  uint8   stream
//	13  uint8   entry.Flags
//	14  uint8   state; on disk only whether it is Kept
//	15  uint8   number of further fields
//	16  uint32  sequence number of the ID
//	20  uint64  milliseconds of the ID
//	28  uint64  ordinal: counts the records of a spool
//	36          message; then, for each further field, name and value, each
//	            behind its length as a uint32
//
// The CRC is taken over the segment's salt and everything behind the CRC itself.
type Record []byte

// HeaderSize is the size of a record without its message and further fields.
const HeaderSize = 36

// What a record's state says.
const (
	Settled = 1 << 0 // never to be sent again, whatever the position says; in memory only
	Kept    = 1 << 4 // wrapp's own words: the last to be dropped to make room
)

// Size is the size in bytes of a record for a message and further fields.
func Size(message []byte, fields []string) int {
	size := HeaderSize + len(message)
	for _, f := range fields {
		size += 4 + len(f)
	}
	return size
}

// Fill writes an entry into r, whose length is what Size says.
func (r Record) Fill(ordinal uint64, id entry.ID, stream logstream.Stream, flags entry.Flags, state byte, message []byte, fields []string) {
	binary.LittleEndian.PutUint32(r, 0)
	binary.LittleEndian.PutUint32(r[4:], uint32(len(r)))
	binary.LittleEndian.PutUint32(r[8:], uint32(len(message)))
	r[12], r[13], r[14], r[15] = byte(stream), byte(flags), state, byte(len(fields)/2)
	r.Number(ordinal, id)
	n := HeaderSize + copy(r[HeaderSize:], message)
	for _, f := range fields {
		binary.LittleEndian.PutUint32(r[n:], uint32(len(f)))
		n += 4 + copy(r[n+4:], f)
	}
}

// At is the record that begins at offset at of buf.
func At(buf []byte, at int) Record {
	return Record(buf[at:][:binary.LittleEndian.Uint32(buf[at+4:])])
}

// Message is the entry's message.
func (r Record) Message() []byte { return r[HeaderSize:][:binary.LittleEndian.Uint32(r[8:])] }

// Stream is the stream that the entry belongs to.
func (r Record) Stream() logstream.Stream { return logstream.Stream(r[12]) }

// Flags say what is special about the entry.
func (r Record) Flags() entry.Flags { return entry.Flags(r[13]) }

// Ordinal is the record's number among all of its spool.
func (r Record) Ordinal() uint64 { return binary.LittleEndian.Uint64(r[28:]) }

// Is reports whether any of the given states is true of the record.
func (r Record) Is(state byte) bool { return r[14]&state != 0 }

// A Class says in which order records are dropped to make room: those of a lower class first.
type Class uint8

// The classes.
const (
	Lines   Class = iota // of the app
	Reports              // wrapp's, of crashes: an app can cause as many as it likes
	Words                // whatever else wrapp has to say
	Classes
)

// ClassOf is the class of a record of a stream with that state.
func ClassOf(stream logstream.Stream, state byte) Class {
	switch {
	case state&Kept == 0:
		return Lines
	case stream == logstream.Crash:
		return Reports
	}
	return Words
}

// Class is the record's class.
func (r Record) Class() Class { return ClassOf(r.Stream(), r[14]) }

// Set makes states true.
func (r Record) Set(state byte) { r[14] |= state }

// ID is the ID that the entry has, or will have, in its stream.
func (r Record) ID() entry.ID {
	return entry.ID{Ms: binary.LittleEndian.Uint64(r[20:]), Seq: uint64(binary.LittleEndian.Uint32(r[16:]))}
}

// Number gives the record its ordinal and its ID, of whose sequence number 32 bits are kept.
func (r Record) Number(ordinal uint64, id entry.ID) {
	binary.LittleEndian.PutUint32(r[16:], uint32(id.Seq))
	binary.LittleEndian.PutUint64(r[20:], id.Ms)
	binary.LittleEndian.PutUint64(r[28:], ordinal)
}

// Extra is the number of further fields.
func (r Record) Extra() int { return int(r[15]) }

// Fields are all fields of the entry but `message`, names and values in turn.
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal makes a copy of a record ready for a segment.
func (r Record) seal(salt uint32) {
	r[14] &= Kept
	binary.LittleEndian.PutUint32(r, crc32.Update(salt, castagnoli, r[4:]))
}

// sealAll seals the records of a run.
func sealAll(run []byte, salt uint32) {
	for at := 0; at < len(run); {
		r := At(run, at)
		r.seal(salt)
		at += len(r)
	}
}

// parse returns the record at the beginning of buf, or nil if there is no whole
// and undamaged one.
func parse(buf []byte, salt uint32) Record {
	if len(buf) < HeaderSize {
		return nil
	}
	size := uint64(binary.LittleEndian.Uint32(buf[4:]))
	if size < HeaderSize || size > uint64(len(buf)) {
		return nil
	}
	r := Record(buf[:size])
	if binary.LittleEndian.Uint32(r) != crc32.Update(salt, castagnoli, r[4:]) || !r.sound() {
		return nil
	}
	return r
}

// sound says whether the lengths within a record add up.
func (r Record) sound() bool {
	rest := uint64(len(r) - HeaderSize)
	n := uint64(binary.LittleEndian.Uint32(r[8:]))
	if n > rest || r.Stream() >= logstream.Count || r.Flags() >= entry.FlagSets || r[14]&^Kept != 0 {
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
