package panel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestFilters tries the filters on a log of two runs, an hour apart, scrolls to its
// beginning, and downloads and copies lines.
func TestFilters(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs := s.Dial(1)
	const lines = 500
	stamps := make([]string, 2)
	for run, name := range []string{"a", "b"} {
		began := time.Now().Add(-time.Duration(2-run)*time.Hour + 30*time.Minute)
		stamps[run] = began.UTC().Format("2006-01-02_15-04-05")
		for i := range lines {
			id := fmt.Sprint(began.UnixMilli() + int64(i))
			if i == 0 {
				logs.Send("XADD", "logs:app:two:status", began.UnixMilli()-1, "message", "{{__NEW_RUN_"+stamps[run]+"}}")
			}
			more := []any{"logs:app:two:info", id, "message", fmt.Sprint(name, i)}
			if i%100 == 7 {
				more = append(more, "level", "ERROR")
			}
			logs.Send("XADD", more...)
		}
	}
	if _, err := logs.Do(""); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, s)
	eventually(t, "the app is known", func() bool { return p.apps()["two"] != nil })
	b := p.open("/app/two", 1280, 720, "dark")
	texts := `[...document.querySelectorAll("#lines .m")].map(m => m.textContent)`
	b.wait(texts + `.at(-1) == "b499"`)

	// Scrolled to the beginning, each line is there once.
	b.wait(`(document.getElementById("log").scrollTop = 0, document.getElementById("older").textContent == "the beginning")`)
	var want []string
	for run, name := range []string{"a", "b"} {
		want = append(want, "{{__NEW_RUN_"+stamps[run]+"}}")
		for i := range lines {
			want = append(want, fmt.Sprint(name, i))
		}
	}
	if got := eval[[]string](b, texts); !slices.Equal(got, want) {
		t.Errorf("%d lines up to the beginning: %.300q", len(got), got)
	}

	only := func(field, value, from, upto string, n int) {
		t.Helper()
		b.js(fmt.Sprintf(`const q = document.getElementById("query"); q.%s.value = %q; q.requestSubmit()`, field, value))
		shown := fmt.Sprintf(`(t => t.length == %d && t[0] == %q && t.at(-1) == %q)(%s)`, n, from, upto, texts)
		b.wait(shown + fmt.Sprintf(` && new URLSearchParams(location.search).get(%q) == %q`, field, value))
		b.do(chromedp.Reload()) // the URL says it all
		b.wait(shown + fmt.Sprintf(` && document.getElementById("query").%s.value == %q`, field, value))
		b.do(chromedp.Click("#clear"))
		// The page before the click can show the same lines; only there, "clear" can be seen.
		b.wait(`document.getElementById("clear").hidden && ` + texts + `.at(-1) == "b499" && ` + texts + `.length == 200`)
	}
	marker := func(run int) string { return "{{__NEW_RUN_" + stamps[run] + "}}" }
	only("level", "error", "a7", "b407", 2*lines/100)
	only("run", stamps[0], "a300", "a499", 200)
	only("run", "last", "b300", "b499", 200)
	only("stream", "status", marker(0), marker(1), 2)
	only("since", "1h", "b300", "b499", 200)
	only("until", "1h", "a300", "a499", 200)
	only("q", "B49", "b49", "b499", 11)

	// Download and copy.
	b.js(`const q = document.getElementById("query"); q.q.value = "b49"; q.requestSubmit()`)
	b.wait(texts + `.length == 11`)
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	own := call(b, target.GetTargetInfo, target.GetTargetInfoParams{}).TargetInfo.BrowserContextID
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		call(b, browser.SetPermission, browser.SetPermissionParams{Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted, BrowserContextID: own})
	}
	b.do(chromedp.Click("#copy"))
	b.wait(`document.getElementById("copy").textContent == "Copied"`)
	b.js(`navigator.clipboard.readText().then(text => { window.copied = text })`)
	b.wait(`window.copied`)
	copied := eval[string](b, `copied`)
	if rows := strings.Split(strings.TrimSpace(copied), "\n"); len(rows) != 11 || !strings.HasSuffix(rows[0], " out b49") {
		t.Errorf("%q", copied)
	}
	dir := t.TempDir()
	call(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, BrowserContextID: own})
	b.do(chromedp.Click("#save"))
	eventually(t, "the file is there", func() bool {
		saved, err := os.ReadFile(filepath.Join(dir, "two.log"))
		return err == nil && string(saved) == copied
	})
}

// TestTheme: the pages follow the system's theme, until the user chooses one.
func TestTheme(t *testing.T) {
	t.Parallel()
	p := start(t, nil, redistest.Start(t))
	const light = `getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).every(n => n > 127)`
	b := p.open("/", 1280, 720, "dark")
	b.wait(`document.getElementById("live").textContent.includes("live") && !` + light)
	b.key("t")
	b.wait(light)
	b.do(chromedp.Navigate(p.url + "crashes"))
	b.wait(`document.querySelector("main") && ` + light)
}
