package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// lengths measures the CPU time of a line by its length: wrapp's, and Redis's, compared with a
// pipeline of plain XADDs of the same pieces, encoded beforehand.
func lengths(s *server, wrapp, dir string, rounds int) ([]row, error) {
	sizes := []int{8, 92, 1 << 10, 8 << 10, 64 << 10, 1 << 20}
	const total, most, piece = 32 << 20, 200_000, 64 << 10
	c := &curve{
		file: "lengths.svg", title: "CPU time a line by its length", xName: "bytes", yName: "µs",
		lines: []series{{name: "wrapp"}, {name: "Redis, plain XADD"}, {name: "Redis, by wrapp"}},
	}
	for _, size := range sizes {
		n := min(most, total/size)
		file := filepath.Join(dir, fmt.Sprintf("length-%d", size))
		if err := os.WriteFile(file, numbered(n, size), 0o600); err != nil {
			return nil, err
		}
		pieces := (size + piece - 1) / piece
		commands := encode(n*pieces, min(size, piece))
		var own, plain, ours []float64
		perLine := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(n) }
		for range min(rounds, 3) {
			before, _ := onCPU(s.cmd.Process.Pid)
			run, err := s.cat(wrapp, file, n*pieces)
			if err != nil {
				return nil, err
			}
			between, _ := onCPU(s.cmd.Process.Pid)
			if _, err := s.pipeline(commands, n*pieces); err != nil {
				return nil, err
			}
			after, _ := onCPU(s.cmd.Process.Pid)
			own, ours, plain = append(own, perLine(run.cpu)), append(ours, perLine(between-before)), append(plain, perLine(after-between))
		}
		c.x = append(c.x, float64(size))
		for i, v := range [][]float64{own, plain, ours} {
			c.lines[i].y = append(c.lines[i].y, median(v))
		}
		os.Remove(file)
	}
	const usual = 1 // 92 bytes
	ours, plain := c.lines[2].y, c.lines[1].y
	last := len(sizes) - 1
	return []row{
		figure("CPU time a line by length, 8 bytes to 1 MiB: "+growth(c.x, c.lines[0].y), fmt.Sprintf("%.2f to %.0f µs", c.lines[0].y[0], c.lines[0].y[last])).
			against(fmt.Sprintf("Redis's for plain XADDs: %.2f to %.0f µs", plain[0], plain[last]), c.lines[0].y[last], plain[last]).drawn(c),
		figure("Redis's CPU time a line of 92 bytes", fmt.Sprintf("%.2f µs", ours[usual])).
			against(fmt.Sprintf("plain XADD: %.2f µs", plain[usual]), ours[usual], plain[usual]),
		figure("Redis's CPU time a line of 1 MiB", fmt.Sprintf("%.0f µs", ours[last])).
			against(fmt.Sprintf("plain XADD of its pieces: %.0f µs", plain[last]), ours[last], plain[last]),
	}, nil
}

// memory measures Redis's memory for lines of 92 bytes, by wrapp and by a plain XADD.
func memory(s *server, wrapp, dir string) ([]row, error) {
	const n = 100_000
	file := filepath.Join(dir, "kept")
	if err := os.WriteFile(file, bytes.Repeat([]byte(strings.Repeat("x", lineBytes)+"\n"), n), 0o600); err != nil {
		return nil, err
	}
	if _, err := s.cat(wrapp, file, n, "--max-entries="+strconv.Itoa(2*n)); err != nil {
		return nil, err
	}
	for range n {
		if err := s.conn.Send("XADD", "bench:kept", "*", "message", strings.Repeat("x", lineBytes)); err != nil {
			return nil, err
		}
	}
	if _, err := s.conn.Do(""); err != nil {
		return nil, err
	}
	ours, err := s.memoryOf("*logs:app:bench:info*")
	if err != nil {
		return nil, err
	}
	plain, err := s.memoryOf("bench:kept")
	if err != nil {
		return nil, err
	}
	a, b := float64(ours)/n, float64(plain)/n
	return []row{figure("Redis's memory a line of 92 bytes, with the position", fmt.Sprintf("%.1f bytes", a)).
		against(fmt.Sprintf("plain XADD: %.1f bytes", b), a, b)}, nil
}

// fleets measures the CPU time of many wrapps by their number, each with 20 lines a second.
func fleets(s *server, wrapp, steady string) ([]row, error) {
	const rate, seconds = 20, 3
	c := &curve{
		file: "wrapps.svg", title: "CPU time by number of wrapps, 20 lines a second each", xName: "wrapps", yName: "% of one core",
		lines: []series{{name: "wrapps"}, {name: "Redis, by wrapp"}},
	}
	for _, n := range []int{1, 10, 50, 200} {
		var cmds []*exec.Cmd
		for i := range n {
			cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), fmt.Sprintf("--name=bench-fleet-%d", i), "--passthrough=never", "--",
				steady, strconv.Itoa(rate), strconv.Itoa(rate*60))
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
			if err := cmd.Start(); err != nil {
				return nil, err
			}
			cmds = append(cmds, cmd)
		}
		used := func() (wrapps, server time.Duration) {
			for _, cmd := range cmds {
				t, _ := onCPU(cmd.Process.Pid)
				wrapps += t
			}
			server, _ = onCPU(s.cmd.Process.Pid)
			return wrapps, server
		}
		time.Sleep(time.Second + time.Duration(n)*20*time.Millisecond) // until all have begun
		w, r := used()
		at := time.Now()
		time.Sleep(seconds * time.Second)
		w2, r2 := used()
		took := time.Since(at).Seconds()
		for _, cmd := range cmds {
			cmd.Process.Signal(syscall.SIGTERM)
		}
		for _, cmd := range cmds {
			cmd.Wait()
		}
		c.x = append(c.x, float64(n))
		c.lines[0].y = append(c.lines[0].y, 100*(w2-w).Seconds()/took)
		c.lines[1].y = append(c.lines[1].y, 100*(r2-r).Seconds()/took)
	}
	y, redis := c.lines[0].y, c.lines[1].y
	last := len(y) - 1
	return []row{figure("1 to 200 wrapps, 20 lines a second each, of one core: "+growth(c.x, y), fmt.Sprintf("%.1f to %.0f %%", y[0], y[last])).
		against(fmt.Sprintf("Redis meanwhile: %.1f to %.0f %%", redis[0], redis[last]), y[last], redis[last]).drawn(c)}, nil
}

