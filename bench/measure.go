package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

const lineBytes = 92

// A server is the redis-server for all measurements.
type server struct {
	cmd     *exec.Cmd
	port    int
	version string
	conn    redis.Conn
}

func startServer(dir string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{port: port}
	s.cmd = exec.Command("redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	for range 400 {
		if s.conn, err = redis.Dial("tcp", s.addr(), redis.DialDatabase(1)); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("redis-server does not answer: %w", err)
	}
	info, err := redis.String(s.conn.Do("INFO", "server"))
	if m := regexp.MustCompile(`redis_version:(\S+)`).FindStringSubmatch(info); m != nil {
		s.version = "Redis " + m[1]
	}
	return s, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *server) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// added returns how many entries a stream has ever had (Redis 7).
func (s *server) added(key string) (int, error) {
	info, err := redis.Values(s.conn.Do("XINFO", "STREAM", key))
	if err != nil {
		return 0, err
	}
	for i := 0; i+1 < len(info); i += 2 {
		if name, _ := redis.String(info[i], nil); name == "entries-added" {
			return redis.Int(info[i+1], nil)
		}
	}
	return 0, errors.New("XINFO STREAM does not say entries-added: Redis 7 is needed")
}

func buildWrapp(dir, arch string) (string, error) {
	file := filepath.Join(dir, "wrapp-"+arch)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./cmd/jettison")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch, "GOARM64=v8.2,crypto,lse")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build for %s: %w\n%s", arch, err, text)
	}
	return file, nil
}

// catKey is the stream of cat.
const catKey = "logs:app:bench:info"

// A catRun is a run of wrapp around cat.
type catRun struct {
	wall time.Duration
	cpu  time.Duration // of wrapp without cat
	rss  int           // bytes, at the peak
}

