package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// hugeLines compares 10 lines of 10 MB with pipelines encoded beforehand: of the same lines,
// and of the pieces of 64 KiB that wrapp sends.
func hugeLines(s *server, wrapp, dir string, rounds int) ([]row, error) {
	const n, size, piece = 10, 10 << 20, 64 << 10
	var text bytes.Buffer
	for range n {
		text.Write(bytes.Repeat([]byte("x"), size))
		text.WriteByte('\n')
	}
	file := filepath.Join(dir, "huge")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	const total = n * size
	var rates, whole, pieces, pipes []float64 // in bytes a second
	peak := 0
	asLines, asPieces := encode(n, size), encode(total/piece, piece)
	for range 3 * rounds { // each takes a tenth of a second
		c, err := s.cat(wrapp, file, total/piece)
		if err != nil {
			return nil, err
		}
		rates = append(rates, total/c.wall.Seconds())
		peak = max(peak, c.rss)
		limit, err := s.pipeline(asLines, n)
		if err != nil {
			return nil, err
		}
		whole = append(whole, limit*size)
		if limit, err = s.pipeline(asPieces, total/piece); err != nil {
			return nil, err
		}
		pieces = append(pieces, limit*piece)
		took, err := throughPipe(file)
		if err != nil {
			return nil, err
		}
		pipes = append(pipes, total/took.Seconds())
	}
	rate, same, cut, pipe := median(rates), median(whole), median(pieces), median(pipes)
	perSecond := func(f float64) string { return thousands(f/1e6) + " MB/s" }
	return []row{
		figure("10 lines of 10 MB", perSecond(rate)).
			against("the lines encoded beforehand: "+perSecond(same), rate, same).atLeast("0.8 or more", rate/same, 0.8),
		figure("the same", perSecond(rate)).
			against("their pieces encoded beforehand: "+perSecond(cut), rate, cut).atLeast("0.8 or more", rate/cut, 0.8),
		figure("the same", perSecond(rate)).against("cat to a pipe alone: "+perSecond(pipe), rate, pipe),
		figure("10 lines of 10 MB, peak memory", megabytes(peak)).atMost("40 MB or less", float64(peak), 40<<20),
	}, nil
}

// shortLines compares 1,000,000 lines of 8 bytes with a pipeline of them encoded beforehand.
func shortLines(s *server, wrapp, dir string, rounds int) ([]row, error) {
	const n, size = 1_000_000, 8
	file := filepath.Join(dir, "short")
	if err := os.WriteFile(file, numbered(n, size), 0o600); err != nil {
		return nil, err
	}
	commands := encode(n, size)
	var rates, limits []float64
	peak := 0
	for range min(rounds, 3) {
		c, err := s.cat(wrapp, file, n)
		if err != nil {
			return nil, err
		}
		rates = append(rates, n/c.wall.Seconds())
		peak = max(peak, c.rss)
		limit, err := s.pipeline(commands, n)
		if err != nil {
			return nil, err
		}
		limits = append(limits, limit)
	}
	rate, limit := median(rates), median(limits)
	return []row{
		figure("lines of 8 bytes a second", thousands(rate)).
			against("pipeline encoded beforehand: "+thousands(limit), rate, limit).atLeast("0.8 or more", rate/limit, 0.8),
		figure("lines of 8 bytes, peak memory", megabytes(peak)).atMost("40 MB or less", float64(peak), 40<<20),
	}, nil
}

// throughPipe returns the time of `cat FILE` to a pipe of 1 MiB, as large as wrapp's, whose
// reader discards everything.
func throughPipe(file string) (time.Duration, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	defer w.Close()
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	cmd := exec.Command("cat", file)
	cmd.Stdout = w
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	w.Close()
	buf := make([]byte, 128<<10)
	for err == nil {
		_, err = r.Read(buf)
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	return time.Since(began), cmd.Wait()
}
