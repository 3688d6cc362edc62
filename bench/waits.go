package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// waits measures wrapp's peak memory by what waits in its spool while Redis is away, in turns with
// a wrapp in which nothing waits.
func waits(wrapp, dir string, rounds int) ([]row, error) {
	c := &curve{
		file: "waits.svg", title: "Peak memory by what waits while Redis is away", xName: "MB of lines that wait", yName: "MB",
		lines: []series{{name: "wrapp"}, {name: "nothing waits"}},
	}
	file := filepath.Join(dir, "lines-that-wait")
	defer os.Remove(file)
	line := []byte(strings.Repeat("x", lineBytes) + "\n")
	for n, mb := range []int{1, 4, 16, 64, 256} {
		if err := os.WriteFile(file, bytes.Repeat(line, mb<<20/len(line)), 0o600); err != nil {
			return nil, err
		}
		var peaks, bare []float64
		for range max(1, rounds-n) {
			peak, err := waiting(wrapp, dir, mb<<20*9/10, "cat", file)
			if err != nil {
				return nil, err
			}
			peaks = append(peaks, float64(peak)/(1<<20))
			if peak, err = waiting(wrapp, dir, 0, "sleep", "0.1"); err != nil {
				return nil, err
			}
			bare = append(bare, float64(peak)/(1<<20))
		}
		c.x = append(c.x, float64(mb))
		c.lines[0].y = append(c.lines[0].y, median(peaks))
		c.lines[1].y = append(c.lines[1].y, median(bare))
	}
	y, bare := c.lines[0].y, c.lines[1].y
	last := len(y) - 1
	return []row{figure("peak memory by what waits, 1 to 256 MB: "+growth(c.x, y), fmt.Sprintf("%.1f to %.1f MB", y[0], y[last])).
		against(fmt.Sprintf("nothing waits: %.1f MB", bare[last]), y[last], bare[last]).drawn(c)}, nil
}

// waiting runs an app under a wrapp without a Redis, and returns wrapp's peak memory in bytes. It
// fails unless at least so many bytes are in the spool at the end.
func waiting(wrapp, dir string, least int, app ...string) (peak int, err error) {
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	spool := filepath.Join(dir, "what-waits")
	defer os.RemoveAll(spool)
	config := filepath.Join(dir, "waits.toml")
	text := fmt.Sprintf("[redis]\nport = %d\n[app]\nexecutable = %q\nargs = ['%s']\nstream_name = 'bench-waits'\n[logs]\npassthrough = 'never'\n[spool]\ndir = %q\nsize = '1GiB'\ndrain_timeout = '10ms'\n",
		port, app[0], strings.Join(app[1:], "','"), spool)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command(wrapp, config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended, seen := make(chan struct{}), make(chan catRun, 1)
	go func() { seen <- watch(cmd.Process.Pid, ended) }()
	err = cmd.Wait()
	close(ended)
	peak = (<-seen).rss
	if err != nil {
		return 0, fmt.Errorf("wrapp: %w: %s", err, &said)
	}
	kept := 0
	files, _ := filepath.Glob(filepath.Join(spool, "*", "*.seg"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			kept += int(info.Size())
		}
	}
	if kept < least {
		return 0, fmt.Errorf("%d bytes are in the spool, and %d should be: %s", kept, least, &said)
	}
	return peak, nil
}
