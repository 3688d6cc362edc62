package panel

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// scene starts a panel of boards with apps in every state, and an invented hour of history.
func scene(t *testing.T) *testPanel {
	t.Helper()
	left, right, gone := redistest.Start(t), redistest.Start(t), redistest.Prepare(t)
	const pool = "[health.pools.frames]\ninit = 100\ncap = 100\ndepletion_rate = 2\nreplenish_rate = 20\nbeat = [\"output\"]\n"
	camera := runApp(t, left, "camera", pool+"[health.pools.exposure]\ninit = 80\ncap = 100\ndepletion_rate = 0\nreplenish_rate = 1\n", obeys)
	runApp(t, left, "lidar-front-with-a-long-name", pools, `echo "spinning up"; sleep 1000`)
	runApp(t, left, "planner", "[logs]\nformat = \"json\"", `echo '{"level":"info","msg":"route planned","points":412,"took_ms":12.5}'
for goal in 1 2; do python3 -c 'def plan(route):
    return route[7]

def main():
    plan([])

main()'; echo "next goal"; sleep 3; done; read -r line`)
	runApp(t, left, "detector", "", `echo "model loaded"; echo "first frame"; kill -SEGV $$`)
	runApp(t, left, "detector", "", `echo "model loaded"; echo "no frame yet"; exec perl -e 'kill SEGV => $$'`)
	runApp(t, right, "recorder", pool, `while :; do echo "chunk $((i++)) written, 4.2 MB"; sleep 1; done`)
	runApp(t, right, "upload", "[crash]\ncore = false", `echo "12 files uploaded"; exit 0`)
	p := start(t, nil, left, right, gone)
	p.await("camera", "running")
	p.await("recorder", "running")
	p.await("upload", "ended")
	p.await("lidar-front-with-a-long-name", "depleted")
	for _, line := range []string{
		`echo "sensor 0: 1920x1080, 30 fps"`, `echo "exposure 8.3 ms, gain 1.0"`, `echo "WARN  sensor 1 is warm: 71 °C"`,
		`echo "driver: unexpected reset of the bus" >&2`, `printf '>>|frame 1042\n  pixels  2073600\n  late    2 ms\n|<<\n'`,
		`echo "{{fps:30}}{{dropped:2}}"`, `echo "ERROR frame 1043 came without pixels"`, `head -c 9000 /dev/zero | tr '\0' x; echo`, `echo "frame 1044"`,
		`for i in 5 6 7 8 9; do echo "frame 104$i"; done`,
	} {
		camera.say(t, line)
	}
	eventually(t, "a crash of planner is known", func() bool {
		planner, _ := p.apps()["planner"]["crashes"].(float64)
		detector, _ := p.apps()["detector"]["crashes"].(float64)
		return planner >= 1 && detector == 2
	})
	now := time.Now().Unix()
	for i, b := range p.boards {
		b.mu.Lock()
		for _, a := range b.apps {
			for s := int64(1); s < 3500; s++ {
				x := float64(s+int64(700*len(a.name))) / 300
				put := func(r *ring, v float64) { r.values[(now-s)%span] = float32(v) }
				put(&a.lines, 20+10*math.Sin(x)+float64(s*7919%11)+60*math.Max(0, math.Sin(5*x)-.9)*float64(i+1))
				put(&a.errors, math.Max(0, math.Sin(3*x)-.97)*40)
				for _, pool := range a.pools {
					if s > 900 && s < 1000 {
						continue // leave a gap
					}
					put(&pool.history, math.Min(1, .75+.2*math.Sin(x)+.2*math.Sin(4*x)))
				}
			}
			a.event(Event{Time: time.Unix(now-890, 0), Kind: "start", Text: "run began"})
			a.event(Event{Time: time.Unix(now-1000, 0), Kind: "end", Text: "run ended, exit 139"})
		}
		b.mu.Unlock()
	}
	return p
}

// TestPictures takes the pictures of docs/img, if PANEL_PICTURES is set, and checks that no
// page has anything wider than the window.
func TestPictures(t *testing.T) {
	t.Parallel()
	shown := scene(t)
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"", 1440, 900}, {"-phone", 390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			if os.Getenv("PANEL_PICTURES") == "" && (scheme == "dark") != (size.name == "-phone") {
				continue // colours change no width
			}
			t.Run(scheme+size.name, func(t *testing.T) {
				t.Parallel()
				shown.as(t).pictures(size.name+"-"+scheme, size.width, size.height, scheme)
			})
		}
	}
	b := start(t, nil, redistest.Start(t)).open("/", 1440, 900, "light")
	b.wait(`!document.getElementById("none").hidden`)
	b.picture("panel-empty")
}

// pictures takes the pictures of every page, at a width and in a scheme.
func (p *testPanel) pictures(name string, width, height int64, scheme string) {
	fits := func(b *tab, page string) {
		p.t.Helper()
		if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			p.t.Errorf("%s%s is %d pixels wider than the window", page, name, over)
		}
		b.picture("panel-" + page + name)
	}
	b := p.open("/", width, height, scheme)
	b.wait(`document.querySelectorAll("#rows tr").length == 6 && document.getElementById("live").textContent.includes("live")`)
	fits(b, "overview")
	b.visit(p, "/app/camera")
	b.wait(`document.getElementById("lines").innerText.includes("frame 1049") && document.querySelector(".lane")`)
	fits(b, "app")
	b.visit(p, "/app/planner?board=left&level=info")
	b.wait(`document.getElementById("lines").innerText.includes("route planned") && document.querySelector(".lane .mark.crash")`)
	b.js(`for (const d of document.querySelectorAll(".folds details")) d.open = true; document.querySelector("#lines .m details").open = true`)
	fits(b, "json")
	b.visit(p, "/crashes")
	b.wait(`document.querySelector(".group")`)
	fits(b, "crashes")
	b.js(`[...document.querySelectorAll(".group a.open")].find(a => a.href.includes("detector")).click()`)
	b.wait(`document.querySelector(".report") && document.querySelector("[name=with]")`)
	fits(b, "report")
	b.js(`const w = document.querySelector("[name=with]"); w.selectedIndex = [...w].findIndex(o => o.value && !location.pathname.includes(o.value)); w.form.submit()`)
	b.wait(`document.querySelectorAll(".report").length == 2`)
	fits(b, "two-reports")
}
