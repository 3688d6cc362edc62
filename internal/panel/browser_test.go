package panel

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromium is the browser of all tests of this process.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop []context.CancelFunc
	err  error
	dir  string
}

func startBrowser() {
	path, err := exec.LookPath("chromium")
	if err != nil {
		chromium.err = err
		return
	}
	if chromium.dir, chromium.err = os.MkdirTemp("", "panel-chromium-"); chromium.err != nil {
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(chromium.dir), chromedp.Flag("enable-precise-memory-info", true), chromedp.Flag("lang", "en-GB"), chromedp.WSURLReadTimeout(3*time.Minute))
	ctx, stopAll := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(ctx)
	chromium.ctx, chromium.stop = ctx, []context.CancelFunc{stop, stopAll}
	chromium.err = chromedp.Do(ctx)
}

func stopBrowser() {
	if chromium.ctx != nil {
		chromedp.Cancel(chromium.ctx)
	}
	for _, stop := range chromium.stop {
		stop()
	}
	if chromium.dir != "" {
		os.RemoveAll(chromium.dir)
	}
}

// A tab is a page in the browser. Errors of its scripts fail the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	wrongs []string
}

// open opens a page of the panel in a tab of that size, light or dark.
func (p *testPanel) open(path string, width, height int64, scheme string) *tab {
	p.t.Helper()
	chromium.once.Do(startBrowser)
	if chromium.err != nil {
		p.t.Fatalf("no chromium (make test installs it): %v", chromium.err)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	p.t.Cleanup(cancel)
	b := &tab{t: p.t, ctx: ctx}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			// The page itself shows a status. The panel drops a slow browser, which reconnects.
			const status = "Failed to load resource: the server responded with a status of "
			if !strings.HasPrefix(m.Text, status+"4") && !strings.HasPrefix(m.Text, status+"502") && !strings.HasPrefix(m.Text, "Failed to load resource: net::ERR_") {
				b.wrongs = append(b.wrongs, m.Text)
			}
			b.mu.Unlock()
		}
	}()
	p.t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.wrongs) > 0 {
			p.t.Errorf("%s: the browser complains: %s", path, strings.Join(b.wrongs, "\n"))
		}
	})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "UTC"})
	b.visit(p, path)
	return b
}

// visit goes to another page of the panel.
func (b *tab) visit(p *testPanel, path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(strings.TrimSuffix(p.url, "/") + path))
}

// call has the browser run a command.
func call[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, c, params)
	if err != nil {
		b.t.Fatalf("%s: %v", c.Method, err)
	}
	return result
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// js runs statements in the page.
func (b *tab) js(statements string) {
	b.t.Helper()
	eval[bool](b, "(() => {"+statements+"; return true})()")
}

// wait waits until an expression is true in the page.
func (b *tab) wait(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Minute)
	defer cancel()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if ctx.Err() != nil {
			text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href + document.body.innerText.slice(0, 1500)"))
			b.t.Fatalf("%s: %v; the page says:\n%s", expression, err, text)
		}
		if ok { // an expression may fail while the page is incomplete
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// key presses a key.
func (b *tab) key(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// picture writes a screenshot to the directory PANEL_PICTURES, if that is set.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("PANEL_PICTURES")
	if dir == "" {
		return
	}
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
