package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cores measures the time from an app's death to its report by the size of its core and by its
// number of threads, in turns with the time that the kernel takes to write the core.
func cores(s *server, wrapp, dir string, rounds int) ([]row, error) {
	app, why, err := buildCrash(dir)
	if err != nil || why != "" {
		return []row{figure("a crash by size of core and threads", "not measured: "+why)}, err
	}
	bySize := &curve{file: "cores.svg", title: "From a crash to its report by size of core", xName: "MB of touched memory", yName: "ms"}
	byThreads := &curve{file: "threads.svg", title: "From a crash to its report by number of threads", xName: "threads", yName: "ms"}
	var rows []row
	for _, m := range []struct {
		curve     *curve
		name, say string
		x         []int
		args      func(x int) []string
	}{
		{bySize, "8 to 512 MB of memory", "MB", []int{8, 32, 128, 512}, func(x int) []string { return []string{strconv.Itoa(x), "1"} }},
		{byThreads, "1 to 200 threads", "threads", []int{1, 10, 50, 200}, func(x int) []string { return []string{"1", strconv.Itoa(x)} }},
	} {
		c := m.curve
		c.lines = []series{{name: "with gdb"}, {name: "without gdb"}, {name: "the kernel's core alone"}}
		for n, x := range m.x {
			var took [3][]float64
			for range max(1, rounds-n) { // the slow ones vary less
				for i, by := range []string{"gdb", "builtin", ""} {
					var one time.Duration
					if by != "" {
						one, err = s.crash(wrapp, app, dir, by, m.args(x)...)
					} else {
						one, err = coreAlone(app, dir, m.args(x)...)
					}
					if err != nil {
						return nil, fmt.Errorf("%d %s, %s: %w", x, m.say, by, err)
					}
					took[i] = append(took[i], one.Seconds()*1000)
				}
			}
			c.x = append(c.x, float64(x))
			for i := range took {
				c.lines[i].y = append(c.lines[i].y, median(took[i]))
			}
		}
		last, alone := len(c.x)-1, c.lines[2].y
		for i, by := range []string{"with gdb", "without gdb"} {
			y := c.lines[i].y
			r := figure(fmt.Sprintf("from a crash to its report, %s, %s: %s", m.name, by, growth(c.x, y)), fmt.Sprintf("%.0f to %.0f ms", y[0], y[last])).
				against(fmt.Sprintf("the kernel's core alone: %.1f to %.0f ms", alone[0], alone[last]), y[last], alone[last])
			if i == 0 {
				r = r.drawn(c)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// coreAlone returns the time from the program's death to its end, in which the kernel writes the
// core, without wrapp.
func coreAlone(app, dir string, args ...string) (time.Duration, error) {
	dir, err := os.MkdirTemp(dir, "core-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("sh", append([]string{"-c", `ulimit -c unlimited; exec "$@"`, "sh", app}, args...)...)
	cmd.Dir = dir
	text, err := cmd.Output()
	came := time.Now()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		return 0, fmt.Errorf("the app ended without a crash: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		return 0, fmt.Errorf("the kernel wrote no core: %v", err)
	}
	died, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return came.Sub(time.Unix(0, died)), err
}
