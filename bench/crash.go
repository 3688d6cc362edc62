package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
)

// crashes measures the time from the death of a small C program to the report in a blocked
// XREAD, alternating between gdb and wrapp's own reader.
func crashes(s *server, wrapp, dir string, rounds int) ([]row, error) {
	app, why, err := buildCrash(dir)
	if err != nil || why != "" {
		return []row{figure("a crash in C, from its death to the report", "not measured: "+why)}, err
	}
	took := map[string][]time.Duration{}
	for range rounds {
		for _, by := range []string{"gdb", "builtin"} {
			one, err := s.crash(wrapp, app, dir, by)
			if err != nil {
				return nil, err
			}
			took[by] = append(took[by], one)
		}
	}
	withGDB, builtin := median(took["gdb"]), median(took["builtin"])
	return []row{
		figure("a crash in C, from its death to the report, with gdb", milliseconds(withGDB)).
			atMost("2 s or less", withGDB.Seconds(), 2),
		figure("the same, without gdb", milliseconds(builtin)).
			against("with gdb: "+milliseconds(withGDB), builtin.Seconds(), withGDB.Seconds()).
			atMost("0.5 s or less", builtin.Seconds(), 0.5),
	}, nil
}

// buildCrash builds the app that crashes. why says why this machine cannot measure its reports.
func buildCrash(dir string) (app, why string, err error) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		return "", "", err
	}
	if text := strings.TrimSpace(string(pattern)); strings.ContainsAny(text, "|@/") || text == "" {
		return "", "kernel.core_pattern is " + text, nil
	}
	app = filepath.Join(dir, "crash")
	if text, err := exec.Command("gcc", "-g", "-pthread", "-o", app, "bench/app/crash.c").CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("gcc: %w: %s", err, text)
	}
	return app, "", nil
}

// crash runs the program once and returns the time from its death to the report.
func (s *server) crash(wrapp, app, dir, by string, args ...string) (time.Duration, error) {
	const info, reports = "logs:app:bench-crash:info", "logs:app:bench-crash:crash"
	if _, err := s.conn.Do("DEL", info, reports); err != nil {
		return 0, err
	}
	config := filepath.Join(dir, "crash.toml")
	text := fmt.Sprintf("[redis]\nurl = 'redis://%s'\n[app]\nexecutable = %q\nargs = ['%s']\nstream_name = 'bench-crash'\ndir = %q\n[logs]\npassthrough = 'never'\n[crash]\nbacktrace = %q\n",
		s.addr(), app, strings.Join(args, "','"), dir, by)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command(wrapp, config)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	answer, err := s.conn.Do("XREAD", "BLOCK", 30_000, "STREAMS", reports, "0")
	came := time.Now()
	cmd.Wait() // the exit status is 139
	if report := fmt.Sprintf("%s", answer); err != nil || !strings.Contains(report, "main") || !strings.Contains(report, "crash.c:") {
		return 0, fmt.Errorf("no report with a backtrace: %v: %s", err, &stderr)
	}
	lines, err := redis.Values(s.conn.Do("XRANGE", info, "-", "+"))
	if err != nil || len(lines) < 2 {
		return 0, fmt.Errorf("%d entries: %v", len(lines), err)
	}
	var id string
	var fields []string
	if _, err := redis.Scan(lines[1].([]any), &id, &fields); err != nil {
		return 0, err
	}
	died, err := strconv.ParseInt(fields[1], 10, 64)
	return came.Sub(time.Unix(0, died)), err
}

// recogniser compares the search for tracebacks in ordinary lines with the time that wrapp
// takes for them.
func recogniser(s *server, wrapp, dir string, lines, rounds int) ([]row, error) {
	starts := []string{
		"2026-11-23T23:16:12.123Z INFO request", "1700000000.123 request", `{"level":"info","msg":"request"`,
		"[info] request", "INFO: request", "request", "  indented", "main.c:12: request", "/var/lib/app: request", "FETCH request",
	}
	var text bytes.Buffer
	for i := range lines {
		line := fmt.Sprintf("%s %d%s", starts[i%len(starts)], i, strings.Repeat(" and what is said of it,", 4))
		text.WriteString(line[:lineBytes] + "\n")
	}
	file := filepath.Join(dir, "ordinary")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	split := bytes.Split(bytes.TrimSuffix(text.Bytes(), []byte("\n")), []byte("\n"))
	var whole, searches []time.Duration
	for range rounds {
		c, err := s.cat(wrapp, file, lines)
		if err != nil {
			return nil, err
		}
		whole = append(whole, c.wall)
		found := 0
		r := traceback.New(func(traceback.Report) { found++ })
		began := time.Now()
		for _, line := range split {
			r.Line(line, began)
		}
		searches = append(searches, time.Since(began))
		if found > 0 {
			return nil, fmt.Errorf("%d tracebacks in ordinary lines", found)
		}
	}
	all, search := median(whole), median(searches)
	each := func(d time.Duration) string { return fmt.Sprintf("%d ns", d.Nanoseconds()/int64(lines)) }
	return []row{figure("looking for tracebacks, a line", each(search)).
		against("a line through wrapp: "+each(all), search.Seconds(), all.Seconds()).
		atMost("3 % or less", search.Seconds()/all.Seconds(), 0.03)}, nil
}
