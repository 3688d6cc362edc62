package panel

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// long reports whether LONG asks for the long forms of these tests:
// LONG=1 go test -v -timeout 1h -run 'Flood|LongStream' ./internal/panel.
func long() bool { return os.Getenv("LONG") != "" }

// flood is an app that waits for a line, then writes 5,000 lines a second for %d seconds.
const flood = `import sys, time
sys.stdin.readline()
begin = time.monotonic()
for tick in range(100 * %d):
    time.sleep(max(0, begin + tick / 100 - time.monotonic()))
    sys.stdout.write("".join("line %%d of a flood that comes faster than it can be read\n" %% (50 * tick + i) for i in range(50)))
    sys.stdout.flush()
print("over after %%.1f s" %% (time.monotonic() - begin), flush=True)
sys.stdin.readline()
`

// TestFloodInBrowser: an app that writes 5,000 lines a second does not fill the tab's memory,
// and the tab still obeys clicks. The long form lasts a minute.
func TestFloodInBrowser(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	seconds, clicks := 3, 2
	if long() {
		seconds, clicks = 60, 40
	}
	file := filepath.Join(t.TempDir(), "flood.py")
	if err := os.WriteFile(file, fmt.Appendf(nil, flood, seconds), 0o600); err != nil {
		t.Fatal(err)
	}
	app := runApp(t, s, "flood", "", "exec python3 "+file)
	p := start(t, nil, s)
	p.await("flood", "running")
	b := p.open("/app/flood", 1280, 800, "light")
	b.wait(`document.getElementById("live").textContent.includes("live")`)
	b.js(`window.took = []; document.getElementById("pause").addEventListener("click", (e) =>
		requestAnimationFrame(() => setTimeout(() => took.push(performance.now() - e.timeStamp))))`)
	app.say(t, "go")
	b.wait(`document.getElementById("lines").innerText.includes("came too fast to be shown")`)
	for i := range clicks {
		// Click at a position: to search for a node, chromedp would need an event for every line.
		at := eval[[]float64](b, `(r => [r.x + r.width / 2, r.y + r.height / 2])(document.getElementById("pause").getBoundingClientRect())`)
		b.do(chromedp.MouseClickXY(at[0], at[1]))
		b.wait(fmt.Sprintf(`took.length > %d`, i))
		b.wait(fmt.Sprintf(`document.getElementById("pause").getAttribute("aria-pressed") == "%v"`, i%2 == 0))
		if long() {
			time.Sleep(time.Second)
		}
	}
	b.wait(`document.getElementById("lines").lastElementChild.textContent.includes("over after")`)
	t.Logf("the app: %s", eval[string](b, `document.getElementById("lines").lastElementChild.textContent`))
	if n := eval[int](b, `document.querySelectorAll("#lines li").length`); n > 2000 {
		t.Errorf("the tab keeps %d lines", n)
	}
	took := eval[[]float64](b, `took.sort((x, y) => x - y)`)
	t.Logf("a click, until its effect was painted: %.0f ms at the median, %.0f ms at most", took[len(took)/2], slices.Max(took))
	heap, private := eval[int](b, `performance.memory.usedJSHeapSize`), largestTab(t)
	t.Logf("the tab: %d MB of JavaScript heap, %d MB private memory of its process", heap>>20, private>>20)
	if heap > 200<<20 || private > 200<<20 {
		t.Errorf("the tab has %d and %d bytes", heap, private)
	}
}

// largestTab returns the private memory of the browser's largest tab process.
func largestTab(t *testing.T) (most int) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		if !strings.Contains(string(cmdline), "--type=renderer") || !descends(dir) {
			continue
		}
		rollup, _ := os.ReadFile(dir + "/smaps_rollup")
		sum := 0
		for line := range strings.Lines(string(rollup)) {
			if fields := strings.Fields(line); strings.HasPrefix(line, "Private_") {
				kib, _ := strconv.Atoi(fields[1])
				sum += kib << 10
			}
		}
		most = max(most, sum)
	}
	if most == 0 {
		t.Error("no tab's process is found")
	}
	return most
}

// descends reports whether a process, by its directory in /proc, descends from this one.
func descends(dir string) bool {
	for pid := filepath.Base(dir); pid != "0" && pid != ""; {
		if pid == strconv.Itoa(os.Getpid()) {
			return true
		}
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			return false
		}
		pid = fields[1]
	}
	return false
}

// TestFifty: the panel shows 50 apps with two pools each.
func TestFifty(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs, values := s.Dial(1), s.Dial(2)
	for i := range 50 {
		name := fmt.Sprintf("app-%02d", i)
		logs.Send("XADD", "logs:app:"+name+":status", "*", "message", "{{__NEW_RUN_2026-11-29_01-02-03}}")
		logs.Send("XADD", "logs:app:"+name+":info", "*", "message", "hello")
		for _, pool := range []string{"a", "b"} {
			for _, property := range []string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"} {
				values.Send("SET", name+":__healthpool__"+pool+"_"+property, 1)
			}
		}
	}
	for _, c := range []redis.Conn{logs, values} {
		if _, err := c.Do(""); err != nil {
			t.Fatal(err)
		}
	}
	b := start(t, nil, s).open("/", 1280, 800, "light")
	b.wait(`document.querySelectorAll("#rows tr").length == 50 && document.querySelectorAll("#rows .pool").length == 100`)
}

