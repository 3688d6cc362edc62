package eventlog

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestQueue writes more than a Queue holds while it is not read: no Write waits, what is kept stays
// in order, and what is left out is counted.
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
	kept, left := 0, 0
	for line := range strings.Lines(string(all)) {
		var n int
		if _, err := fmt.Sscanf(line, "(%d messages are left out here", &n); err == nil {
			left += n
		} else if line != fmt.Sprintln("line", kept) {
			t.Fatalf("%q, want line %d", line, kept)
		} else {
			kept++
		}
	}
	if kept < mostQueued || kept+left != lines {
		t.Errorf("%d lines are kept, %d left out", kept, left)
	}
}
