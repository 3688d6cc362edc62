package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
)

// reading compares jettison_health asked for 1,000 pools with `redis-cli ping`, as
// whole commands.
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
	return []row{{
		"jettison_health, 1,000 pools", milliseconds(a), "redis-cli ping: " + milliseconds(p),
		ratio(a.Seconds(), p.Seconds()), "under 12", a < 12*p,
	}}, nil
}

// publishing is the CPU time that ten pools cost while the app sleeps: with them,
// less without them.
func publishing(s *server, wrapp, dir string) ([]row, error) {
	const seconds = 20
	file := filepath.Join(dir, "pools.toml")
	used := func(pools int) (time.Duration, error) {
		text := fmt.Sprintf("redis.host = '127.0.0.1'\nredis.port = %d\napp.executable = 'sleep'\napp.args = ['%d']\n", s.port, seconds)
		for i := range pools {
			text += fmt.Sprintf("[health.pools.p%d]\ncap = 1000\ndepletion_rate = 1\n", i)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return 0, err
		}
		cmd := exec.Command(wrapp, file)
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) > 0 {
			return 0, fmt.Errorf("wrapp: %v: %s", err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	}
	without, err := used(0)
	if err != nil {
		return nil, err
	}
	with, err := used(10)
	if err != nil {
		return nil, err
	}
	share := float64(with-without) / float64(seconds*time.Second) * 100
	return []row{
		{"publishing 10 pools every second, of one core", fmt.Sprintf("%.2f %%", share), "", "", "under 0.5 %", share < 0.5},
		{"a run of 20 s without pools, CPU time of all of it", milliseconds(without), "", "", "", false},
	}, nil
}
