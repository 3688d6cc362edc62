package command

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestOpenBlock has a line open a block that nothing closes: the lines behind it arrive while
// the app still runs.
func TestOpenBlock(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	gate := filepath.Join(t.TempDir(), "gate")
	file := configure(t, s, shell("open", `printf 'GET /search?q=>>| 200\nERROR line 1\n'
while ! [ -e `+gate+`1 ]; do sleep 0.02; done
echo ordinary; echo 'again >>| open'
while ! [ -e `+gate+`2 ]; do sleep 0.02; done
echo last`)+"[logs]\nblock_timeout = '100ms'\n")
	cmd := wrapp(t, file)
	begin(t, cmd)
	for i, block := range []string{" 200\nERROR line 1", " open"} {
		eventually(t, "a block is delivered", func() bool {
			return slices.Contains(s.Messages("logs:app:open:info"), block)
		})
		if err := os.WriteFile(gate+strconv.Itoa(i+1), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := output(t, s, "open"), []string{"GET /search?q=", " 200\nERROR line 1", "ordinary", "again ", " open", "last"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	told := 0
	for _, text := range s.Messages("logs:app:open:status") {
		if strings.Contains(text, "logs.block_timeout") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// TestNoGrammar turns markers and blocks off.
func TestNoGrammar(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const script = `echo 'a {{hits}} >>|b'; echo '{{__healthpool__api_cap:5}}c'; echo 'd|<<'; printf '1 {{over}} >>|\r2\n'`
	for name, tt := range map[string]struct {
		settings     string
		want, values []string
	}{
		"off":       {"markers = false\nblocks = false\n", []string{"a {{hits}} >>|b", "{{__healthpool__api_cap:5}}c", "d|<<", "2"}, nil},
		"nomarkers": {"markers = false\n", []string{"a {{hits}} ", "b\n{{__healthpool__api_cap:5}}c\nd", "2"}, nil},
		"noblocks":  {"blocks = false\n", []string{"a  >>|b", "c", "d|<<", "2"}, []string{"__healthpool__api_cap", "hits", "over"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := wrapp(t, configure(t, s, shell(name, script)+"[logs]\n"+tt.settings)).CombinedOutput(); err != nil || apart(out) != "" {
				t.Fatalf("%v: %s", err, out)
			}
			if got := output(t, s, name); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			keys, err := redis.Strings(s.Dial(2).Do("KEYS", "wrapp:"+name+":*"))
			slices.Sort(keys)
			for i := range keys {
				keys[i] = strings.TrimPrefix(keys[i], "wrapp:"+name+":")
			}
			if err != nil || !slices.Equal(keys, tt.values) {
				t.Errorf("values %q, want %q (%v)", keys, tt.values, err)
			}
		})
	}
}

// TestStrangersPool has markers in an access log name a pool of the configuration that has
// another source. The app sets its trap long before the pool is empty.
func TestStrangersPool(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("probed", `trap "exit 9" TERM
i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo 'GET /{{__healthpool__api_depletion_rate:0}}{{__healthpool__api_beats}} 404'; done
while :; do sleep 0.05; done`)+`
[health.pools.api]
cap = 10
init = 15
depletion_rate = 1
replenish_rate = 10
beat = ["tcp://127.0.0.1:1"]
on_depleted = "stop"
`)
	out, err := wrapp(t, file).CombinedOutput()
	if got := code(t, err); got != 9 {
		t.Errorf("exit status %d: %s", got, out)
	}
	if p, _ := pool(t, file, "probed:api"); p.Beats != 0 {
		t.Errorf("%+v", p)
	}
	if got, want := s.Messages("logs:app:probed:error"), "health pool api takes no markers, because its beat does not name marker"; !slices.Contains(got, want) || strings.Count(strings.Join(got, "\n"), want) != 1 {
		t.Errorf("%q", got)
	}
}

// TestFewKeys has an app name more values than logs.max_keys.
func TestFewKeys(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	file := configure(t, s, shell("few", `for k in a b c d e a b; do echo "{{$k}}"; done`)+"[logs]\nmax_keys = 3\n")
	if out, err := wrapp(t, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if keys, err := redis.Strings(s.Dial(2).Do("KEYS", "wrapp:few:*")); len(keys) != 3 || err != nil {
		t.Errorf("%q, %v", keys, err)
	}
	if got := s.Messages("logs:app:few:error"); len(got) != 1 || !strings.Contains(got[0], "3 keys") || !strings.Contains(got[0], "logs.max_keys") {
		t.Errorf("%q", got)
	}
}

// TestProgress has apps whose output is their heartbeat, but never ends a line.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, format := range map[string]string{"carriage": `\r17%%`, "dots": "."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := filepath.Join(t.TempDir(), "over")
			file := configure(t, s, shell(name, `until [ -e `+over+` ]; do printf '`+format+`'; sleep 0.1; done`)+`
[health]
interval = "100ms"
[health.pools.bar]
cap = 100
depletion_rate = 5
replenish_rate = 100
beat = ["output"]
on_depleted = "stop"
`)
			cmd := wrapp(t, file)
			begin(t, cmd)
			// A pool without beats would end the app after 20 s.
			eventually(t, "it lives by its output", func() bool {
				p, _ := pool(t, file, name+":bar")
				return p.Beats >= 10 && p.Health > 0
			})
			touch(t, over)
			if got := code(t, cmd.Wait()); got != 0 {
				t.Errorf("exit status %d", got)
			}
		})
	}
}

// TestSurvivedTracebacks has a run that crashes, and one that writes a traceback every
// millisecond and goes on.
func TestSurvivedTracebacks(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const many = 1300
	if c := crash(t, s, "busy", "[crash]\ncore = false", nil, "sh", "-c", "kill -SEGV $$"); len(c.reports) != 1 || c.exit != 139 {
		t.Fatalf("%+v", c)
	}
	c := crash(t, s, "busy", "[logs]\nmax_entries = 100", nil, "python3", "-c", `
import time, traceback
for i in range(`+strconv.Itoa(many)+`):
    try: 1/0
    except ZeroDivisionError: traceback.print_exc()
    time.sleep(.001)
try: {}[i]
except KeyError: traceback.print_exc()
time.sleep(3)
`)
	if c.exit != 0 || len(c.reports) < 4 || c.reports[0].Fields["kind"] != "signal" {
		t.Fatalf("exit status %d, %d reports: %v", c.exit, len(c.reports), c.reports)
	}
	contains(t, c.reports[1], "busy wrote a traceback and went on: Python: ZeroDivisionError: division by zero", "<string>")
	told, keys := 1, 0
	for _, r := range c.reports[2:] {
		if count := r.Fields["count"]; count != "" {
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Error(err)
			}
			told += n
			if len(count) > 3 {
				count = count[:1] + "," + count[1:]
			}
			contains(t, r, "Python: ZeroDivisionError: division by zero\nand "+count+" more of these")
		} else if strings.Contains(r.Message(), "ZeroDivisionError") {
			told++ // the first of a further minute
		} else {
			keys++
			contains(t, r, "busy wrote a traceback and went on: Python: KeyError: "+strconv.Itoa(many-1))
		}
	}
	// Each minute has a report of the first traceback and of the sum. A busy machine takes
	// longer than one minute.
	if minutes := 1 + int(c.took/time.Minute); told != many || keys != 1 || len(c.reports) > 2+2*minutes {
		t.Errorf("%d reports in %v tell of %d tracebacks and %d others", len(c.reports), c.took, told, keys)
	}
}
