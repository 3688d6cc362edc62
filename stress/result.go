package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const module = "github.com/lpportorino/jettison-base-images/"

// An event is one line of go test -json; see go doc test2json.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// A result is the outcome of one run.
type result struct {
	passed  int
	skipped map[string]bool // by name
	failed  map[string]bool // by name: the innermost tests, or a package without failed tests
	log     []byte          // as go test writes it without -json, package by package
	took    time.Duration
}

// read makes a result of the output of go test -json.
func read(text io.Reader) (*result, error) {
	r := &result{skipped: map[string]bool{}, failed: map[string]bool{}}
	blamed := map[string]bool{} // packages with a test that failed
	logs := map[string][]byte{} // by package
	d := json.NewDecoder(text)
	for {
		var e event
		if err := d.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read go test -json: %w", err)
		}
		name := strings.TrimPrefix(e.Package, module)
		if e.Test != "" {
			name += " " + e.Test
		}
		switch e.Action {
		case "output", "build-output":
			in := cmp.Or(e.Package, e.ImportPath)
			logs[in] = append(logs[in], e.Output...)
		case "pass":
			if e.Test != "" {
				r.passed++
			}
		case "skip":
			if e.Test != "" {
				r.skipped[name] = true
			}
		case "fail":
			if e.Test != "" {
				blamed[e.Package] = true
			} else if blamed[e.Package] {
				break
			}
			r.failed[name] = true
		}
	}
	for _, in := range slices.Sorted(maps.Keys(logs)) {
		r.log = append(r.log, logs[in]...)
	}
	// A test fails with any of its subtests; only the subtest is listed.
	for name := range r.failed {
		for i := strings.LastIndexByte(name, '/'); i > strings.IndexByte(name, ' ') && strings.Contains(name, " "); i = strings.LastIndexByte(name[:i], '/') {
			delete(r.failed, name[:i])
		}
	}
	return r, nil
}

func (r *result) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.passed, len(r.failed), len(r.skipped))
}

func names(of map[string]bool) []string { return slices.Sorted(maps.Keys(of)) }

// A tally counts the runs in which a test appeared, by its name.
type tally map[string]int

func (t tally) add(of map[string]bool) {
	for name := range of {
		t[name]++
	}
}

// print lists the tests with their counts, the most frequent first.
func (t tally) print(w io.Writer, what string, runs int) {
	fmt.Fprintf(w, "%s in %d runs: %d\n", what, runs, len(t))
	for _, name := range slices.SortedFunc(maps.Keys(t), func(a, b string) int {
		return cmp.Or(t[b]-t[a], strings.Compare(a, b))
	}) {
		fmt.Fprintf(w, "    %d of %d  %s\n", t[name], runs, name)
	}
}
