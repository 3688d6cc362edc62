package spool

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A file of a spool, segment or journal, begins with a header:
//
//	 0  8 bytes  "wrappseg" or "wrappjnl"
//	 8  uint32   version of the format
//	12  uint32   salt: random, so that no bytes an app wrote can pass for a record
//	16  uint64   writer: the process whose records these are; 0 in a journal
//	24  uint32   reserved: written as 0, not read, not in the CRCs of records
//	28  uint32   CRC32C of the 28 bytes before
//
// Behind it come records or notes.
//
// In version 1 bytes 12 to 15 were 0, a salt of 8 bytes stood in place of the writer, and a
// journal could give records other IDs. We still read its segments, with the salt as their
// writer, and its journals, except for the IDs.
//
// Every version must keep the magic, the version and the CRC of the first 28 bytes where they
// are: only so does an older wrapp see that it does not know the version, and leave the file
// alone. A new version needs a case in readHeader. A directory may have files of several
// versions; the first update replaces a journal of any version.
const (
	segmentMagic   = "wrappseg"
	journalMagic   = "wrappjnl"
	formatVersion  = 2
	fileHeaderSize = 32
)

func newHeader(magic string, writer uint64) []byte {
	h := make([]byte, fileHeaderSize)
	copy(h, magic)
	binary.LittleEndian.PutUint32(h[8:], formatVersion)
	rand.Read(h[12:16])
	binary.LittleEndian.PutUint64(h[16:], writer)
	binary.LittleEndian.PutUint32(h[28:], crc32.Checksum(h[:28], castagnoli()))
	return h
}

// readHeader returns the seed of the CRCs in a file with this header, and the writer of its
// records. The error says what is wrong with the header.
func readHeader(header []byte, magic string) (seed uint32, writer uint64, err error) {
	if len(header) < fileHeaderSize {
		return 0, 0, fmt.Errorf("%d bytes, shorter than its header", len(header))
	}
	h := header[:fileHeaderSize]
	if string(h[:8]) != magic || binary.LittleEndian.Uint32(h[28:]) != crc32.Checksum(h[:28], castagnoli()) {
		return 0, 0, fmt.Errorf("the header is damaged")
	}
	switch v := binary.LittleEndian.Uint32(h[8:]); v {
	case 1:
		seed = crc32.Checksum(h[16:24], castagnoli())
	case 2:
		seed = crc32.Checksum(h[12:24], castagnoli())
	default:
		return 0, 0, &versionError{v}
	}
	return seed, binary.LittleEndian.Uint64(h[16:]), nil
}

// A versionError says that we do not know the file's format: the file must stay untouched.
type versionError struct{ version uint32 }

func (e *versionError) Error() string {
	return fmt.Sprintf("format version %d, and this wrapp knows versions up to %d", e.version, formatVersion)
}

const segmentSuffix = ".seg"

func (s *Spool) segmentFile(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x%s", number, segmentSuffix))
}

// segmentNumber returns the number in a segment's file name.
func segmentNumber(file string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(file, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && fmt.Sprintf("%016x", n) == digits
}

// maxSearch bounds the search for whole records behind damaged ones, in bytes under CRCs. Only
// bytes that were made to look like records can reach it.
const maxSearch = 64 << 20

// scan calls found for each whole record in a segment's bytes, with its offset. damaged
// counts the bytes between whole records, tail those behind the last one. When scan gives up the
// search, it counts the rest as damaged.
func scan(data []byte, seed uint32, found func(at int, r Record)) (damaged, tail int) {
	budget := maxSearch
	end := fileHeaderSize // behind the last whole record
	for at := fileHeaderSize; at < len(data); {
		if r := parse(data[at:], seed); r != nil {
			damaged += at - end
			found(at, r)
			at += len(r)
			end = at
			continue
		}
		if budget -= len(frame(data[at:])); budget < 0 {
			return damaged + len(data) - end, 0
		}
		at++
	}
	return damaged, len(data) - end
}

// syncDir makes a directory's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
