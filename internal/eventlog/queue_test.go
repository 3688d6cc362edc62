package eventlog

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestQueue writes more than a Queue holds while it is not read: no Write waits, what is kept stays
// in order, and what is left out is counted in its place.
func TestQueue(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	q := NewQueue(w)
	const lines = 2 * mostQueued
	for i := range lines {
		fmt.Fprintln(q, "line", i)
	}
	go func() {
		q.Close()
		w.Close()
	}()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	next, kept := 0, 0
	for line := range strings.Lines(string(all)) {
		var left int
		if _, err := fmt.Sscanf(line, "(%d messages are left out here", &left); err == nil {
			next += left
		} else if line != fmt.Sprintln("line", next) {
			t.Fatalf("%q, want line %d", line, next)
		} else {
			next++
			kept++
		}
	}
	if kept < mostQueued || next != lines {
		t.Errorf("%d lines are kept, %d kept or left out", kept, next)
	}
}
