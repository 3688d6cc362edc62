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
		ages, err := s.follow(s.byWrapp(wrapp, steady, 100, 200))
		if err != nil {
			return nil, err
		}
		slow = append(slow, ages...)
		if ages, err = s.follow(s.byXADD(steady, 100, 200)); err != nil {
			return nil, err
		}
		direct = append(direct, ages...)
		if ages, _, err = s.sample(s.byWrapp(wrapp, steady, half, 2*half)); err != nil {
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

// A feed is an app that writes n timed lines at a rate, and what adds them to a stream.
type feed struct {
	key         string
	rate, n     int
	start, wait func() error
}

// byWrapp returns a feed through wrapp.
func (s *server) byWrapp(wrapp, steady string, rate, n int) feed {
	cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), "--name=bench-latency", "--passthrough=never", "--max-entries=1000000", "--",
		steady, strconv.Itoa(rate), strconv.Itoa(n))
	return feed{"logs:app:bench-latency:info", rate, n, cmd.Start, cmd.Wait}
}

// sample returns the ages of some lines of a feed, and how many lines a second arrived in the last
// three quarters of its time. It waits with XREAD for one line each millisecond, because a reader of
// all lines would take CPU time from their writer.
func (s *server) sample(f feed) (ages []time.Duration, arrive float64, err error) {
	span := time.Duration(float64(f.n) / float64(f.rate) * float64(time.Second))
	r, err := s.begin(f)
	if err != nil {
		return nil, 0, err
	}
	defer r.close()
	began := time.Now()
	var first int
	var at time.Time // when the line with the number first came
	for time.Since(began) < span*9/10 {
		if ages, _, err = r.next(ages, f.key, "$", 1); err != nil {
			return nil, 0, err
		}
		if at.IsZero() && time.Since(began) > span/4 {
			first, at = r.number, r.arrived
		}
		time.Sleep(time.Millisecond)
	}
	if r.arrived.After(at) {
		arrive = float64(r.number-first) / r.arrived.Sub(at).Seconds()
	}
	return ages, arrive, f.wait()
}

// follow reads all lines of a feed and returns their ages.
func (s *server) follow(f feed) (ages []time.Duration, err error) {
	r, err := s.begin(f)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for last := "0"; len(ages) < f.n; {
		if ages, last, err = r.next(ages, f.key, last, 5000); err != nil {
			return nil, err
		}
	}
	return ages, f.wait()
}

// begin starts a feed of a new stream, and returns a reader of it.
func (s *server) begin(f feed) (*reader, error) {
	r, err := newReader(s.addr())
	if err != nil {
		return nil, err
	}
	if err = r.do(func(int, []byte) {}, "DEL", f.key); err == nil {
		err = f.start()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// many runs 50 wrapps at once, each with 2,000 lines a second for 8 s.
func many(s *server, wrapp, steady string) ([]row, error) {
	const wrapps, rate, seconds = 50, 2000, 8
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
