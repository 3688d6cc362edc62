package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// maxUnpacked bounds the bytes written of an unpacked core, without its holes.
const maxUnpacked = 8 << 30

// unpack copies the app's core from a handler's store into a temporary file that the app's
// user can read. The finder's discard removes that file.
func (w *Watch) unpack(ctx context.Context, path string) {
	core, err := w.unpacked(ctx, path)
	w.mu.Lock()
	w.own, w.packed = core, err
	w.mu.Unlock()
}

func (w *Watch) unpacked(ctx context.Context, path string) (*found, error) {
	// zstd, lz4 and xz all know -dc.
	name := packing(path)[1:]
	if name == "zst" {
		name = "zstd"
	}
	tool, err := exec.LookPath(name)
	if err != nil || !filepath.IsAbs(tool) {
		return nil, errors.New(name + " is not on PATH")
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.New(path + " is no regular file")
	}
	into, err := os.CreateTemp("", "core-unpacked-*")
	if err != nil {
		return nil, err
	}
	defer into.Close()
	c, err := w.unpackInto(ctx, into, tool, file)
	if err != nil {
		os.Remove(into.Name())
		return nil, err
	}
	c.dir, c.name = filepath.Split(into.Name())
	c.packed, c.when = path, info.ModTime()
	return c, nil
}

func (w *Watch) unpackInto(ctx context.Context, into *os.File, tool string, file *os.File) (*found, error) {
	n, err := runUnpacker(ctx, w.opts.Supervisor, w.cmd.User, tool, file, into)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(tool), err)
	}
	c, err := corefile.ReadOrigin(into)
	if err != nil {
		return nil, err
	}
	if !w.life.owns(c, w.last.at) {
		return nil, errors.New("the core is from another process")
	}
	if u := w.cmd.User; u != nil {
		if err := into.Chown(int(u.UID), int(u.GID)); err != nil {
			return nil, err
		}
	}
	return &found{Origin: c, bytes: n, stored: true}, nil
}

// runUnpacker runs a program that unpacks from, and writes its output to into. The program
// has no more rights than the app.
func runUnpacker(ctx context.Context, supervisor *process.Supervisor, user *process.User, tool string, from, into *os.File) (length int64, err error) {
	r, out, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	var p *process.Process
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err == nil {
		p, err = supervisor.Start(process.Command{
			Path: tool, Argv0: filepath.Base(tool), Args: []string{"-dc"}, Dir: "/",
			Env: []string{"LC_ALL=C"}, User: user, Stdin: from, Stdout: out, Stderr: null,
			StopSignal: syscall.SIGKILL, Tool: true, Confined: true,
		})
		null.Close()
	}
	out.Close()
	if err != nil {
		r.Close()
		return 0, err
	}
	confine(p.PID())
	// When the tool ends, the pipe ends, too.
	var ending sync.WaitGroup
	ending.Go(func() {
		select {
		case <-ctx.Done():
			p.Stop()
		case <-p.Exited():
		}
	})
	length, err = copyHoles(into, r, room(into))
	r.Close()
	if err != nil {
		p.Stop()
	}
	<-p.Exited()
	ending.Wait()
	switch status := p.Status(); {
	case ctx.Err() != nil:
		return 0, errors.New("it took too long")
	case err != nil:
		return 0, err
	case status.ExitCode() != 0:
		return 0, errors.New(status.String())
	}
	return length, nil
}

// room returns how many bytes may be written to a file: half of the free space, because
// others need space, too.
func room(file *os.File) uint64 {
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(file.Fd()), &fs); err != nil {
		return maxUnpacked
	}
	return min(maxUnpacked, fs.Bavail*uint64(fs.Bsize)/2)
}

// copyHoles copies with holes in place of blocks of zeros, which most cores have many of. It
// fails if it would write more than limit bytes. It returns the length of the copy, with its
// holes.
func copyHoles(into *os.File, from io.Reader, limit uint64) (length int64, err error) {
	var block, zeros [64 << 10]byte
	written := uint64(0)
	for {
		n, err := io.ReadFull(from, block[:])
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if written += uint64(n); written > limit {
				return 0, errors.New("the core has more than " + size(int64(limit)) + ", for which there is no room in " + filepath.Dir(into.Name()))
			}
			if _, err := into.WriteAt(block[:n], length); err != nil {
				return 0, err
			}
		}
		length += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return length, into.Truncate(length)
		case err != nil:
			return 0, err
		}
	}
}
