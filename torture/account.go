package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// recent is how long before its SIGKILL wrapp may have read what it loses: it
// spools what has waited for some 300 ms and syncs that every 100 ms. A busy
// machine needs more. What lay in the spool is another matter: the proof
// wrapp-killed looks at that.
const recent = 5 * time.Second

// An account is what has arrived.
type account struct {
	text       text
	generation int            // how often the stream was deleted
	seen       map[string]int // IDs, and in which generation
	last       string         // the last line
	lastID     entry.ID
	run, next  int         // the line that is to come
	came       map[int]int // lines that came, by run
	kills      map[int]time.Time
	stored     map[int]int // lines that a wrapp that was killed had in its spool, at least
	gaps       bool        // lines may be missing, as long as they are counted
	missing    int
	wrong      []string
	said       []string // entries of the other streams
	again      int      // lines that came again under the same ID, when the stream had been deleted
}

func newAccount(t text) *account {
	return &account{
		text: t, seen: make(map[string]int), came: make(map[int]int),
		kills: make(map[int]time.Time), stored: make(map[int]int),
	}
}

func (a *account) killed(run int, at time.Time) { a.kills[run] = at }

func (a *account) fault(format string, args ...any) {
	if len(a.wrong) < 20 {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// add takes the next entry.
func (a *account) add(id, message string) {
	if generation, ok := a.seen[id]; ok {
		if generation == a.generation {
			a.fault("ID %s twice", id)
		}
		// What landed before a deletion and was not answered goes again.
		a.again++
		return
	}
	a.seen[id] = a.generation
	at, err := entry.ParseID(id)
	if err != nil || !a.lastID.Less(at) {
		a.fault("ID %s behind %v: %v", id, a.lastID, err)
	}
	a.lastID = at
	if strings.HasPrefix(message, "{{__") {
		return
	}
	var run, n int
	if _, err := fmt.Sscanf(message, "%d %d ", &run, &n); err != nil {
		a.fault("%s is no line of ours: %.80q", id, message)
		return
	}
	if run != a.run {
		if run < a.run {
			a.fault("%s: %d of run %d comes behind run %d", id, n, run, a.run)
		}
		a.run, a.next = run, 0
	}
	if want := a.text.line(nil, run, n); message != string(want) {
		a.fault("%s: %.80q is not what was written: %.80q", id, message, want)
	}
	if a.gaps && n > a.next {
		a.missing += n - a.next
	} else if n != a.next {
		a.fault("%s: run %d has %.30q where %d should be, behind %.30q", id, run, message, a.next, a.last)
	}
	a.last = message
	a.next = n + 1
	a.came[run] = n + 1
}

// report compares what arrived with what the apps wrote.
func (r *rig) report() error {
	a := r.account
	total, lost := 0, 0
	for run := 1; run <= r.run; run++ {
		wrote, certain, err := readNotes(r.notes(run), a.kills[run])
		if err != nil {
			return err
		}
		if r.leash != nil {
			wrote, certain = r.wrote[run], a.stored[run]
		}
		came := a.came[run]
		total += came
		at, killed := a.kills[run]
		switch {
		case !killed && came != wrote:
			a.fault("run %d: %d lines of %d came", run, came, wrote)
		case killed && came < certain:
			a.fault("run %d, killed at %s: %d lines came of %d that must and %d in all", run, at.Format("15:04:05.000"), came, certain, wrote)
		}
		lost += max(0, wrote-came)
	}
	for _, text := range a.said {
		if strings.Contains(text, "dropped") && !a.gaps || strings.Contains(text, "damage") || strings.Contains(text, "lost") && !strings.Contains(text, "Redis has lost") {
			a.fault("status says: %s", text)
		}
	}
	fmt.Printf("%d lines came, of %d runs; largest wrapp %d KiB", total-a.missing, r.run, r.peakKB)
	for _, what := range slices.Sorted(maps.Keys(r.did)) {
		fmt.Printf("; %s %d", what, r.did[what])
	}
	if n := r.proxy.cuts.Load(); n > 0 {
		fmt.Printf("; connections cut in mid-reply %d", n)
	}
	if len(a.kills) > 0 {
		fmt.Printf("; %d lines lost that wrapp had not spooled when it was killed", lost)
	}
	if a.again > 0 {
		fmt.Printf("; %d came again after a deletion", a.again)
	}
	fmt.Println()
	if len(a.wrong) > 0 {
		return fmt.Errorf("%d faults or more:\n%s", len(a.wrong), strings.Join(a.wrong, "\n"))
	}
	if a.gaps {
		fmt.Printf("%d missing, 0 twice, in order\n", a.missing)
	} else {
		fmt.Println("0 lost otherwise, 0 twice, in order")
	}
	return nil
}

// readNotes returns how many lines an app wrote, and how many of them some time
// before the given one.
func readNotes(file string, kill time.Time) (wrote, certain int, err error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return 0, 0, nil // it was killed before it began
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var n int
		var ms int64
		if _, err := fmt.Sscanf(lines.Text(), "wrote %d %d", &n, &ms); err == nil {
			wrote = n
			if time.UnixMilli(ms).Add(recent).Before(kill) {
				certain = n
			}
		}
		if _, err := fmt.Sscanf(lines.Text(), "ended %d", &n); err == nil {
			wrote = n
		}
	}
	return wrote, certain, lines.Err()
}