// cat runs wrapp around `cat FILE`. It fails unless exactly entries entries and the two run
// markers were added.
func (s *server) cat(wrapp, file string, entries int, flags ...string) (catRun, error) {
	s.conn.Do("DEL", catKey)
	flags = append(flags, "--redis=redis://"+s.addr(), "--name=bench", "--passthrough=never", "--", "cat", file)
	cmd := exec.Command(wrapp, flags...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return catRun{}, err
	}
	ended, seen := make(chan struct{}), make(chan catRun, 1)
	go func() { seen <- watch(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	wall := time.Since(began)
	close(ended)
	run := <-seen
	if err != nil || text.Len() > 0 {
		return catRun{}, fmt.Errorf("wrapp: %v: %s", err, &text)
	}
	added, err := s.added(catKey)
	if err != nil {
		return catRun{}, err
	}
	if want := entries + 2; added != want {
		return catRun{}, fmt.Errorf("%d entries were added, and %d should have been", added, want)
	}
	run.wall = wall
	return run, nil
}

// watch polls a process's peak resident memory and CPU time until ended is closed. wait4 does
// not help: its maximum begins with the parent's, and its time includes the children's.
func watch(pid int, ended <-chan struct{}) (run catRun) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	for {
		text, _ := os.ReadFile(status)
		if m := highWater.FindSubmatch(text); m != nil {
			kib, _ := strconv.Atoi(string(m[1]))
			run.rss = max(run.rss, kib<<10)
		}
		cpu, _ := onCPU(pid)
		run.cpu = max(run.cpu, cpu)
		select {
		case <-ended:
			return run
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// throughput compares lines of 92 bytes through wrapp with redis-benchmark, with a
// pipeline encoded beforehand, and with one round trip a line.
func throughput(s *server, wrapp, dir string, lines, rounds int) (rows []row, rate float64, err error) {
	file := filepath.Join(dir, "lines")
	text := numbered(lines, lineBytes)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, 0, err
	}
	// Half of them for JSON, and with a marker in every tenth line.
	half := lines / 2
	halfFile, marked := filepath.Join(dir, "half"), filepath.Join(dir, "marked")
	text = text[:half*(lineBytes+1)]
	if err := os.WriteFile(halfFile, text, 0o600); err != nil {
		return nil, 0, err
	}
	for i := 0; i < half; i += 10 {
		copy(text[i*(lineBytes+1):], "{{lines}}")
	}
	if err := os.WriteFile(marked, text, 0o600); err != nil {
		return nil, 0, err
	}
	commands := encode(lines, lineBytes)
	var asJSON, callsJSON []byte // XADDs and calls of as many messages as the run with JSON has, and as long
	sha, err := s.loadScript()
	if err != nil {
		return nil, 0, err
	}
	calls := encodeCalls(sha, lines, lineBytes)
	var rates, markedRates, jsonRates, anchor, limit, callLimit, jsonLimit, callJSON, roundTrip []float64
	var cpu, server []time.Duration
	peak := 0
	for range rounds {
		r, err := s.redisBenchmark(lines)
		if err != nil {
			return nil, 0, err
		}
		anchor = append(anchor, r)
		c, err := s.cat(wrapp, file, lines)
		if err != nil {
			return nil, 0, err
		}
		rates = append(rates, float64(lines)/c.wall.Seconds())
		cpu = append(cpu, c.cpu)
		peak = max(peak, c.rss)
		if c, err = s.cat(wrapp, marked, half); err != nil {
			return nil, 0, err
		}
		markedRates = append(markedRates, float64(half)/c.wall.Seconds())
		if c, err = s.cat(wrapp, halfFile, half, "--format=json"); err != nil {
			return nil, 0, err
		}
		jsonRates = append(jsonRates, float64(half)/c.wall.Seconds())
		if asJSON == nil {
			// The length of the newest line's message; a run marker follows it.
			size, err := redis.Int(s.conn.Do("EVAL", "return #redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 2)[2][2][2]", 1, catKey))
			if err != nil {
				return nil, 0, err
			}
			asJSON, callsJSON = encode(half, size), encodeCalls(sha, half, size)
		}
		if r, err = s.pipeline(asJSON, half); err != nil {
			return nil, 0, err
		}
		jsonLimit = append(jsonLimit, r)
		if r, err = s.calls(callsJSON, half); err != nil {
			return nil, 0, err
		}
		callJSON = append(callJSON, r)
		before, _ := onCPU(s.cmd.Process.Pid)
		if r, err = s.pipeline(commands, lines); err != nil {
			return nil, 0, err
		}
		after, _ := onCPU(s.cmd.Process.Pid)
		server = append(server, after-before)
		limit = append(limit, r)
		if r, err = s.calls(calls, lines); err != nil {
			return nil, 0, err
		}
		callLimit = append(callLimit, r)
		if r, err = s.roundTrips(lines / 200); err != nil {
			return nil, 0, err
		}
		roundTrip = append(roundTrip, r)
	}
	rate = median(rates)
	bench := median(anchor)
	lim, callLim, old := median(limit), median(callLimit), median(roundTrip)
	with, js, jsLim, callJS := median(markedRates), median(jsonRates), median(jsonLimit), median(callJSON)
	perLine := float64(median(cpu)) / float64(lines) / float64(time.Microsecond)
	redisLine := float64(median(server)) / float64(lines) / float64(time.Microsecond)
	return []row{
		figure("lines of 92 bytes a second", thousands(rate)).
			against("pipeline encoded beforehand: "+thousands(lim), rate, lim).atLeast("0.9 or more", rate/lim, 0.9),
		figure("the same", thousands(rate)).against("calls of the script encoded beforehand: "+thousands(callLim), rate, callLim),
		figure("the same", thousands(rate)).against("redis-benchmark -P 512: "+thousands(bench), rate, bench),
		figure("the same", thousands(rate)).against("a round trip a line: "+thousands(old), rate, old),
		figure("with a marker in every tenth line", thousands(with)).
			against("redis-benchmark -P 512: "+thousands(bench), with, bench).atLeast("0.55 or more", with/bench, 0.55),
		figure("as JSON", thousands(js)).
			against("pipeline of as long messages encoded beforehand: "+thousands(jsLim), js, jsLim).atLeast("0.95 or more", js/jsLim, 0.95),
		figure("the same", thousands(js)).against("calls of the script of as long messages encoded beforehand: "+thousands(callJS), js, callJS),
		figure("CPU time a line, user and system", fmt.Sprintf("%.2f µs", perLine)).
			against(fmt.Sprintf("Redis's for the pipeline: %.2f µs", redisLine), perLine, redisLine).atMost("0.8 µs or less", perLine, 0.8),
		figure("peak memory at full load", megabytes(peak)).atMost("24 MB or less", float64(peak), 24<<20),
	}, rate, nil
}

var perSecond = regexp.MustCompile(`([\d.]+) requests per second`)

// redisBenchmark returns redis-benchmark's XADDs a second.
func (s *server) redisBenchmark(n int) (float64, error) {
	cmd := exec.Command("redis-benchmark", "-p", strconv.Itoa(s.port), "-c", "1", "-P", "512", "-n", strconv.Itoa(n), "-q",
		"XADD", "bench:anchor", "MAXLEN", "~", "1000", "*", "message", strings.Repeat("x", lineBytes))
	text, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w: %s", err, text)
	}
	all := perSecond.FindAllSubmatch(text, -1)
	if all == nil {
		return 0, fmt.Errorf("redis-benchmark prints no rate: %s", text)
	}
	return strconv.ParseFloat(string(all[len(all)-1][1]), 64)
}

// numbered returns n lines of a size in bytes, each with its number behind zeros.
func numbered(n, size int) []byte {
	var text bytes.Buffer
	zeros := strings.Repeat("0", size)
	for i := range n {
		number := strconv.Itoa(i)
		text.WriteString(zeros[len(number):] + number + "\n")
	}
	return text.Bytes()
}

// encode returns n XADDs of lines of a size.
func encode(n, size int) []byte {
	var commands bytes.Buffer
	zeros := strings.Repeat("0", size)
	for i := range n {
		number := strconv.Itoa(i)
		fmt.Fprintf(&commands, "*8\r\n$4\r\nXADD\r\n$11\r\nbench:limit\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$4\r\n1000\r\n$1\r\n*\r\n$7\r\nmessage\r\n$%d\r\n%s%s\r\n", size, zeros[len(number):], number)
	}
	return commands.Bytes()
}

// loadScript loads wrapp's script, from its file in the module, and returns its SHA.
func (s *server) loadScript() (sha string, err error) {
	file, err := exec.Command("go", "list", "-f", "{{.Dir}}/script.lua", "github.com/lpportorino/jettison-base-images/internal/outbox").Output()
	if err != nil {
		return "", fmt.Errorf("where the script is: %w", err)
	}
	text, err := os.ReadFile(strings.TrimSpace(string(file)))
	if err != nil {
		return "", err
	}
	return redis.String(s.conn.Do("SCRIPT", "LOAD", text))
}

// encodeCalls returns calls of wrapp's script that add n lines of a size, as wrapp makes them.
func encodeCalls(sha string, n, size int) []byte {
	var calls bytes.Buffer
	word := func(text string) { fmt.Fprintf(&calls, "$%d\r\n%s\r\n", len(text), text) }
	zeros := strings.Repeat("0", size)
	for from := 0; from < n; from += callLines {
		lines := min(callLines, n-from)
		head := []string{
			"EVALSHA", sha, "2", "bench:limit", "bench:limit:position", // as script.lua documents
			strconv.Itoa(from), "1000", "60000",
			strconv.Itoa(from + 1), strconv.Itoa(lines), "0", strconv.Itoa(from + 1), "0",
		}
		fmt.Fprintf(&calls, "*%d\r\n", len(head)+lines)
		for _, text := range head {
			word(text)
		}
		for i := range lines {
			number := strconv.Itoa(from + i)
			word(zeros[len(number):] + number)
		}
	}
	return calls.Bytes()
}

const (
	callLines = 512 // in a call of the script
	callReply = 6   // lines of its reply
	xaddReply = 2   // lines of the reply to an XADD: a length and an ID
)

// pipeline returns the server's own limit in XADDs a second. commands has n of them.
func (s *server) pipeline(commands []byte, n int) (float64, error) {
	return s.limit(commands, n, n*xaddReply)
}

// calls returns the limit of delivery by wrapp's script, in lines a second. calls has n of them;
// see encodeCalls.
func (s *server) calls(calls []byte, n int) (float64, error) {
	rate, err := s.limit(calls, n, (n+callLines-1)/callLines*callReply)
	if err != nil {
		return 0, err
	}
	conn, err := redis.Dial("tcp", s.addr()) // to the same database as limit
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	position, err := redis.String(conn.Do("GET", "bench:limit:position"))
	if want := fmt.Sprintf("%d %d", n, n); err != nil || position != want {
		return 0, fmt.Errorf("the position is %q, %v, where it should be %q", position, err, want)
	}
	return rate, nil
}

// limit returns how many log lines a second the server takes, of n. It writes the commands,
// encoded beforehand, to one connection, and discards the replies meanwhile, of so many lines.
func (s *server) limit(commands []byte, n, replyLines int) (float64, error) {
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	replies := bufio.NewReaderSize(conn, 64<<10)
	fmt.Fprint(conn, "DEL bench:limit bench:limit:position\r\n") // wrapp's stream is new, too
	if _, err := replies.ReadSlice('\n'); err != nil {
		return 0, err
	}
	began := time.Now()
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(commands)
		written <- err
	}()
	for range replyLines {
		line, err := replies.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line[0] == '-' {
			return 0, fmt.Errorf("redis: %s", line)
		}
	}
	rate := float64(n) / time.Since(began).Seconds()
	return rate, <-written
}

// roundTrips returns the XADDs a second if each waits for its reply.
func (s *server) roundTrips(n int) (float64, error) {
	line := strings.Repeat("x", lineBytes)
	began := time.Now()
	for range n {
		if _, err := s.conn.Do("XADD", "bench:trips", "MAXLEN", "~", 1000, "*", "message", line); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func thousands(f float64) string {
	if f < 1000 {
		return strconv.Itoa(int(f))
	}
	if f >= 1e6 {
		return fmt.Sprintf("%d,%03d,%03d", int(f)/1e6, int(f)/1000%1000, int(f)%1000)
	}
	return fmt.Sprintf("%d,%03d", int(f)/1000, int(f)%1000)
}

func megabytes(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
