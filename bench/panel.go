package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gomodule/redigo/redis"
)

const (
	panelApps  = 50
	panelPools = 2 // of each app
	panelRate  = 2000
	panelTimed = 100 // lines whose ages are measured
	panelSpan  = 8 * time.Second
)

// panel measures the CPU time of jettison_panel and of its Redis, with no page open and with
// one open log, and the time from an app's write to a browser's paint.
func panel(wrapp, steady, dir string) ([]row, error) {
	dir = filepath.Join(dir, "panel")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := startServer(dir) // holds only the panel's data
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.fillPanel(); err != nil {
		return nil, err
	}
	cmd, url, err := startPanel(s, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}()
	time.Sleep(5 * time.Second) // the panel reads the existing data
	idle := load{panel: cmd.Process.Pid, redis: s.cmd.Process.Pid}.measure()

	tab, stop, err := openTab(dir)
	if err != nil {
		return nil, err
	}
	defer stop()
	ages, err := s.painted(tab, url, wrapp, steady)
	if err != nil {
		return nil, err
	}
	writer := exec.Command(wrapp, "--redis=redis://"+s.addr(), "--name=bench-open", "--passthrough=never", "--",
		steady, strconv.Itoa(panelRate), strconv.Itoa(panelRate*3600))
	writer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := writer.Start(); err != nil {
		return nil, err
	}
	defer func() {
		writer.Process.Signal(syscall.SIGTERM)
		writer.Wait()
	}()
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil {
		return nil, err
	}
	time.Sleep(5 * time.Second)
	closed := load{panel: cmd.Process.Pid, redis: s.cmd.Process.Pid}.measure()
	if err := openLog(tab, url, "bench-open"); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second)
	open := load{panel: cmd.Process.Pid, redis: s.cmd.Process.Pid}.measure()
	median := quantile(ages, .5)
	return []row{
		figure(fmt.Sprintf("the panel, %d apps, no page open: CPU time, of one core", panelApps), percent(idle.panelShare)).atMost("1 % or less", idle.panelShare, 1),
		figure("the same, of Redis", percent(idle.redisShare)).atMost("1 % or less", idle.redisShare, 1),
		figure("the panel, one open log, 2,000 lines a second: CPU time, of one core", percent(open.panelShare)),
		figure("the same, of Redis", percent(open.redisShare)).against("no page open: "+percent(closed.redisShare), open.redisShare, closed.redisShare),
		figure("from the app's write to the browser's paint, median", milliseconds(median)).atMost("150 ms or less", median.Seconds(), .150),
		figure("the same, 99 % are below", milliseconds(quantile(ages, .99))),
	}, nil
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", share) }

// A load is the CPU time of the panel and of its Redis.
type load struct {
	panel, redis           int     // process IDs
	panelShare, redisShare float64 // of a core, in percent
}

// measure measures the load for panelSpan.
func (l load) measure() load {
	began := time.Now()
	panel, _ := onCPU(l.panel)
	redis, _ := onCPU(l.redis)
	time.Sleep(panelSpan)
	took := time.Since(began)
	panelLater, _ := onCPU(l.panel)
	redisLater, _ := onCPU(l.redis)
	l.panelShare = 100 * (panelLater - panel).Seconds() / took.Seconds()
	l.redisShare = 100 * (redisLater - redis).Seconds() / took.Seconds()
	return l
}

// fillPanel writes the streams and keys of running apps, as wrapp would.
func (s *server) fillPanel() error {
	values, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(2))
	if err != nil {
		return err
	}
	defer values.Close()
	for i := range panelApps {
		name := fmt.Sprintf("app-%02d", i)
		s.conn.Send("XADD", "logs:app:"+name+":status", "*", "message", "{{__NEW_RUN_2026-11-29_01-02-03}}", "host", "h", "boot", "b", "pid", 7)
		for j := range 1000 {
			s.conn.Send("XADD", "logs:app:"+name+":info", "*", "message", fmt.Sprintf("%0*d", lineBytes, j))
		}
		values.Send("HSET", "wrapp-run:"+name+":h", "host", "h", "pid", 7, "state", "running", "lines", 1000, "errors", 0)
		for j := range panelPools {
			for _, property := range []string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"} {
				values.Send("SET", fmt.Sprintf("%s:__healthpool__pool-%d_%s", name, j, property), 1)
			}
		}
	}
	if _, err := s.conn.Do(""); err != nil {
		return err
	}
	_, err = values.Do("")
	return err
}

