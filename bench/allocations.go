package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// allocations counts the heap allocations for a line, from the pipe to Redis, with the
// benchmark of internal/run.
func allocations(lines int) ([]row, error) {
	text, err := exec.Command("go", "test", "-run", "^$", "-bench", "Intake", "-benchtime", strconv.Itoa(lines)+"x", "./internal/run").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test: %w\n%s", err, text)
	}
	all := perLine.FindAllSubmatch(text, -1)
	if len(all) != 2 {
		return nil, fmt.Errorf("go test printed %d counts of allocations, want 2\n%s", len(all), text)
	}
	rows := make([]row, 0, len(all))
	for i, name := range []string{"allocations a line", "the same, as JSON"} {
		n, err := strconv.Atoi(string(all[i][1]))
		if err != nil {
			return nil, err
		}
		rows = append(rows, figure(name, strconv.Itoa(n)).atMost("none", 1+float64(n), 1))
	}
	return rows, nil
}

var perLine = regexp.MustCompile(`(\d+) allocs/op`)
