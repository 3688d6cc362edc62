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

// recent bounds the age of lines that a wrapp may lose when it is killed: it spools lines that
// have waited for some 300 ms, every 100 ms. A busy machine takes longer. The proof wrapp-killed
// checks that no spooled line is lost.
const recent = 10 * time.Second

// An account records what arrived: every XADD that a server ever executed, trimmed or not, and
// the stream that a server makes of its append-only file.
type account struct {
	text   text
	shared bool // one program's lines may be delivered by another
	gaps   bool // lines may be missing if they are counted

	lines  map[int]*tally // by run
	run    map[int]int    // newest run of each family
	lastID entry.ID
	others int      // entries of a stranger
	said   []string // entries of the other streams
	wrong  []string // faults

	stream *stream
	torn   int // see history
}

// A tally counts the lines of one run.
type tally struct {
	next    int // the next expected line
	missing int // lines below next that did not come
	again   int // lines that came twice or too late
}

func tallyOf(lines map[int]*tally, run int) *tally {
	if lines[run] == nil {
		lines[run] = new(tally)
	}
	return lines[run]
}

// count counts line n.
func (t *tally) count(n int) {
	if n < t.next {
		t.again++
		return
	}
	t.missing += n - t.next
	t.next = n + 1
}

func newAccount(t text) *account {
	return &account{text: t, lines: make(map[int]*tally), run: make(map[int]int), stream: newStream()}
}

func (a *account) fault(format string, args ...any) {
	if len(a.wrong) < 20 {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// execute records the next command that a server executed.
func (a *account) execute(args []string) error {
	switch {
	case args[0] == "DEL" && args[1] == key:
		a.lastID = entry.ID{}
	case args[0] == "XADD":
		id, message, err := added(args)
		if err != nil {
			return err
		}
		if args[1] == key {
			a.add(id, message)
		} else {
			a.said = append(a.said, message)
		}
	}
	return nil
}

// add records the next entry of our stream.
func (a *account) add(id entry.ID, message string) {
	if !a.lastID.Less(id) {
		a.fault("ID %v behind %v", id, a.lastID)
	}
	a.lastID = id
	switch {
	case strings.HasPrefix(message, "{{__"):
		return
	case strings.HasPrefix(message, other+" "):
		a.others++
		return
	}
	run, n, ok := numbered(message)
	if !ok {
		a.fault("%v is no line of ours: %.80q", id, message)
		return
	}
	if newest := a.run[run/family]; run < newest && !a.shared {
		a.fault("%v: %d of run %d comes behind run %d", id, n, run, newest)
	}
	a.run[run/family] = max(run, a.run[run/family])
	if want := a.text.line(nil, run, n); message != string(want) {
		a.fault("%v: %.80q is not what was written: %.80q", id, message, want)
	}
	t := tallyOf(a.lines, run)
	if n < t.next || n > t.next && !a.gaps {
		a.fault("%v: run %d has line %d where %d should be", id, run, n, t.next)
	}
	t.count(n)
}

// report compares the lines that arrived with those that the apps wrote.
func (r *rig) report() error {
	a := r.account
	came, missing, again, late := 0, 0, 0, 0
	kills := 0
	for _, p := range r.programs() {
		kills += len(p.kills)
		for run := p.first + 1; run <= p.run; run++ {
			wrote, certain, err := readProgress(p.progressFile(run), p.kills[run])
			if err != nil {
				return err
			}
			if p.leash != nil {
				wrote, certain = p.wrote[run], p.stored[run]
			}
			t := tallyOf(a.lines, run)
			came += t.next - t.missing
			missing += t.missing
			again += t.again
			tail := max(0, wrote-t.next)
			at, killed := p.kills[run]
			switch {
			case t.next > wrote && !killed:
				a.fault("run %d: %d lines came, and %d were written", run, t.next, wrote)
			case !killed && a.gaps:
				missing += tail
			case !killed && tail > 0:
				a.fault("run %d: %d lines of %d came", run, t.next, wrote)
				missing += tail
			case killed && t.next < certain:
				a.fault("run %d, killed at %s: %d lines came of %d that must and %d in all", run, at.Format("15:04:05.000"), t.next, certain, wrote)
				missing += certain - t.next
			}
			if killed && r.block && t.missing > 0 {
				a.fault("run %d was killed, and %d of its lines are missing: with block only the end of an app drops lines", run, t.missing)
			}
			if killed {
				late += tail
			}
		}
	}
	told := a.told()
	if told != missing {
		a.fault("%d lines are missing, and :status says %d", missing, told)
	}
	for _, text := range a.said {
		if strings.Contains(text, "dropped") && !a.gaps || strings.Contains(text, "damage") || strings.Contains(text, "lost") || strings.Contains(text, "may come twice") {
			a.fault("status says: %s", text)
		}
	}
	fmt.Printf("%d lines came, of %d runs; %d entries of others; largest wrapp %d KiB", came, r.runs(), a.others, r.peakKB())
	for _, what := range slices.Sorted(maps.Keys(r.did)) {
		fmt.Printf("; %s %d", what, r.did[what])
	}
	if n := r.proxy.cuts.Load(); n > 0 {
		fmt.Printf("; cut in the middle %d", n)
	}
	if kills > 0 {
		fmt.Printf("; %d lines lost that wrapp had not spooled when it was killed", late)
	}
	fmt.Println()
	a.compareReplay(missing, again, r.twin != nil)
	fmt.Printf("%d missing, %d of them told, %d twice or out of order\n", missing, told, again)
	if len(a.wrong) > 0 {
		return fmt.Errorf("%d faults or more:\n%s", len(a.wrong), strings.Join(a.wrong, "\n"))
	}
	return nil
}

// compareReplay compares the lines that arrived with those that a server has after it has read
// its append-only file. Only torn transactions may make a difference: their lines may come
// twice, and with two wrapps Redis refuses what one of them added with IDs below those of a
// torn transaction of the other.
func (a *account) compareReplay(missing, again int, two bool) {
	twice, lost := -again, 0
	for run, t := range a.lines {
		s := tallyOf(a.stream.lines, run)
		twice += s.again
		lost += max(0, t.next-t.missing-(s.next-s.missing))
	}
	if a.torn > 0 {
		fmt.Printf("Redis has torn transactions of %d entries in its append-only file; when it reads the file, it refuses %d entries; of ours %d are lost by that and %d twice\n", a.torn, a.stream.refused, lost, twice)
	}
	mayLose := 0
	if a.torn > 0 && two {
		mayLose = a.stream.refused
	}
	if lost > mayLose || twice > a.torn || a.torn == 0 && a.stream.refused > 0 {
		a.fault("of the lines that came, %d are lost and %d twice after one more restart; torn transactions have %d entries, and Redis refuses %d", lost, twice, a.torn, a.stream.refused)
	}
}

// told returns how many dropped lines :status reports.
func (a *account) told() (dropped int) { return countDropped(a.said) }

func countDropped(said []string) (dropped int) {
	for _, text := range said {
		var n int
		if _, err := fmt.Sscanf(text, "%d lines dropped", &n); err == nil {
			dropped += n
		}
	}
	return dropped
}

func (a *account) says(text string) bool {
	return slices.ContainsFunc(a.said, func(said string) bool { return strings.Contains(said, text) })
}

// readProgress returns how many lines an app wrote, and how many of them so long before kill
// that they must arrive.
func readProgress(file string, kill time.Time) (wrote, certain int, err error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return 0, 0, nil // the app was killed before it began
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
