// Bench measures wrapp against what the same Redis server can do, as ratios in one
// run: what is compared runs in turns, and medians are compared. README.md says
// what each row is.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A row is one line of the table.
type row struct {
	figure, value, anchor, ratio, goal string
	met                                bool
}

// A group is rows that are measured together, in turns.
type group struct {
	name    string
	measure func() ([]row, error)
}

func main() {
	file := flag.String("write", "", "also write the table to this Markdown `FILE`")
	only := flag.String("only", "", "measure only these `GROUPS`, separated by commas")
	wrapp := flag.String("wrapp", "", "measure this `BINARY` rather than one built now")
	lines := flag.Int("lines", 1_000_000, "lines of 92 bytes a run")
	rounds := flag.Int("rounds", 5, "runs of each kind")
	flag.Parse()
	if err := run(*file, *only, *wrapp, *lines, *rounds); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

func run(file, only, wrapp string, lines, rounds int) error {
	dir, err := os.MkdirTemp("", "jettison-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if wrapp == "" {
		if wrapp, err = buildWrapp(dir, "amd64"); err != nil {
			return err
		}
	}
	wrappARM, err := buildWrapp(dir, "arm64")
	if err != nil {
		return err
	}
	steady, err := buildSteady(dir)
	if err != nil {
		return err
	}
	server, err := startServer(dir)
	if err != nil {
		return err
	}
	defer server.stop()

	var rows []row
	rate := 600_000.0 // lines of 92 bytes a second, where they are not measured
	groups := []group{
		{"throughput", func() (rows []row, err error) {
			rows, rate, err = throughput(server, wrapp, dir, lines, rounds)
			return rows, err
		}},
		{"other", func() ([]row, error) { return otherLines(server, wrapp, dir, rounds) }},
		{"latency", func() ([]row, error) { return latency(server, wrapp, steady, rate) }},
		{"many", func() ([]row, error) { return many(server, wrapp, steady) }},
		{"start", func() ([]row, error) { return start(server, wrapp, 21) }},
		{"reading", func() ([]row, error) { return reading(server, wrapp, dir, 21) }},
		{"publishing", func() ([]row, error) { return publishing(server, wrapp, dir) }},
		{"size", func() ([]row, error) { return sizes(wrapp, wrappARM) }},
	}
	for _, g := range groups {
		if only != "" && !slices.Contains(strings.Split(only, ","), g.name) {
			continue
		}
		more, err := g.measure()
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	table := render(rows)
	fmt.Print(table)
	if file == "" {
		return nil
	}
	return os.WriteFile(file, []byte(page(server, table)), 0o644)
}

// render is the table in Markdown.
func render(rows []row) string {
	var b strings.Builder
	b.WriteString("| figure | value | anchor | ratio | goal | met |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		met := "yes"
		switch {
		case r.goal == "":
			met = ""
		case !r.met:
			met = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.figure, r.value, r.anchor, r.ratio, r.goal, met)
	}
	return b.String()
}

// page is docs/performance.md.
func page(server *server, table string) string {
	return fmt.Sprintf(`# Performance

Written by `+"`make bench`"+`. Each ratio is of medians of runs taken in turns on one machine;
the absolute numbers are that machine's, the ratios are what to compare. bench/README.md
says how each row is measured.

Measured %s on %s (%d CPUs), %s, %s, %s.

%s`, time.Now().Format("2006-01-02"), cpuModel(), runtime.NumCPU(), kernel(), server.version, runtime.Version(), table)
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	release, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return "Linux " + release
}

// median sorts its argument.
func median[T int | float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
