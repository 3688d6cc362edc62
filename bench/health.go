package main

import (
	"bytes"
	"errors"
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

// reading compares the commands jettison_health, for 1,000 pools, and `redis-cli ping`.
func reading(s *server, wrapp, dir string, rounds int) ([]row, error) {
	const pairs = 1000
	health := filepath.Join(dir, "jettison_health")
	if err := os.Symlink(wrapp, health); err != nil {
		return nil, err
	}
	values, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(2))
	if err != nil {
		return nil, err
	}
	defer values.Close()
	ask := []string{health, "--redis=redis://" + s.addr()}
	for i := range pairs {
		for _, property := range []string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"} {
			if _, err := values.Do("SET", fmt.Sprintf("bench:__healthpool__c%d_%s", i, property), i); err != nil {
				return nil, err
			}
		}
		ask = append(ask, "bench:c"+strconv.Itoa(i))
	}
	ping := []string{"redis-cli", "-p", strconv.Itoa(s.port), "ping"}
	var asked, pinged []time.Duration
	for range rounds {
		for _, c := range []struct {
			args []string
			took *[]time.Duration
			want string
		}{{ask, &asked, `"bench:c999"`}, {ping, &pinged, "PONG"}} {
			began := time.Now()
			out, err := exec.Command(c.args[0], c.args[1:]...).Output()
			if err != nil || !bytes.Contains(out, []byte(c.want)) {
				return nil, fmt.Errorf("%s: %v", c.args[0], err)
			}
			*c.took = append(*c.took, time.Since(began))
		}
	}
	a, p := median(asked), median(pinged)
	return []row{figure("jettison_health, 1,000 pools", milliseconds(a)).
		against("redis-cli ping: "+milliseconds(p), a.Seconds(), p.Seconds()).
		atMost("under 12", a.Seconds()/p.Seconds(), 12)}, nil
}

// publishing measures the CPU time of ten pools while the app sleeps: a run with them minus a
// run without.
func publishing(s *server, wrapp, dir string) ([]row, error) {
	const seconds = 12
	used := func(pools int) (time.Duration, error) {
		text := fmt.Sprintf("redis.host = '127.0.0.1'\nredis.port = %d\napp.executable = 'sleep'\napp.args = ['%d']\napp.stream_name = 'pools-%d'\n", s.port, seconds, pools)
		for i := range pools {
			text += fmt.Sprintf("[health.pools.p%d]\ncap = 1000\ndepletion_rate = 1\n", i)
		}
		file := filepath.Join(dir, fmt.Sprintf("pools-%d.toml", pools))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return 0, err
		}
		cmd := exec.Command(wrapp, file)
		cmd.Env = append(os.Environ(), "WRAPP_SPOOL_DIR="+file+".spool")
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) > 0 {
			return 0, fmt.Errorf("wrapp: %v: %s", err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	}
	// Both runs at the same time: they are mostly idle.
	var with, without time.Duration
	before, _ := onCPU(s.cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() {
		var err error
		without, err = used(0)
		ended <- err
	}()
	with, err := used(10)
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	after, _ := onCPU(s.cmd.Process.Pid)
	redis := float64(after-before) / float64(seconds*time.Second) * 100
	share := float64(with-without) / float64(seconds*time.Second) * 100
	return []row{
		figure("publishing 10 pools every second, of one core", fmt.Sprintf("%.2f %%", share)).
			against(fmt.Sprintf("redis-server meanwhile: %.2f %%", redis), share, redis).atMost("under 0.5 %", share, 0.5),
		figure("a run of 12 s without pools, CPU time of all of it", milliseconds(without)),
	}, nil
}

// idle measures wrapp around a silent app with one pool, after its start: CPU time, wake-ups
// and memory.
func idle(s *server, wrapp, dir string) ([]row, error) {
	const seconds = 12
	file := filepath.Join(dir, "idle.toml")
	text := fmt.Sprintf("redis.host = '127.0.0.1'\nredis.port = %d\napp.executable = 'sleep'\napp.args = ['%d']\n[health.pools.p]\ncap = 1000\ndepletion_rate = 1\n", s.port, seconds+3)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(wrapp, file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second)
	pid := cmd.Process.Pid
	cpu, woken := onCPU(pid)
	server, _ := onCPU(s.cmd.Process.Pid)
	time.Sleep(seconds * time.Second)
	cpuLater, wokenLater := onCPU(pid)
	serverLater, _ := onCPU(s.cmd.Process.Pid)
	resident := 0
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status); m != nil {
		resident, _ = strconv.Atoi(string(m[1]))
		resident <<= 10
	}
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	redis := float64(serverLater-server) / float64(seconds*time.Second) * 100
	share := float64(cpuLater-cpu) / float64(seconds*time.Second) * 100
	return []row{
		figure("idle with a pool published every second, of one core", fmt.Sprintf("%.3f %%", share)).
			against(fmt.Sprintf("redis-server meanwhile: %.3f %%", redis), share, redis).atMost("0.1 % or less", share, 0.1),
		figure("idle, times that a thread was put to run, a second", fmt.Sprintf("%.1f", float64(wokenLater-woken)/seconds)),
		figure("idle, memory resident", megabytes(resident)).atMost("12 MB or less", float64(resident), 12<<20),
	}, nil
}

// onCPU returns how long, and how many times, the threads of a process have run, from
// /proc/PID/task/TID/schedstat.
func onCPU(pid int) (used time.Duration, times int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		var ran, waited, slices int
		fmt.Sscan(string(text), &ran, &waited, &slices)
		used += time.Duration(ran)
		times += slices
	}
	return used, times
}