var panelURL = regexp.MustCompile(`the panel is at (http://\S+/)`)

func startPanel(s *server, dir string) (cmd *exec.Cmd, url string, err error) {
	file := filepath.Join(dir, "jettison_panel")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./cmd/jettison_panel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	cmd = exec.Command(file, "--redis=redis://"+s.addr(), "--listen=127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	lines := bufio.NewReader(said)
	line, err := lines.ReadString('\n')
	m := panelURL.FindStringSubmatch(line)
	if err != nil || m == nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, "", fmt.Errorf("jettison_panel: %v: %s", err, line)
	}
	go io.Copy(io.Discard, lines)
	return cmd, m[1], nil
}

// openTab starts a browser without a window.
func openTab(dir string) (tab context.Context, stop func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, nil, fmt.Errorf("make tools installs it: %w", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(filepath.Join(dir, "chromium")))
	all, stopAll := chromedp.NewExecAllocator(context.Background(), options...)
	tab, _ = chromedp.NewContext(all)
	return tab, func() {
		chromedp.Cancel(tab)
		stopAll()
	}, chromedp.Do(tab)
}

// openLog opens the page of an app once the panel has found it, and waits until its log is live.
func openLog(tab context.Context, url, app string) error {
	for range 60 {
		if err := chromedp.Do(tab, chromedp.Navigate(url+"app/"+app)); err != nil {
			return err
		}
		if there, err := chromedp.Run(tab, chromedp.Evaluate[bool](`!!document.getElementById("lines")`)); err != nil || there {
			break
		}
		time.Sleep(time.Second)
	}
	return until(tab, `document.getElementById("live")?.textContent.includes("live") && document.querySelector("#lines li")`)
}

// until waits until an expression is true in the page.
func until(tab context.Context, expression string) error {
	for range 3000 {
		ok, err := chromedp.Run(tab, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && ok {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	text, _ := chromedp.Run(tab, chromedp.Evaluate[string]("location.href + document.body.innerText.slice(0, 500)"))
	return fmt.Errorf("not within a minute in the browser: %s; it shows %s", expression, text)
}

// watchPaints collects in the page's array ages each line's age at its paint, in milliseconds
// of the wall clock.
const watchPaints = `(() => {
	window.ages = [];
	new MutationObserver((all) => {
		const stamps = all.flatMap((m) => [...m.addedNodes]).map((li) => li.querySelector?.(".m")?.textContent || "").filter((text) => /^\d{19} /.test(text));
		requestAnimationFrame(() => setTimeout(() => {
			const now = Date.now();
			for (const s of stamps) ages.push(now - Number(s.slice(0, 13)) - Number(s.slice(13, 19)) / 1e6);
		}));
	}).observe(document.getElementById("lines"), { childList: true });
	return true;
})()`

// painted runs an app with 10 lines a second and returns the lines' ages at their paint.
func (s *server) painted(tab context.Context, url, wrapp, steady string) (ages []time.Duration, err error) {
	gate := filepath.Join(filepath.Dir(steady), "painted")
	cmd := exec.Command(wrapp, "--redis=redis://"+s.addr(), "--name=bench-painted", "--passthrough=never", "--",
		"sh", "-c", fmt.Sprintf("echo ready; until [ -e %s ]; do sleep 0.1; done; exec %s 10 %d", gate, steady, panelTimed))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGTERM)
	if err := openLog(tab, url, "bench-painted"); err != nil {
		return nil, err
	}
	if _, err := chromedp.Run(tab, chromedp.Evaluate[bool](watchPaints)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		return nil, err
	}
	if err := until(tab, fmt.Sprintf("ages.length >= %d", panelTimed)); err != nil {
		return nil, err
	}
	read, err := chromedp.Run(tab, chromedp.Evaluate[[]float64]("ages"))
	for _, ms := range read {
		ages = append(ages, time.Duration(ms*float64(time.Millisecond)))
	}
	return ages, err
}
