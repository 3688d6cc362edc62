package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
)

// start compares /bin/true under wrapp with /bin/true alone. Each run has its own spool:
// otherwise it would deliver the lines of a previous run without Redis.
func start(s *server, wrapp, dir string, rounds int) ([]row, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	commands := [][]string{
		{"/bin/true"},
		{wrapp, "--redis=redis://" + s.addr(), "--", "/bin/true"},
		{wrapp, "--redis=redis://127.0.0.1:" + strconv.Itoa(port), "--", "/bin/true"},
	}
	times := make([][]time.Duration, len(commands))
	for round := range rounds {
		for i, args := range commands {
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), fmt.Sprintf("WRAPP_SPOOL_DIR=%s/start-%d-%d", dir, round, i))
			cmd.Stderr = io.Discard
			began := time.Now()
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("%v: %w", args, err)
			}
			times[i] = append(times[i], time.Since(began))
		}
	}
	alone := median(times[0])
	rows := make([]row, 0, 2)
	for i, name := range []string{"/bin/true under wrapp", "/bin/true under wrapp, no Redis there"} {
		took := median(times[i+1])
		rows = append(rows, figure(name, milliseconds(took)).
			against("alone: "+milliseconds(alone), took.Seconds(), alone.Seconds()).
			atMost("10 ms above or less", (took-alone).Seconds(), 0.010))
	}
	return rows, nil
}

// sizes measures the binary, and one for the other architecture. The budget is the size of the
// two tools that it replaces.
func sizes(wrapp, dir string) (rows []row, err error) {
	for _, arch := range []struct {
		name   string
		budget float64
	}{{"amd64", 10.7e6}, {"arm64", 9.9e6}} {
		file := wrapp
		if arch.name != runtime.GOARCH {
			if file, err = buildWrapp(dir, arch.name); err != nil {
				return nil, err
			}
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		size := float64(info.Size())
		rows = append(rows, figure("the stripped binary, "+arch.name, fmt.Sprintf("%.2f MB", size/1e6)).
			atMost(fmt.Sprintf("less than the %.1f MB of the two tools replaced", arch.budget/1e6), size, arch.budget))
	}
	return rows, nil
}
