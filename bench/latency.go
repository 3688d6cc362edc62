package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// latency measures the time from the write of a line to its arrival in a blocked XREAD, at 100
// lines a second and at half the full rate, and the same for a client that does XADD itself.
func latency(s *server, wrapp, steady string, fullRate float64) ([]row, error) {
	var slow, fast, direct []time.Duration
	half := int(fullRate/2) / 1000 * 1000
	for range 3 {
		ages, err := s.throughWrapp(wrapp, steady, 100, 300)
		if err != nil {
			return nil, err
		}
		slow = append(slow, ages...)
		if ages, err = s.direct(steady, 100, 300); err != nil {
			return nil, err
		}
		direct = append(direct, ages...)
		if ages, err = s.sample(wrapp, steady, half, 3*time.Second); err != nil {
			return nil, err
		}
		fast = append(fast, ages...)
	}
	p50, p99, p99Fast := quantile(slow, 0.5), quantile(slow, 0.99), quantile(fast, 0.99)
	base, base99 := quantile(direct, 0.5), quantile(direct, 0.99)
	return []row{
		figure("latency at 100 lines a second, median", micros(p50)).
			against("XADD and XREAD: "+micros(base), p50.Seconds(), base.Seconds()).
			atMost("2 or less", p50.Seconds()/base.Seconds(), 2),
		figure("latency at 100 lines a second, 99 % are below", micros(p99)).
			against("XADD and XREAD: "+micros(base99), p99.Seconds(), base99.Seconds()).
			atMost("under 2 ms", p99.Seconds(), 0.002),
		figure(fmt.Sprintf("latency at %s lines a second, 99 %% are below", thousands(float64(half))), micros(p99Fast)).
			against("XADD and XREAD at 100: "+micros(base99), p99Fast.Seconds(), base99.Seconds()).
			atMost("under 10 ms", p99Fast.Seconds(), 0.010),
	}, nil
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func micros(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) }

// throughWrapp has an app under wrapp write n lines at a rate, and returns their ages.
func (s *server) throughWrapp(wrapp, steady string, rate, n int) ([]time.Duration, error) {
	cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), "--name=bench-latency", "--passthrough=never", "--max-entries=1000000", "--",
		steady, strconv.Itoa(rate), strconv.Itoa(n))
	return s.follow("logs:app:bench-latency:info", n, cmd.Start, cmd.Wait)
}

// sample has an app write lines at a high rate. A reader of all lines would take CPU time from
// wrapp; so sample waits with XREAD for one line each millisecond, and returns those ages.
func (s *server) sample(wrapp, steady string, rate int, seconds time.Duration) (ages []time.Duration, err error) {
	const key = "logs:app:bench-sample:info"
	r, err := newReader(s.addr())
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.do(func(int, []byte) {}, "DEL", key); err != nil {
		return nil, err
	}
	cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), "--name=bench-sample", "--passthrough=never", "--",
		steady, strconv.Itoa(rate), strconv.Itoa(int(seconds.Seconds()*float64(rate))))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for until := time.Now().Add(seconds * 9 / 10); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if ages, _, err = r.next(ages, key, "$", 1); err != nil {
			return nil, err
		}
	}
	return ages, cmd.Wait()
}

// follow reads n timed lines from a stream and returns their ages. start starts the stream's
// writer, and wait waits for its end.
func (s *server) follow(key string, n int, start, wait func() error) (ages []time.Duration, err error) {
	r, err := newReader(s.addr())
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.do(func(int, []byte) {}, "DEL", key); err != nil {
		return nil, err
	}
	if err := start(); err != nil {
		return nil, err
	}
	for last := "0"; len(ages) < n; {
		if ages, last, err = r.next(ages, key, last, 5000); err != nil {
			return nil, err
		}
	}
	return ages, wait()
}

// many runs 50 wrapps at once, each with 2,000 lines a second for 10 s.
func many(s *server, wrapp, steady string) ([]row, error) {
	const wrapps, rate, seconds = 50, 2000, 10
	var cmds []*exec.Cmd
	for i := range wrapps {
		cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), fmt.Sprintf("--name=bench-many-%d", i), "--passthrough=never", "--",
			steady, strconv.Itoa(rate), strconv.Itoa(rate*seconds))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		cmds = append(cmds, cmd)
	}
	// Measure in the middle of the run.
	time.Sleep(2 * time.Second)
	before, at := cpuOf(cmds), time.Now()
	server, _ := onCPU(s.cmd.Process.Pid)
	time.Sleep((seconds - 4) * time.Second)
	used, took := cpuOf(cmds)-before, time.Since(at)
	serverLater, _ := onCPU(s.cmd.Process.Pid)
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			return nil, err
		}
	}
	missing := 0
	for i := range wrapps {
		added, err := s.added(fmt.Sprintf("logs:app:bench-many-%d:info", i))
		if err != nil {
			return nil, err
		}
		missing += rate*seconds + 2 - added
	}
	if missing > 0 {
		return nil, fmt.Errorf("%d lines of the 50 wrapps were not added", missing)
	}
	share := 100 * used.Seconds() / took.Seconds()
	redis := 100 * (serverLater - server).Seconds() / took.Seconds()
	return []row{
		figure("50 wrapps, 2,000 lines a second each: CPU time, of one core", fmt.Sprintf("%.0f %%", share)).
			against(fmt.Sprintf("Redis meanwhile: %.0f %%", redis), share, redis).atMost("50 % or less", share, 50),
	}, nil
}

// cpuOf returns the CPU time of processes, without their children.
func cpuOf(cmds []*exec.Cmd) (sum time.Duration) {
	for _, cmd := range cmds {
		used, _ := onCPU(cmd.Process.Pid)
		sum += used
	}
	return sum
}
