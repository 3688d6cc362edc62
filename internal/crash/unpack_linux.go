package crash

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// maxUnpacked is how many bytes of an unpacked core are written at most, the
// holes in it not counted.
const maxUnpacked = 8 << 30

// unpack reads a core that systemd-coredump has compressed, and writes it to a
// temporary file that user, if it is not nil, can read. discard removes it.
func (f *finder) unpack(ctx context.Context, path string, user *process.User) (*found, error) {
	if end := packing(path); end != ".zst" {
		return nil, fmt.Errorf("wrapp does not unpack %s", end)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	packed, err := zstdReader(file, info.Size())
	if err != nil {
		return nil, err
	}
	into, err := os.CreateTemp("", "core-unpacked-*")
	if err != nil {
		return nil, err
	}
	defer into.Close()
	c, err := f.unpackInto(ctx, into, packed)
	if err == nil && user != nil {
		err = into.Chown(int(user.UID), int(user.GID))
	}
	if err != nil {
		os.Remove(into.Name())
		return nil, err
	}
	c.dir, c.name = filepath.Split(into.Name())
	c.packed, c.when = path, info.ModTime()
	return c, nil
}

func (f *finder) unpackInto(ctx context.Context, into *os.File, packed io.Reader) (*found, error) {
	limit := uint64(maxUnpacked)
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(into.Fd()), &fs); err == nil {
		limit = min(limit, fs.Bavail*uint64(fs.Bsize)/2) // others need room too
	}
	n, err := copyHoles(ctx, into, packed, limit)
	if err != nil {
		return nil, err
	}
	c, err := readCore(into)
	if err != nil {
		return nil, err
	}
	if !f.ours(c) {
		return nil, errors.New("it is of another process")
	}
	return &found{core: c, bytes: n, stored: true}, nil
}

// copyHoles copies with holes in place of blocks of zeros, of which the cores of
// most programs have many. It fails if more than limit bytes are left. It returns
// the size of the copy, holes and all.
func copyHoles(ctx context.Context, into *os.File, from io.Reader, limit uint64) (length int64, err error) {
	var block, zeros [64 << 10]byte
	written := uint64(0)
	for ctx.Err() == nil {
		n, err := fill(block[:], from)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if written += uint64(n); written > limit {
				return 0, fmt.Errorf("it has more than %s, for which there is no room in %s", size(int64(limit)), filepath.Dir(into.Name()))
			}
			if _, err := into.WriteAt(block[:n], length); err != nil {
				return 0, err
			}
		}
		length += int64(n)
		switch {
		case err == io.EOF:
			return length, into.Truncate(length)
		case err != nil:
			return 0, err
		}
	}
	return 0, errors.New("it took too long")
}

// fill is io.ReadFull, but for the end of what is read, which is io.EOF even if
// something was read before: io.ErrUnexpectedEOF is what a decoder says of a file
// that was cut off.
func fill(b []byte, from io.Reader) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = from.Read(b[n:])
		n += more
	}
	return n, err
}

// zstdReader unpacks the first size bytes of file. The standard library has a
// decoder of zstd for the sections of ELF files, and it shows it nowhere else; so
// the file is given to it as the section of one. A module with a decoder would
// make the binary larger by some hundred kilobytes.
func zstdReader(file io.ReaderAt, size int64) (io.Reader, error) {
	const header, table, compression = 64, 64, 24
	var head [header + table + compression]byte
	le := binary.LittleEndian
	copy(head[:], elf.ELFMAG)
	head[elf.EI_CLASS], head[elf.EI_DATA], head[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	le.PutUint32(head[20:], uint32(elf.EV_CURRENT))
	le.PutUint64(head[40:], header) // where the table of sections is
	le.PutUint16(head[58:], table)  // the size of an entry of it
	le.PutUint16(head[60:], 1)      // their number
	section := head[header:]
	le.PutUint32(section[4:], uint32(elf.SHT_PROGBITS))
	le.PutUint64(section[8:], uint64(elf.SHF_COMPRESSED))
	le.PutUint64(section[24:], header+table)
	le.PutUint64(section[32:], compression+uint64(size))
	le.PutUint32(section[table:], uint32(elf.COMPRESS_ZSTD))
	f, err := elf.NewFile(prefixed{head[:], file})
	if err != nil {
		return nil, fmt.Errorf("unpack zstd: %w", err)
	}
	return f.Sections[0].Open(), nil
}

// prefixed is a file with something before it.
type prefixed struct {
	head []byte
	file io.ReaderAt
}

func (p prefixed) ReadAt(b []byte, offset int64) (n int, err error) {
	if offset < int64(len(p.head)) {
		if n = copy(b, p.head[offset:]); n == len(b) {
			return n, nil
		}
	}
	more, err := p.file.ReadAt(b[n:], offset+int64(n)-int64(len(p.head)))
	return n + more, err
}
