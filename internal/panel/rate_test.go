package panel

import (
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestTally: a rate is the growth of a count between two updates of a hash by one wrapp.
func TestTally(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	var got tally
	for i, row := range []struct {
		pid, after    int // milliseconds after noon
		lines, errors uint64
		known         bool
		rate, wrong   float32
	}{
		{7, 0, 1000, 10, false, 0, 0},
		{7, 2000, 3000, 13, true, 1000, 1.5},
		{7, 2000, 3000, 13, true, 1000, 1.5}, // read twice
		{7, 2500, 3000, 13, true, 0, 0},
		{8, 3500, 4000, 20, false, 0, 0}, // another wrapp
		{8, 4500, 4100, 20, true, 100, 0},
		{8, 5500, 5, 1, false, 100, 0}, // another writer
		{8, 5000, 9, 2, false, 100, 0}, // the clock went back
	} {
		got.update(&fleet.Instance{PID: row.pid, Updated: noon.Add(time.Duration(row.after) * time.Millisecond), Lines: row.lines, Errors: row.errors})
		if got.known != row.known || row.known && (got.rate != row.rate || got.wrong != row.wrong) {
			t.Errorf("%d: %+v, want %+v", i, got, row)
		}
	}
}

// TestRates: the panel shows more lines a second than it reads, as wrapp counts them.
func TestRates(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	app := runApp(t, s, "many", "[logs]\nmax_line = 1024", obeys)
	p := start(t, nil, s)
	b := p.boards[0]
	counted := func() (yes bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		a := b.apps["many"]
		return a != nil && a.counted
	}
	eventually(t, "wrapp counts", counted)
	app.say(t, `for i in $(seq 100); do echo line; echo ERROR wrong; echo line; done; echo "ERROR $(head -c 5000 /dev/zero | tr '\0' x)"`)
	eventually(t, "all are counted", func() bool {
		runs, _ := p.apps()["many"]["instances"].([]any)
		return len(runs) == 1 && runs[0].(map[string]any)["errors"] == "101" && runs[0].(map[string]any)["lines"] == "305"
	})
	var history struct {
		Lines  []*float32 `json:"lines_per_second"`
		Errors []*float32 `json:"errors_per_second"`
	}
	top := func(values []*float32) (top float32) {
		for _, v := range values {
			if v != nil {
				top = max(top, *v)
			}
		}
		return top
	}
	eventually(t, "the rates are shown", func() bool {
		p.read("/apps/many/history", &history)
		return top(history.Errors) > 0 && top(history.Lines) > 2*top(history.Errors)
	})
	if p.apps()["many"]["rates_estimated"] != false || !counted() {
		t.Error("the rates are no counts")
	}
}
