package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// spooling compares lines of 92 bytes with and without a ready spool, and the draining of a
// full spool with redis-benchmark.
func spooling(s *server, wrapp, dir string, lines, rounds int) ([]row, error) {
	file := filepath.Join(dir, "lines-to-spool")
	text := numbered(lines, lineBytes)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	// Half of them to leave in the spool.
	half, halfFile := lines/2, filepath.Join(dir, "half-to-spool")
	if err := os.WriteFile(halfFile, text[:half*(lineBytes+1)], 0o600); err != nil {
		return nil, err
	}
	// A file instead of a directory: entries wait in memory only.
	none := filepath.Join(dir, "no-directory")
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		return nil, err
	}
	var with, without, drained, anchor []float64
	var written []int
	for i := range rounds {
		spools := []string{filepath.Join(dir, "spool"), none}
		if i%2 == 1 {
			spools[0], spools[1] = spools[1], spools[0] // neither is always the first
		}
		for _, spool := range spools {
			took, bytes, err := s.spooled(wrapp, file, spool, lines)
			if err != nil {
				return nil, err
			}
			if rate := float64(lines) / took.Seconds(); spool == none {
				without = append(without, rate)
			} else {
				with, written = append(with, rate), append(written, bytes)
			}
		}
		r, err := s.redisBenchmark(half)
		if err != nil {
			return nil, err
		}
		anchor = append(anchor, r)
		if r, err = s.drain(wrapp, halfFile, dir, half); err != nil {
			return nil, err
		}
		drained = append(drained, r)
	}
	ready, memory, bytesWritten := median(with), median(without), median(written)
	rate, bench := median(drained), median(anchor)
	return []row{
		figure("lines of 92 bytes a second, the spool ready", thousands(ready)).
			against("no spool: "+thousands(memory), ready, memory).atLeast("0.95 or more", ready/memory, 0.95),
		figure("what wrapp writes to the disk meanwhile", strconv.Itoa(bytesWritten)+" bytes").
			atMost("nothing", 1+float64(bytesWritten), 1),
		figure("lines a second out of the spool", thousands(rate)).
			against("redis-benchmark -P 512: "+thousands(bench), rate, bench).atLeast("0.9 or more", rate/bench, 0.9),
	}, nil
}

// spooled runs an app that writes a file's lines, and returns the time, and the bytes that
// wrapp wrote to disks meanwhile.
func (s *server) spooled(wrapp, file, spool string, lines int) (took time.Duration, written int, err error) {
	const key = "logs:app:bench-spool:info"
	s.conn.Do("DEL", key)
	// The app waits at its end: /proc no longer shows a process that has ended.
	cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), "--name=bench-spool", "--passthrough=never", "--", "sh", "-c", "cat '"+file+"'; read end")
	cmd.Env = append(os.Environ(), "WRAPP_SPOOL_DIR="+spool)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer cmd.Wait()
	defer stdin.Close()
	if err := s.reach(key, 1); err != nil { // the run marker; the spool is ready
		return 0, 0, err
	}
	before, err := writtenBy(cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	if err := s.reach(key, 1+lines); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := writtenBy(cmd.Process.Pid)
	return took, after - before, err
}

// writtenBy returns how many bytes a process has written to disks.
func writtenBy(pid int) (bytes int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	m := writeBytes.FindSubmatch(text)
	if m == nil {
		return 0, errors.New("/proc/PID/io does not say write_bytes")
	}
	return strconv.Atoi(string(m[1]))
}

var writeBytes = regexp.MustCompile(`(?m)^write_bytes: (\d+)$`)

// reach waits until a number of entries has been added to a stream.
func (s *server) reach(key string, entries int) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		n, err := s.added(key)
		if err == nil && n >= entries {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s has got %d entries of %d in a minute: %v", key, n, entries, err)
		}
	}
}

// drain has one run leave lines in the spool and the next run deliver them, and returns the
// lines a second.
func (s *server) drain(wrapp, file, dir string, lines int) (float64, error) {
	const key = "logs:app:bench-drain:info"
	s.conn.Do("DEL", key)
	closed, err := freePort()
	if err != nil {
		return 0, err
	}
	config := filepath.Join(dir, "drain.toml")
	run := func(port int, app string) error {
		text := fmt.Sprintf("[redis]\nport = %d\n[app]\nexecutable = 'sh'\nargs = ['-c', %q]\nstream_name = 'bench-drain'\n[spool]\ndir = %q\nsize = '1GiB'\n", port, app, filepath.Join(dir, "spool"))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return err
		}
		if text, err := exec.Command(wrapp, config).CombinedOutput(); err != nil {
			return fmt.Errorf("wrapp: %w: %s", err, text)
		}
		return nil
	}
	if err := run(closed, "cat '"+file+"'"); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := run(s.port, "true"); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if n, err := s.added(key); err != nil || n != lines+4 { // two runs' markers
		return 0, fmt.Errorf("%d entries were added, and %d should have been: %v", n, lines+4, err)
	}
	return float64(lines) / took.Seconds(), nil
}
