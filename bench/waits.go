package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// waits measures wrapp's peak memory by what waits in its spool while Redis is away, and that of the
// next run, which delivers it, in turns with a wrapp in which nothing waits.
func waits(s *server, wrapp, dir string, rounds int) ([]row, error) {
	c := &curve{
		file: "waits.svg", title: "Peak memory by what waits", xName: "MB of lines that wait", yName: "MB",
		lines: []series{{name: "Redis is away"}, {name: "Redis is back"}, {name: "nothing waits"}},
	}
	away, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "lines-that-wait")
	defer os.Remove(file)
	line := []byte(strings.Repeat("x", lineBytes) + "\n")
	for n, mb := range []int{1, 4, 16, 64, 256} {
		if err := os.WriteFile(file, bytes.Repeat(line, mb<<20/len(line)), 0o600); err != nil {
			return nil, err
		}
		var peaks [3][]float64
		for range max(1, rounds-n) {
			// watch looks every 5 ms: an app that ends at once would end wrapp between two looks.
			for i, r := range []waiting{
				{port: away, patience: "10ms", app: []string{"cat", file}, least: mb << 20, most: 2 * mb << 20},
				{port: s.port, patience: "3s", app: []string{"sleep", "0.1"}},
				{port: s.port, patience: "3s", app: []string{"sleep", "0.1"}},
			} {
				peak, err := r.run(wrapp, dir)
				if err != nil {
					return nil, err
				}
				peaks[i] = append(peaks[i], float64(peak)/(1<<20))
			}
		}
		c.x = append(c.x, float64(mb))
		for i := range peaks {
			c.lines[i].y = append(c.lines[i].y, median(peaks[i]))
		}
	}
	bare := c.lines[2].y
	last := len(bare) - 1
	rows := make([]row, 0, 2)
	for i, name := range []string{"peak memory while 1 to 256 MB wait and Redis is away", "peak memory of the next run, which delivers them"} {
		y := c.lines[i].y
		rows = append(rows, figure(name+": "+growth(c.x, y), fmt.Sprintf("%.1f to %.1f MB", y[0], y[last])).
			against(fmt.Sprintf("nothing waits: %.1f MB", bare[last]), y[last], bare[last]))
	}
	rows[0] = rows[0].drawn(c)
	return rows, nil
}

// A waiting is a run of wrapp with a spool. least and most bound the bytes in it at the end.
type waiting struct {
	port        int
	patience    string // spool.drain_timeout
	app         []string
	least, most int
}

// run returns wrapp's peak memory in bytes.
func (w waiting) run(wrapp, dir string) (peak int, err error) {
	spool, config := filepath.Join(dir, "what-waits"), filepath.Join(dir, "waits.toml")
	text := fmt.Sprintf("[redis]\nport = %d\n[app]\nexecutable = %q\nargs = ['%s']\nstream_name = 'bench-waits'\n[logs]\npassthrough = 'never'\n[spool]\ndir = %q\nsize = '1GiB'\ndrain_timeout = '%s'\n",
		w.port, w.app[0], strings.Join(w.app[1:], "','"), spool, w.patience)
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
	if kept < w.least || kept > w.most {
		return 0, fmt.Errorf("%d bytes are in the spool, and %d to %d should be: %s", kept, w.least, w.most, &said)
	}
	return peak, nil
}