// pools measures the time of jettison_health --all and wrapp ls by the number of pools.
func pools(s *server, wrapp, dir string, rounds int) ([]row, error) {
	health := filepath.Join(dir, "all", "jettison_health")
	if err := os.MkdirAll(filepath.Dir(health), 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(wrapp, health); err != nil {
		return nil, err
	}
	values, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(2))
	if err != nil {
		return nil, err
	}
	defer values.Close()
	if _, err := values.Do("FLUSHDB"); err != nil {
		return nil, err
	}
	defer values.Do("FLUSHDB")
	if _, err := values.Do("HSET", "wrapp-run:bench:bench", "state", "running", "started", time.Now().Unix()); err != nil {
		return nil, err
	}
	c := &curve{
		file: "pools.svg", title: "Reading by number of pools", xName: "pools", yName: "ms",
		lines: []series{{name: "jettison_health --all"}, {name: "wrapp ls"}, {name: "MGET alone"}},
	}
	var keys []any
	for n, made := range []int{10, 100, 1000, 10_000} {
		for i := len(keys) / 8; i < made; i++ {
			for _, property := range []string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"} {
				key := fmt.Sprintf("bench:__healthpool__c%d_%s", i, property)
				keys = append(keys, key)
				if err := values.Send("SET", key, i); err != nil {
					return nil, err
				}
			}
		}
		if _, err := values.Do(""); err != nil {
			return nil, err
		}
		var took [3][]float64
		for range max(3, rounds-n) {
			for i, args := range [][]string{
				{health, "--redis=redis://" + s.addr(), "--all"},
				{wrapp, "ls", "--redis=redis://" + s.addr()},
			} {
				began := time.Now()
				out, err := exec.Command(args[0], args[1:]...).Output()
				if err != nil || !bytes.Contains(out, []byte("bench")) {
					return nil, fmt.Errorf("%v: %v: %.200s", args, err, out)
				}
				took[i] = append(took[i], time.Since(began).Seconds()*1000)
			}
			began := time.Now()
			if _, err := values.Do("MGET", keys...); err != nil {
				return nil, err
			}
			took[2] = append(took[2], time.Since(began).Seconds()*1000)
		}
		c.x = append(c.x, float64(made))
		for i := range took {
			c.lines[i].y = append(c.lines[i].y, median(took[i]))
		}
	}
	var rows []row
	bare := c.lines[2].y
	last := len(bare) - 1
	for _, l := range c.lines[:2] {
		rows = append(rows, figure(l.name+" of 10 to 10,000 pools: "+growth(c.x, l.y), fmt.Sprintf("%.1f to %.0f ms", l.y[0], l.y[last])).
			against(fmt.Sprintf("MGET of the keys: %.1f to %.0f ms", bare[0], bare[last]), l.y[last], bare[last]))
	}
	rows[0] = rows[0].drawn(c)
	return rows, nil
}

// drains measures the time to deliver the spool by its number of lines.
func drains(s *server, wrapp, dir string, rounds int) ([]row, error) {
	c := &curve{
		file: "drain.svg", title: "Draining the spool", xName: "lines of 92 bytes", yName: "s",
		lines: []series{{name: "wrapp, from start to exit"}, {name: "XADD encoded beforehand"}},
	}
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		file := filepath.Join(dir, "lines-to-drain")
		if err := os.WriteFile(file, numbered(n, lineBytes), 0o600); err != nil {
			return nil, err
		}
		commands := encode(n, lineBytes)
		var drained, plain []float64
		for range max(1, rounds/2) {
			rate, err := s.drain(wrapp, file, dir, n)
			if err != nil {
				return nil, err
			}
			drained = append(drained, float64(n)/rate)
			if rate, err = s.pipeline(commands, n); err != nil {
				return nil, err
			}
			plain = append(plain, float64(n)/rate)
		}
		c.x = append(c.x, float64(n))
		c.lines[0].y = append(c.lines[0].y, median(drained))
		c.lines[1].y = append(c.lines[1].y, median(plain))
	}
	y, plain := c.lines[0].y, c.lines[1].y
	last := len(y) - 1
	return []row{figure("draining 1,000 to 1,000,000 lines: "+growth(c.x[1:], y[1:]), fmt.Sprintf("%.3f to %.2f s", y[0], y[last])).
		against(fmt.Sprintf("encoded beforehand: %.3f to %.2f s", plain[0], plain[last]), y[last], plain[last]).drawn(c)}, nil
}
