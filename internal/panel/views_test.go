package panel

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

const pools = `
[health.pools.frames]
init = 100
cap = 100
depletion_rate = 1
replenish_rate = 10
beat = ["output"]
[health.pools.lock]
init = 10
cap = 100
depletion_rate = 20
replenish_rate = 1
`

// TestViews visits every view as a user would, with real apps.
func TestViews(t *testing.T) {
	t.Parallel()
	s, other := redistest.Start(t), redistest.Start(t)
	camera := runApp(t, s, "camera", pools, obeys)
	runApp(t, s, "broken", "[crash]\ncore = false", `echo "ERROR no lens"; exit 3`)
	lidar := runApp(t, other, "lidar-with-a-name-that-is-rather-long-for-a-table", "[logs]\nformat = \"json\"", obeys)
	p := start(t, nil, s, other)
	p.await("camera", "depleted")
	p.await("broken", "failed")
	p.await("lidar-with-a-name-that-is-rather-long-for-a-table", "running")

	over := p.open("/", 1280, 720, "light")
	over.wait(`document.querySelectorAll("#rows tr").length == 3`)
	over.wait(`[...document.querySelectorAll("#rows .name a")].map(a => a.textContent).join(" ").startsWith("camera broken lidar")`) // the worst first
	over.wait(`document.querySelector("#rows tr").innerText.includes("depleted")`)
	over.wait(`document.getElementById("live").textContent.includes("live")`)
	lidar.say(t, `echo "{{count:7}}"; echo '{"level":"warn","msg":"low points","points":12,"tag":"<b>x</b>"}'; echo "plain error: no" >&2`)

	// Keys lead to the app: the filter, the first row, its page.
	over.key("/")
	over.wait(`document.activeElement.id == "filter"`)
	over.js(`document.activeElement.value = ""`) // the protocol types the / all the same
	over.do(chromedp.SendKeys("#filter", "lidar"))
	over.wait(`document.querySelectorAll("#rows tr:not([hidden])").length == 1 && location.search == "?q=lidar"`)
	over.do(chromedp.Blur("#filter"))
	over.key("j")
	over.key("\r")
	over.wait(`location.pathname.startsWith("/app/lidar-with") && document.querySelector("#lines li.WARN")`)
	if text := eval[string](over, `document.querySelector("#lines li.WARN .m").innerText`); !strings.HasPrefix(text, "low points") || !strings.Contains(text, "fields") {
		t.Errorf("%q", text)
	}
	over.do(chromedp.Click("#lines li.WARN summary"))
	over.wait(`document.querySelector("#lines li.WARN dl").innerText.includes("<b>x</b>")`)
	over.wait(`document.querySelector("#lines li.err").innerText.includes("plain error")`)

	// A live log, with filters in the URL.
	app := p.open("/app/camera?board=left&q=FRAME&stream=err", 1280, 720, "dark")
	app.wait(`document.getElementById("live").textContent.includes("live")`)
	camera.say(t, `echo frame 1; echo frame 2 >&2; echo other >&2; echo '{{fps:30}}{{__healthpool__lock_beats}}'`)
	app.wait(`document.querySelectorAll("#lines li").length == 1 && document.querySelector("#lines li .m").textContent == "frame 2"`)
	app.js(`const q = document.getElementById("query"); q.stream.value = ""; q.q.value = "^fr.*1$"; q.re.click()`)
	app.wait(`document.querySelectorAll("#lines li").length == 1 && document.querySelector("#lines li .m").textContent == "frame 1"`)
	app.wait(`location.search.includes("re=1") && location.search.includes("q=%5Efr.*1%24") && !location.search.includes("stream")`)
	app.do(chromedp.Click("#d-values summary"))
	app.wait(`document.querySelector("[data-part=values]").innerText.match(/fps\s+30/)`)
	app.wait(`document.querySelectorAll(".lane").length == 4 && document.querySelector(".mark.start")`)

	// A line leads to its neighbours.
	app.do(chromedp.Click("#lines li a.w"))
	app.wait(`location.search.includes("at=") && document.querySelector("#lines li.at .m").textContent == "frame 1" && document.querySelectorAll("#lines li").length > 3`)

	// While paused, nothing moves; afterwards all lines are there.
	all := p.open("/app/camera?board=left", 1280, 720, "light")
	all.wait(`document.querySelectorAll("#lines li").length > 3 && document.getElementById("live").textContent.includes("live")`)
	all.key("p")
	all.wait(`document.getElementById("pause").getAttribute("aria-pressed") == "true"`)
	camera.say(t, `for i in 1 2 3; do echo while paused $i; done`)
	all.wait(`document.getElementById("newer").textContent.includes("3 newer lines")`)
	if eval[bool](all, `document.getElementById("lines").innerText.includes("while paused")`) {
		t.Error("a paused log moves")
	}
	all.key("p")
	all.wait(`document.querySelector("#lines li:last-child .m").textContent == "while paused 3"`)
	all.key("?")
	all.wait(`document.getElementById("keys").open`)

	// The page reports a broken regular expression, and works on.
	wrong := p.open("/app/camera?board=left&q=(&re=1", 1280, 720, "light")
	wrong.wait(`document.getElementById("note").textContent.includes("q: error parsing regexp")`)
}

// TestHang: an app that hangs shows as depleted, and its page links to the hang's report.
func TestHang(t *testing.T) {
	t.Parallel()
	coretest.CanTrace(t)
	s := redistest.Start(t)
	runApp(t, s, "stuck", "[health.pools.work]\ninit = 1\ncap = 10\ndepletion_rate = 10\nreplenish_rate = 1\non_depleted = \"dump\"\n[crash]\ntimeout = \"5m\"\n", "echo working; exec sleep 1000")
	p := start(t, nil, s)
	p.await("stuck", "depleted")
	b := p.open("/app/stuck", 1280, 720, "light")
	b.wait(`document.querySelector("#d-crashes [data-part=crashes] a")`)
	b.js(`document.querySelector("#d-crashes a").click()`)
	b.wait(`document.querySelector(".report")?.innerText.match(/hang|stuck/) && [...document.querySelectorAll(".report details")].some(d => d.open && d.innerText.includes("#0"))`)
	p.await("stuck", "depleted")
}
