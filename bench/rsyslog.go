package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// rsyslog compares Redis's CPU time and memory for lines by wrapp with the same lines by rsyslog's
// module omhiredis, and the CPU time of the two programs. Debian 12's omhiredis has no mode for
// streams: a template is the command XADD, which works for lines without blanks only. Its own mode
// for lines is a list.
func rsyslog(s *server, wrapp, dir string, rounds int) ([]row, error) {
	daemon, err := exec.LookPath("rsyslogd")
	if err != nil {
		daemon = "/usr/sbin/rsyslogd" // not in every user's PATH
	}
	modules, _ := filepath.Glob("/usr/lib/*/rsyslog/omhiredis.so")
	version := rsyslogVersion(daemon)
	if version == "" || modules == nil {
		return []row{figure("Redis's side, against rsyslog", "not measured: rsyslog-hiredis is not installed (make bench does it)")}, nil
	}
	const n = 200_000
	file := filepath.Join(dir, "lines-for-both")
	if err := os.WriteFile(file, numbered(n, lineBytes), 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	kinds := []struct {
		keys string // a pattern for all that Redis keeps of it
		add  func() (own time.Duration, err error)
	}{
		{"*logs:app:bench:*", func() (time.Duration, error) {
			run, err := s.cat(wrapp, file, n, "--max-entries="+strconv.Itoa(2*n))
			return run.cpu, err
		}},
		{"bench:rsyslog", func() (time.Duration, error) {
			return s.byRsyslog(daemon, dir, file, n, "XLEN", `mode="template" template="xadd"`)
		}},
		{"bench:rsyslog", func() (time.Duration, error) {
			return s.byRsyslog(daemon, dir, file, n, "LLEN", `mode="queue" key="bench:rsyslog" template="line"`)
		}},
	}
	server, own, kept := make([][]float64, len(kinds)), make([][]float64, len(kinds)), make([]float64, len(kinds))
	perLine := func(d time.Duration) float64 { return d.Seconds() * 1e6 / n }
	for range rounds {
		for i, k := range kinds {
			if _, err := s.conn.Do("DEL", "bench:rsyslog"); err != nil {
				return nil, err
			}
			before, _ := onCPU(s.cmd.Process.Pid)
			used, err := k.add()
			if err != nil {
				return nil, err
			}
			after, _ := onCPU(s.cmd.Process.Pid)
			server[i], own[i] = append(server[i], perLine(after-before)), append(own[i], perLine(used))
			bytes, err := s.memoryOf(k.keys)
			if err != nil {
				return nil, err
			}
			kept[i] = float64(bytes) / n
		}
	}
	cpu, program := make([]float64, len(kinds)), make([]float64, len(kinds))
	for i := range kinds {
		cpu[i], program[i] = median(server[i]), median(own[i])
	}
	with := "rsyslog " + version
	return []row{
		figure("Redis's CPU time a line, by wrapp", fmt.Sprintf("%.2f µs", cpu[0])).
			against(fmt.Sprintf("XADD by %s: %.2f µs", with, cpu[1]), cpu[0], cpu[1]),
		figure("the same", fmt.Sprintf("%.2f µs", cpu[0])).
			against(fmt.Sprintf("LPUSH by %s: %.2f µs", with, cpu[2]), cpu[0], cpu[2]),
		figure("Redis's memory a line, by wrapp", fmt.Sprintf("%.1f bytes", kept[0])).
			against(fmt.Sprintf("XADD by %s: %.1f bytes", with, kept[1]), kept[0], kept[1]),
		figure("the same", fmt.Sprintf("%.1f bytes", kept[0])).
			against(fmt.Sprintf("LPUSH by %s: %.1f bytes", with, kept[2]), kept[0], kept[2]),
		figure("wrapp's own CPU time a line", fmt.Sprintf("%.2f µs", program[0])).
			against(fmt.Sprintf("%s's for XADD: %.2f µs", with, program[1]), program[0], program[1]),
	}, nil
}

var rsyslogSays = regexp.MustCompile(`rsyslogd\s+([\d.]+)`)

// rsyslogVersion returns the version, or "" if there is no rsyslogd.
func rsyslogVersion(daemon string) string {
	text, _ := exec.Command(daemon, "-v").Output()
	if m := rsyslogSays.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// byRsyslog has rsyslogd read a file and add its lines to the key bench:rsyslog by an action of
// omhiredis, and returns rsyslogd's CPU time. length is the command that counts them.
func (s *server) byRsyslog(daemon, dir, file string, lines int, length, action string) (used time.Duration, err error) {
	work, err := os.MkdirTemp(dir, "rsyslog-") // a new one: imfile begins at the file's start
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	config := filepath.Join(work, "rsyslog.conf")
	// The module knows no SELECT: it writes to database 0.
	text := fmt.Sprintf(`global(workDirectory=%q)
module(load="imfile")
module(load="omhiredis")
template(name="xadd" type="string" string="XADD bench:rsyslog MAXLEN ~ %d * message %%msg%%")
template(name="line" type="string" string="%%msg%%")
ruleset(name="lines") {
	action(type="omhiredis" server="127.0.0.1" serverport="%d" %s)
}
input(type="imfile" file=%q tag="bench" ruleset="lines")
`, work, 2*lines, s.port, action, file)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	conn, err := redis.Dial("tcp", s.addr())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := conn.Do("DEL", "bench:rsyslog"); err != nil {
		return 0, err
	}
	cmd := exec.Command(daemon, "-n", "-f", config, "-i", filepath.Join(work, "pid"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGTERM)
	have := 0
	for end := time.Now().Add(30 * time.Second); have < lines; time.Sleep(10 * time.Millisecond) {
		if have, err = redis.Int(conn.Do(length, "bench:rsyslog")); err != nil {
			return 0, err
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("rsyslogd has added %d lines of %d in 30 s: %s", have, lines, &said)
		}
	}
	used, _ = onCPU(cmd.Process.Pid)
	// For MEMORY USAGE beside the others.
	_, err = conn.Do("MOVE", "bench:rsyslog", 1)
	return used, err
}

// memoryOf returns the bytes that Redis keeps for all keys of a pattern.
func (s *server) memoryOf(pattern string) (bytes int, err error) {
	keys, err := redis.Strings(s.conn.Do("KEYS", pattern))
	for _, key := range keys {
		n, _ := redis.Int(s.conn.Do("MEMORY", "USAGE", key, "SAMPLES", 0))
		bytes += n
	}
	return bytes, err
}
