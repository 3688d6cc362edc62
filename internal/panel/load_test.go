package panel

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// loadFor is how long loads last; PANEL_LOAD=1m for the figures of docs/panel.md.
func loadFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PANEL_LOAD")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cpu is the time that a process has used so far, of /proc/PID/stat (proc(5)).
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// TestFloodInBrowser: an app that writes 5,000 lines a second does not fill the tab or take it away.
func TestFloodInBrowser(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	app := runApp(t, s, "flood", "", obeys)
	p := start(t, nil, s)
	p.await("flood", "running")
	b := p.open("/app/flood", 1280, 800, "light")
	b.wait(`document.getElementById("live").textContent.includes("live")`)
	app.say(t, fmt.Sprintf(`for s in $(seq %d); do for i in $(seq 25); do seq -f "line %%g of a flood that nobody can read as fast as it comes" 200; sleep 0.04; done; done; echo over`, int(loadFor(t).Seconds())))
	b.wait(`document.getElementById("lines").innerText.includes("came too fast to be shown")`)
	begin := time.Now()
	b.js(`document.getElementById("pause").click()`)
	t.Logf("a click while it floods took %v", time.Since(begin))
	b.wait(`document.getElementById("newer").textContent.includes("newer lines")`)
	b.js(`document.getElementById("pause").click()`)
	b.wait(`document.getElementById("lines").lastElementChild.textContent.includes("over")`)
	if n := eval[int](b, `document.querySelectorAll("#lines li").length`); n > 2000 {
		t.Errorf("the tab keeps %d lines", n)
	}
	heap := eval[int](b, `performance.memory.usedJSHeapSize`)
	if heap > 200<<20 {
		t.Errorf("the tab has %d bytes", heap)
	}
	t.Logf("the tab's heap: %d bytes", heap)
}

// TestLatency logs how long a line takes from wrapp's reading of it to the browser's paint.
func TestLatency(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	app := runApp(t, s, "ticks", "", obeys)
	p := start(t, nil, s)
	p.await("ticks", "running")
	b := p.open("/app/ticks", 1280, 800, "light")
	b.wait(`document.getElementById("live").textContent.includes("live") && document.querySelector(".lane")`)
	b.js(`window.took = []; new MutationObserver((all) => { for (const m of all) for (const li of m.addedNodes)
		if (li.dataset.id) requestAnimationFrame(() => took.push(Date.now() - Number(li.dataset.id.split("-")[0]))) }).observe(document.getElementById("lines"), {childList: true})`)
	app.say(t, `for i in $(seq 40); do echo tick $i; sleep 0.1; done`)
	b.wait(`took.length >= 40`)
	t.Logf("median latency to the paint: %d ms", eval[int](b, `took.sort((x, y) => x - y)[20]`))
}

// TestFifty: 50 apps with two pools each are shown; it logs what nobody looking costs.
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
	for _, c := range []interface {
		Do(string, ...any) (any, error)
	}{logs, values} {
		if _, err := c.Do(""); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, nil, s)
	b := p.open("/", 1280, 800, "light")
	b.wait(`document.querySelectorAll("#rows tr").length == 50 && document.querySelectorAll("#rows .pool").length == 100`)

	self, _ := os.Executable()
	cmd := exec.Command(self, "--redis", s.URL(), "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), be+"=panel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}()
	if os.Getenv("PANEL_LOAD") == "" {
		return
	}
	time.Sleep(5 * time.Second)
	begin := cpu(t, cmd.Process.Pid)
	time.Sleep(loadFor(t))
	t.Logf("nobody looks at 50 apps: %.2f %% of a core", 100*float64(cpu(t, cmd.Process.Pid)-begin)/float64(loadFor(t)))
}

// TestLongStream: a stream of many entries is paged, whatever is searched for in it, and one
// request reads a bounded part of it.
func TestLongStream(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs := s.Dial(1)
	const entries = 100_000
	for i := range entries {
		logs.Send("XADD", "logs:app:long:info", fmt.Sprintf("%d-1", 1_700_000_000_000+i), "message", fmt.Sprintf("entry %d", i))
		if i%10_000 == 9_999 {
			if _, err := logs.Do(""); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := start(t, nil, s)
	eventually(t, "the app is known", func() bool { return p.apps()["long"] != nil })
	next, want, requests := "", entries-1, 0
	for range 3 { // page by page, none missing, none twice
		var page Page
		p.read("/apps/long/log?n=500&before="+next, &page)
		if len(page.Lines) != 500 {
			t.Fatalf("%d lines", len(page.Lines))
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
	if requests < entries/(scanEntries+chunkMost) {
		t.Errorf("found with %d requests", requests)
	}
	var around Page
	p.read("/apps/long/log?n=10&at=1700000000500-1/long/info", &around)
	if len(around.Lines) != 11 || around.Lines[5].Text != "entry 500" {
		t.Errorf("%+v", around.Lines)
	}
}
