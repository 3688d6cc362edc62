// Bench compares wrapp with the limits of the same Redis server. It alternates between the
// compared commands in one run, and prints ratios of their medians. README.md explains each
// row.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A group measures some rows together.
type group struct {
	name    string
	measure func() ([]row, error)
}

func main() {
	file := flag.String("write", "", "also write the table to this Markdown `FILE`")
	only := flag.String("only", "", "measure only these `GROUPS`, separated by commas")
	wrapp := flag.String("wrapp", "", "measure this `BINARY` rather than one built now")
	lines := flag.Int("lines", 1_000_000, "lines of 92 bytes a run")
	rounds := flag.Int("rounds", 3, "runs of each kind")
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
	// Not the machine's spools: another bench, or an app, may use the same name.
	if err := os.Setenv("WRAPP_SPOOL_DIR", filepath.Join(dir, "spools")); err != nil {
		return err
	}
	if wrapp == "" {
		if wrapp, err = buildWrapp(dir, runtime.GOARCH); err != nil {
			return err
		}
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
	var failed error
	rate := 600_000.0 // lines of 92 bytes a second, unless throughput measures them
	groups := []group{
		{"throughput", func() (rows []row, err error) {
			rows, rate, err = throughput(server, wrapp, dir, lines, rounds)
			return rows, err
		}},
		{"allocations", func() ([]row, error) { return allocations(lines) }},
		{"huge", func() ([]row, error) { return hugeLines(server, wrapp, dir, rounds) }},
		{"short", func() ([]row, error) { return shortLines(server, wrapp, dir, rounds) }},
		{"spool", func() ([]row, error) { return spooling(server, wrapp, dir, lines, rounds) }},
		{"latency", func() ([]row, error) { return latency(server, wrapp, steady, rate) }},
		{"rates", func() ([]row, error) { return rates(server, wrapp, steady) }},
		{"many", func() ([]row, error) { return many(server, wrapp, steady) }},
		{"start", func() ([]row, error) { return start(server, wrapp, dir, 21) }},
		{"reading", func() ([]row, error) { return reading(server, wrapp, dir, 21) }},
		{"idle", func() ([]row, error) { return idle(server, wrapp, dir) }},
		{"publishing", func() ([]row, error) { return publishing(server, wrapp, dir) }},
		{"recogniser", func() ([]row, error) { return recogniser(server, wrapp, dir, lines/4, rounds) }},
		{"lengths", func() ([]row, error) { return lengths(server, wrapp, dir, rounds) }},
		{"memory", func() ([]row, error) { return memory(server, wrapp, dir) }},
		{"rsyslog", func() ([]row, error) { return rsyslog(server, wrapp, dir, rounds) }},
		{"fleets", func() ([]row, error) { return fleets(server, wrapp, steady) }},
		{"pools", func() ([]row, error) { return pools(server, wrapp, dir, rounds) }},
		{"drains", func() ([]row, error) { return drains(server, wrapp, dir, rounds) }},
		{"crash", func() ([]row, error) { return crashes(server, wrapp, dir, 7) }},
		{"cores", func() ([]row, error) { return cores(server, wrapp, dir, rounds) }},
		{"waits", func() ([]row, error) { return waits(server, wrapp, dir, rounds) }},
		{"panel", func() ([]row, error) { return panel(wrapp, steady, dir) }},
		{"size", func() ([]row, error) { return sizes(wrapp, dir) }},
	}
	known := make([]string, 0, len(groups))
	for _, g := range groups {
		known = append(known, g.name)
	}
	for name := range strings.SplitSeq(only, ",") {
		if only != "" && !slices.Contains(known, name) {
			return fmt.Errorf("-only %s: there are %s", name, strings.Join(known, ", "))
		}
	}
	for _, g := range groups {
		if only != "" && !slices.Contains(strings.Split(only, ","), g.name) {
			continue
		}
		began := time.Now()
		more, err := g.measure()
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", g.name, time.Since(began).Seconds())
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", g.name, err))
			more = []row{figure(g.name, "not measured: "+err.Error())} // the others take minutes
		}
		for i := range more {
			more[i].group = g.name
		}
		rows = append(rows, more...)
	}
	text := table(rows)
	fmt.Print(text)
	for _, r := range rows {
		if r.curve != nil {
			fmt.Print(r.curve.table())
		}
	}
	if file == "" {
		return failed
	}
	return errors.Join(failed, publish(file, fmt.Sprintf("Measured %s on %s (%d CPUs), %s, %s, %s.\n\n%s",
		time.Now().Format("2006-01-02"), cpuModel(), runtime.NumCPU(), kernel(), server.version, runtime.Version(), text), rows))
}

// The figures are between these lines of docs/performance.md; the rest is written by hand.
const (
	beginFigures = "<!-- figures: written by bench -->\n"
	endFigures   = "<!-- end of figures -->\n"
)

// publish writes the figures into a Markdown file, and the plots beside it in img/.
func publish(file, figures string, rows []row) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), beginFigures)
	_, after, ended := strings.Cut(rest, endFigures)
	if !found || !ended {
		return fmt.Errorf("%s lacks the lines %q and %q around the figures", file, beginFigures, endFigures)
	}
	images := filepath.Join(filepath.Dir(file), "img")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	plots := map[string]string{"performance.svg": plot(rows)}
	for _, r := range rows {
		if r.curve != nil {
			plots[r.curve.file] = r.curve.svg()
		}
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(images, name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(file, []byte(before+beginFigures+figures+endFigures+after), 0o644)
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

// median returns the upper median. It sorts its argument.
func median[T int | float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