// TestHistoryIsBounded: the state of 50 apps, with the most pools, events and reports, takes
// 64 MB or less after more than an hour.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	self, _ := os.Executable()
	for _, pools := range []int{2, maxPools} {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), be+"=history", fmt.Sprintf("TEST_POOLS=%d", pools))
		said, err := cmd.Output()
		bytes, err2 := strconv.Atoi(string(said))
		if err != nil || err2 != nil || bytes > 64<<20 || bytes < 50*pools*4*span {
			t.Errorf("%d pools each: %s, %v, %v", pools, said, err, err2)
		}
		t.Logf("50 apps with %d pools each: %.1f MB", pools, float64(bytes)/1e6)
	}
}

// fillHistory fills the history of 50 apps and prints how many bytes it takes.
func fillHistory() {
	pools, _ := strconv.Atoi(os.Getenv("TEST_POOLS"))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	report := []byte(strings.Repeat("#0 a line of a report\n", 1000))
	b := newBoard(config.Board{Redis: config.Default().Redis}, slog.New(slog.DiscardHandler))
	for i := range 50 {
		a := b.app(fmt.Sprintf("app-%d", i))
		for j := range maxCrashes + 10 {
			id := entry.ID{Ms: uint64(1_800_000_000_000 + 1000*j)}
			a.addEntries([]journal.Entry{
				{Stream: logstream.Status, ID: id, Message: []byte("{{__NEW_RUN_2026-11-29_01-02-03}}"), Fields: []string{"host", "h", "boot", "b"}},
				{Stream: logstream.Crash, ID: id, Message: report, Fields: []string{"signature", "0123456789abcdef"}},
			})
		}
		for j := range pools {
			a.pools[fmt.Sprint(j)] = new(pool)
		}
		for second := range int64(span + 10) {
			a.rates(second, 1, 1, false)
			for _, p := range a.pools {
				p.history.put(second, .5)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	fmt.Print(int(after.HeapAlloc) - int(before.HeapAlloc))
	runtime.KeepAlive(b)
}

// TestSlowBrowser: a browser that does not read is dropped, and nothing waits for it.
func TestSlowBrowser(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	runApp(t, s, "flood", "", `line=$(head -c 2000 /dev/zero | tr '\0' x); while :; do for i in $(seq 50); do echo "$line"; done; sleep 0.05; done`)
	p := start(t, nil, s)
	p.await("flood", "running")
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(c, "GET /app/flood/live?log=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	line, err := bufio.NewReaderSize(c, 16).ReadString('\n')
	if err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	if n := len(p.viewers); n != 1 {
		t.Errorf("%d live views", n)
	}
	eventually(t, "the slow one is dropped", func() bool { return len(p.viewers) == 0 })
	if status, _ := p.get("/app/flood"); status != http.StatusOK {
		t.Errorf("the page itself is %d", status)
	}
}

// TestLongStream: a stream of many entries is paged, whatever the filter, and one request
// reads a bounded part of it.
func TestLongStream(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	entries := 25_000
	if long() {
		entries = 3_000_000
	}
	const fill = `for i = 0, ARGV[1] - 1 do redis.call('XADD', KEYS[1], (1700000000000 + i) .. '-1', 'message', 'entry ' .. i) end`
	c := s.Dial(1)
	if _, err := c.Do("EVAL", fill, 1, "logs:app:long:info", entries); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do("SLOWLOG", "RESET"); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, s)
	eventually(t, "the app is known", func() bool { return p.apps()["long"] != nil })
	next, want, requests := "", entries-1, 0
	for want >= entries-1500 { // page by page, each line once
		var page Page
		p.read("/apps/long/log?n=500&before="+next, &page)
		if len(page.Lines) > 500 || page.Before == "" { // a slow Redis makes pages shorter
			t.Fatalf("%d lines, and then %q", len(page.Lines), page.Before)
		}
		for i := len(page.Lines) - 1; i >= 0; i-- {
			if got := page.Lines[i].Text; got != fmt.Sprintf("entry %d", want) {
				t.Fatalf("%q, want entry %d", got, want)
			}
			want--
		}
		next = page.Before
	}
	next = ""
	for found := ""; found == ""; requests++ {
		var page Page
		p.read("/apps/long/log?re=1&q=entry+7$&before="+next, &page)
		if page.Read > scanEntries+chunkMost || page.Before == "" && len(page.Lines) == 0 {
			t.Fatalf("%d entries were read at once, and then: %q", page.Read, page.Before)
		}
		if len(page.Lines) > 0 {
			found = page.Lines[len(page.Lines)-1].Text
		}
		next = page.Before
	}
	if requests <= entries/(scanEntries+chunkMost) {
		t.Errorf("found with %d requests", requests)
	}
	slow, err := redis.Int(c.Do("SLOWLOG", "LEN"))
	t.Logf("%d requests searched %d entries; commands of more than 10 ms: %d, %v", requests, entries, slow, err)
	var around Page
	p.read("/apps/long/log?n=10&at=1700000000500-1/long/info", &around)
	if len(around.Lines) != 11 || around.Lines[5].Text != "entry 500" {
		t.Errorf("%+v", around.Lines)
	}
	for _, one := range []string{"n=1", "whole=1"} {
		var page Page
		p.read("/apps/long/log?at=1700000000500-1/long/info&"+one, &page)
		if len(page.Lines) != 1 || page.Lines[0].Text != "entry 500" {
			t.Fatalf("%s: %+v", one, page.Lines)
		}
		for where, want := range map[string]string{"before=" + page.Before: "entry 499", "after=" + page.After: "entry 501"} {
			var next Page
			p.read("/apps/long/log?n=1&"+where, &next)
			if len(next.Lines) != 1 || next.Lines[0].Text != want {
				t.Errorf("%s, and then %s: %+v, want %s", one, where, next.Lines, want)
			}
		}
	}
}
