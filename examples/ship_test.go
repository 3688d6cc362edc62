package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A shipping is a chain of wrapp logs, the file that it writes, and programs that ship the file.
type shipping struct {
	t     *testing.T
	redis *redistest.Server
	dir   string
	lines string // path of the file
	added int    // lines of each app
}

func newShipping(t *testing.T) *shipping {
	s := &shipping{t: t, redis: redistest.Start(t), dir: t.TempDir()}
	s.lines = filepath.Join(s.dir, "lines", "all.json")
	if err := os.Mkdir(filepath.Dir(s.lines), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// reader starts wrapp logs with the command of wrapp-ship.service.
func (s *shipping) reader() *exec.Cmd {
	s.t.Helper()
	unit, err := os.ReadFile("ship/wrapp-ship.service")
	if err != nil {
		s.t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(unit), "\nExecStart=")
	line, _, _ = strings.Cut(line, "\n")
	args := strings.Fields(strings.ReplaceAll(line, "/var/lib/wrapp-ship", s.dir))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "REDIS_URL="+s.redis.URL())
	out, err := os.OpenFile(s.lines, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	begin(s.t, cmd)
	return cmd
}

// add adds n lines of each of two apps.
func (s *shipping) add(n int) {
	s.t.Helper()
	c := s.redis.Dial(1)
	defer c.Close()
	for range n {
		for _, app := range []string{"camera", "lidar"} {
			c.Send("XADD", "logs:app:"+app+":info", "*", "message", fmt.Sprintf("line %d: \u00e4 \"quoted\" \\ text", s.added))
		}
		s.added++
	}
	if _, err := c.Do(""); err != nil {
		s.t.Fatal(err)
	}
}

// arrived counts the lines at the target: the different ones of both apps, and the repetitions.
func (s *shipping) arrived(target string, find func(text []byte) [][]byte) (different, again int) {
	text, err := os.ReadFile(target)
	if err != nil {
		return 0, 0
	}
	seen := make(map[string]bool)
	for _, object := range find(text) {
		var l struct {
			ID      string `json:"_id"`
			Service string `json:"service"`
			Msg     string `json:"msg"`
		}
		if json.Unmarshal(object, &l) != nil {
			continue // cut off; the whole line follows
		}
		number, rest, _ := strings.Cut(strings.TrimPrefix(l.Msg, "line "), ":")
		n, err := strconv.Atoi(number)
		if err != nil || n >= s.added || rest != " \u00e4 \"quoted\" \\ text" {
			s.t.Fatalf("%q", l.Msg)
		}
		if key := l.Service + " " + number; seen[key] {
			again++
		} else {
			seen[key] = true
		}
	}
	return len(seen), again
}

// through adds lines while it kills wrapp logs and the shipping programs, five times each, and
// waits until all lines have arrived.
func (s *shipping) through(target string, find func([]byte) [][]byte, programs ...func() *exec.Cmd) {
	s.t.Helper()
	all := append([]func() *exec.Cmd{s.reader}, programs...)
	living := make([]*exec.Cmd, len(all))
	for i, f := range all {
		living[i] = f()
	}
	const kills = 5
	for round := range kills {
		for i := range all {
			before := size(target)
			s.add(1000)
			for until := time.Now().Add(2 * time.Minute); size(target) == before; time.Sleep(100 * time.Microsecond) {
				if time.Now().After(until) {
					s.t.Fatal("not within 2 minutes: the first lines have arrived")
				}
			}
			kill(living[i])           // while the other lines are in flight
			if i == 0 && round == 2 { // as logrotate does
				if err := os.Rename(s.lines, strings.TrimSuffix(s.lines, ".json")+"-1.json"); err != nil {
					s.t.Fatal(err)
				}
			}
			s.add(50)
			living[i] = all[i]()
		}
	}
	eventually(s.t, "all lines have arrived", func() bool { n, _ := s.arrived(target, find); return n == 2*s.added })
	_, again := s.arrived(target, find)
	s.t.Logf("%d lines, %d kills of each of %d programs: none is missing, %d came again", 2*s.added, kills, len(all), again)
}

func size(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// rows returns the objects of a text's lines. After a line that was cut off, the next object is on
// the same line, and only that is returned.
func rows(text []byte) (objects [][]byte) {
	for row := range bytes.Lines(text) {
		objects = append(objects, row[max(bytes.LastIndex(row, []byte(`{"_id":`)), 0):])
	}
	return objects
}

// TestRsyslog ships with rsyslog.
func TestRsyslog(t *testing.T) {
	t.Parallel()
	path := need(t, "rsyslogd")
	s := newShipping(t)
	target, work := filepath.Join(s.dir, "target.json"), filepath.Join(s.dir, "spool")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := adapt(t, s.dir, "ship/rsyslog.conf", "/var/log/wrapp/", filepath.Dir(s.lines)+"/", "/var/log/wrapp-all.json", target, "/var/spool/rsyslog", work)
	s.through(target, rows, func() *exec.Cmd {
		pid := filepath.Join(s.dir, "rsyslogd.pid")
		os.Remove(pid)
		cmd := exec.Command(path, "-n", "-f", conf, "-i", pid)
		begin(t, cmd)
		return cmd
	})
}

// TestOtelcol ships with two OpenTelemetry Collectors, an agent and a gateway. OTELCOL is the path
// of the collector of ship/otelcol, which takes minutes to build: `make otelcol`.
func TestOtelcol(t *testing.T) {
	t.Parallel()
	path := os.Getenv("OTELCOL")
	if path == "" {
		t.Skip("OTELCOL is not set; `make otelcol` builds and tests it")
	}
	s := newShipping(t)
	target := filepath.Join(s.dir, "target.json")
	for _, dir := range []string{"agent", "gateway"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	address := fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t))
	agent := adapt(t, s.dir, "ship/otelcol/agent.yaml", "/var/log/wrapp/", filepath.Dir(s.lines)+"/", "/var/lib/otelcol", filepath.Join(s.dir, "agent"), "127.0.0.1:4318", address)
	gateway := adapt(t, s.dir, "ship/otelcol/gateway.yaml", "/var/lib/otelcol-gateway/lines.json", target, "127.0.0.1:4318", address)
	collector := func(config string) func() *exec.Cmd {
		return func() *exec.Cmd {
			cmd := exec.Command(path, "--config", config)
			begin(t, cmd)
			return cmd
		}
	}
	s.through(target, records, collector(agent), collector(gateway))
}

// records returns the bodies of the log records in the collector's OTLP JSON, a batch for each
// line.
func records(text []byte) (bodies [][]byte) {
	for row := range bytes.Lines(text) {
		row = row[max(bytes.LastIndex(row, []byte(`{"resourceLogs":`)), 0):]
		var batch struct {
			ResourceLogs []struct {
				ScopeLogs []struct {
					LogRecords []struct {
						Body struct {
							StringValue string `json:"stringValue"`
						} `json:"body"`
					} `json:"logRecords"`
				} `json:"scopeLogs"`
			} `json:"resourceLogs"`
		}
		if json.Unmarshal(row, &batch) != nil {
			continue
		}
		for _, r := range batch.ResourceLogs {
			for _, s := range r.ScopeLogs {
				for _, l := range s.LogRecords {
					bodies = append(bodies, []byte(l.Body.StringValue))
				}
			}
		}
	}
	return bodies
}
