package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// contract returns the contract's example pool.
func contract(beat ...string) config.Pool {
	return config.Pool{Init: 1500, Cap: 1000, DepletionRate: 100, ReplenishRate: 15, Beat: beat}
}

// startKeeper starts a Keeper, with a clock that the test moves and a Redis that is
// away. Functions that app lacks do nothing.
func startKeeper(t *testing.T, pools map[string]config.Pool, app App) *Keeper {
	t.Helper()
	k := New(Options{
		Service: "s", Interval: time.Second, Pools: pools,
		Dial: func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") },
	})
	if app.Drain == nil {
		app.Drain = func(time.Duration) bool { return true }
	}
	if app.Depleted == nil {
		app.Depleted = func(string) {}
	}
	k.Start(app)
	t.Cleanup(func() {
		k.End(0)
		if err := k.Close(time.Second); err == nil && len(k.state()) > 0 {
			t.Error("published to nowhere")
		}
	})
	synctest.Wait()
	return k
}

// value returns a property of a pool as it would be published.
func value(t *testing.T, k *Keeper, category, property string) int64 {
	t.Helper()
	for _, s := range k.state() {
		if s.key == key("s", category, property) {
			return s.value
		}
	}
	t.Errorf("no %s of %s", property, category)
	return -1
}

func wantHealth(t *testing.T, k *Keeper, category string, want int64) {
	t.Helper()
	if got := value(t, k, category, "health"); got != want {
		t.Errorf("health of %s is %d, want %d", category, got, want)
	}
}

func TestKeeper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		depleted := make(chan string, 10)
		began := time.Now()
		k := startKeeper(t, map[string]config.Pool{"api": contract("marker"), "io": contract("output")}, App{
			Depleted: func(category string) {
				depleted <- fmt.Sprint(category, " ", time.Since(began))
			},
		})
		wantHealth(t, k, "api", 1500)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		k.HeardMarker([]byte("api"), time.Now())
		k.HeardMarker([]byte("io"), time.Now()) // takes no markers
		wantHealth(t, k, "api", 915)
		wantHealth(t, k, "io", 900)
		k.Heard(beat.Output, 2, time.Now())
		wantHealth(t, k, "io", 930)
		if n := value(t, k, "io", "beats"); n != 2 {
			t.Errorf("%d beats", n)
		}
		// It is depleted at the very instant, between two regular checks, and once.
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(depleted) != 2 || <-depleted != "api 15.15s" || <-depleted != "io 15.3s" {
			t.Error("not depleted when they should be")
		}
		k.HeardMarker([]byte("api"), time.Now())
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(depleted) != 1 || <-depleted != "api 1m6.15s" {
			t.Error("not depleted again after another beat")
		}
		k.End(137)
		k.HeardMarker([]byte("api"), time.Now())
		time.Sleep(time.Minute)
		for property, want := range map[string]int64{"running": 0, "exit": 137, "health": 0, "beats": 3} {
			if got := value(t, k, "api", property); got != want {
				t.Errorf("%s is %d at the end, want %d", property, got, want)
			}
		}
	})
}

// TestLeases checks the lease of each key.
func TestLeases(t *testing.T) {
	t.Parallel()
	for interval, want := range map[time.Duration]time.Duration{time.Second: 5 * time.Second, 2 * time.Second: 6 * time.Second} {
		k := New(Options{Interval: interval, Pools: map[string]config.Pool{"api": contract("marker")}})
		k.running = true
		for i, s := range k.state() {
			if i != healthProperty && s.lease != 0 || i == healthProperty && s.lease != want {
				t.Errorf("interval %v: %s has a lease of %v", interval, s.key, s.lease)
			}
		}
		k.running = false
		for _, s := range k.state() {
			if s.lease != 0 {
				t.Errorf("interval %v: %s has a lease at the end", interval, s.key)
			}
		}
	}
}

// TestLateness has wrapp be late in each way: no pool depletes meanwhile.
func TestLateness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Int64 // nanoseconds
		var depleted atomic.Bool
		k := startKeeper(t, map[string]config.Pool{"api": contract("marker")}, App{
			Drain:    func(time.Duration) bool { time.Sleep(time.Duration(stuck.Load())); return true },
			Depleted: func(string) { depleted.Store(true) },
		})
		stuck.Store(int64(time.Hour))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		// The check of the first second hangs, so the second one does not count.
		wantHealth(t, k, "api", 1400)
		// Nor does lateness count when a heartbeat comes before the check.
		time.Sleep(30 * time.Minute)
		k.HeardMarker([]byte("api"), time.Now())
		wantHealth(t, k, "api", 1400)
		stuck.Store(0)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := value(t, k, "api", "health"); got < 1200 || got > 1400 || depleted.Load() {
			t.Errorf("health %d after an hour of lateness, depleted %v", got, depleted.Load())
		}
	})
}

// TestDeaf has wrapp wait for Redis, and so the app for wrapp: its silence does not count.
func TestDeaf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		var depleted atomic.Int64
		k := startKeeper(t, map[string]config.Pool{"api": contract("marker")}, App{
			Drain: func(limit time.Duration) bool {
				if deaf.Load() {
					time.Sleep(limit)
				}
				return !deaf.Load()
			},
			Depleted: func(string) { depleted.Add(1) },
		})
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		deaf.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		wantHealth(t, k, "api", 1000)
		// A heartbeat does not charge the time in which nothing was read.
		k.HeardMarker([]byte("api"), time.Now())
		wantHealth(t, k, "api", 1000)
		deaf.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := value(t, k, "api", "health"); got < 500 || got > 700 || depleted.Load() > 0 {
			t.Errorf("health %d 5 s after it is heard again, depleted %d times", got, depleted.Load())
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if wantHealth(t, k, "api", 0); depleted.Load() != 1 {
			t.Errorf("depleted %d times", depleted.Load())
		}
	})
}

func TestPauseHoldTrigger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var depleted atomic.Int64
		k := startKeeper(t, map[string]config.Pool{"api": contract("marker"), "sd": contract("notify")}, App{
			Depleted: func(string) { depleted.Add(1) },
		})
		time.Sleep(2 * time.Second)
		k.Pause()
		time.Sleep(time.Hour)
		k.Pause() // by a second debugger
		time.Sleep(time.Hour)
		k.Resume()
		time.Sleep(time.Hour)
		synctest.Wait()
		wantHealth(t, k, "api", 1300)
		k.Resume()
		k.Hold(4*time.Second, time.Now())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantHealth(t, k, "api", 800)
		wantHealth(t, k, "sd", 1200)
		k.Heard(beat.Notify, 1, time.Now())
		if n := value(t, k, "sd", "beats") + value(t, k, "api", "beats"); n != 1 {
			t.Errorf("%d beats", n)
		}
		k.Trigger(time.Now())
		synctest.Wait()
		wantHealth(t, k, "sd", 0)
		if n := depleted.Load(); n != 1 {
			t.Errorf("depleted %d times", n)
		}
	})
}

// TestTriggerAndBeats has an app trigger its watchdog before and after its start, while another of its
// threads goes on beating: each trigger is told, once.
func TestTriggerAndBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var depleted atomic.Int64
		k := New(Options{
			Service: "s", Interval: time.Second, Pools: map[string]config.Pool{"sd": contract("notify")},
			Dial: func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") },
		})
		beats := func() {
			for range 20 {
				k.Heard(beat.Notify, 1, time.Now())
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
		}
		k.Trigger(time.Now())
		k.Heard(beat.Notify, 1, time.Now())
		k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) { depleted.Add(1) }})
		beats()
		if n := depleted.Load(); n != 1 {
			t.Errorf("depleted %d times by a trigger before the start", n)
		}
		k.Trigger(time.Now())
		beats()
		wantHealth(t, k, "sd", 100)
		if n := depleted.Load(); n != 2 {
			t.Errorf("depleted %d times by two triggers", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantHealth(t, k, "sd", 0)
		if n := depleted.Load(); n != 3 {
			t.Errorf("depleted %d times after the last beat", n)
		}
		k.Trigger(time.Now()) // it is depleted already
		synctest.Wait()
		k.End(0)
		k.Trigger(time.Now()) // no run is there to be told
		k.Renew()
		k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) { depleted.Add(1) }})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := depleted.Load(); n != 3 {
			t.Errorf("depleted %d times", n)
		}
		k.End(0)
		k.Close(time.Second)
	})
}

// TestDeclared has the output declare pools.
func TestDeclared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var depleted atomic.Int64
		k := startKeeper(t, map[string]config.Pool{"api": contract("marker")}, App{Depleted: func(string) { depleted.Add(1) }})
		set := func(category, property, value string) error {
			return k.Set([]byte(category), []byte(property), []byte(value), time.Now())
		}
		if err := errors.Join(
			set("own", "depletion_rate", "10"), set("own", "init", "50"), set("own", "replenish_rate", "3"),
			set("api", "cap", "2000"),
		); err != nil {
			t.Error(err)
		}
		if len(k.state()) != len(properties) {
			t.Error("a pool without a cap is shown")
		}
		k.HeardMarker([]byte("own"), time.Now())
		time.Sleep(time.Second)
		if err := set("own", "cap", "20"); err != nil {
			t.Error(err)
		}
		wantHealth(t, k, "own", 40)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		wantHealth(t, k, "own", 0)
		if n := depleted.Load(); n != 1 {
			t.Errorf("depleted %d times", n)
		}
		for _, test := range []struct{ category, property, value, want string }{
			{"own", "cap", "0", "cap must be at least 1 and not 0"},
			{"own", "init", "-1", "init must be at least 0 and not -1"},
			{"own", "replenish_rate", "9223372036854775808", "replenish_rate must be a whole number"},
			{"own", "depletion_rate", "1.5", "depletion_rate must be a whole number"},
			{"api", "cap", "0", "health pool api stays as it is"},
			{"own", "cap", "-7", "<nil>"}, // the error came before
		} {
			if err := set(test.category, test.property, test.value); !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%v: %v", test, err)
			}
		}
		if value(t, k, "own", "cap") != 20 || value(t, k, "api", "cap") != 2000 {
			t.Error("a refused value was taken")
		}
	})
}

// TestRenewed has a second run of the app: its pools begin anew. A pool that only the first
// run declared stays as it ended until it is declared again.
func TestRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		depleted := make(chan string, 10)
		app := App{
			Drain:    func(time.Duration) bool { return true },
			Depleted: func(category string) { depleted <- category },
		}
		k := startKeeper(t, map[string]config.Pool{"api": contract("marker")}, app)
		declare := func(category string) {
			k.Set([]byte(category), []byte("cap"), []byte("50"), time.Now())
			k.Set([]byte(category), []byte("depletion_rate"), []byte("1"), time.Now())
			k.HeardMarker([]byte(category), time.Now())
		}
		declare("own")
		declare("gone")
		k.Set([]byte("api"), []byte("depletion_rate"), []byte("300"), time.Now())
		k.HeardMarker([]byte("api"), time.Now())
		time.Sleep(2 * time.Second)
		wantHealth(t, k, "api", 900)
		k.End(134)
		time.Sleep(4 * time.Second) // the delay before the restart
		for _, category := range []string{"api", "own", "gone"} {
			if value(t, k, category, "running") != 0 || value(t, k, category, "exit") != 134 {
				t.Errorf("%s in the delay: %+v", category, k.state())
			}
		}
		k.Renew()
		declare("own") // before Start: the intake may be quicker
		k.Start(app)
		synctest.Wait()
		for _, want := range []struct {
			category                               string
			running, exit, beats, health, depletes int64
		}{
			{"api", 1, 0, 0, 1500, 100},
			{"own", 1, 0, 1, 50, 1},
			{"gone", 0, 134, 1, 0, 1},
		} {
			got := want
			got.running, got.exit = value(t, k, want.category, "running"), value(t, k, want.category, "exit")
			got.beats, got.health = value(t, k, want.category, "beats"), value(t, k, want.category, "health")
			got.depletes = value(t, k, want.category, "depletion_rate")
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		close(depleted)
		for category := range depleted {
			if category == "gone" {
				t.Error("a pool of the run before is depleted")
			}
		}
		wantHealth(t, k, "api", 0)
		k.End(3)
		if value(t, k, "api", "exit") != 3 || value(t, k, "gone", "exit") != 134 {
			t.Errorf("%+v", k.state())
		}
	})
}

func TestMostPools(t *testing.T) {
	t.Parallel()
	k := New(Options{Interval: time.Second})
	told := 0
	for i := range 3 * mostPools {
		category := fmt.Appendf(nil, "c%d", i)
		k.HeardMarker(category, time.Now())
		if err := k.Set(category, []byte("cap"), []byte("1"), time.Now()); err != nil {
			told++
		}
	}
	if len(k.pools) != mostPools || told > mostPools {
		t.Errorf("%d pools, %d refusals", len(k.pools), told)
	}
}

// TestProbes has commands that succeed, fail and hang.
func TestProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := map[string]int{}, 0
		pool := func(command string) config.Pool {
			return config.Pool{Init: 0, Cap: 100, ReplenishRate: 1, Beat: []string{command}}
		}
		k := startKeeper(t, map[string]config.Pool{
			"ok": pool("exec:ok"), "bad": pool("exec:bad"), "hang": pool("exec:hang 'a b'"),
		}, App{Exec: func(ctx context.Context, words []string) error {
			count := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				running[words[0]] += n
				most = max(most, running[words[0]])
			}
			count(1)
			defer count(-1)
			switch words[0] {
			case "ok":
				return nil
			case "bad":
				return errors.New("exit status 1")
			}
			if len(words) != 2 || words[1] != "a b" {
				t.Errorf("%q", words)
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		for category, want := range map[string]int64{"ok": 11, "bad": 0, "hang": 0} {
			if got := value(t, k, category, "beats"); got != want {
				t.Errorf("%s: %d beats, want %d", category, got, want)
			}
		}
		k.End(0)
		if most != 1 {
			t.Errorf("%d probes of one source at once", most)
		}
		if n := running["hang"]; n != 0 {
			t.Errorf("%d probes after the end", n)
		}
	})
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	notify := []string{"notify"}
	for _, test := range []struct {
		pools map[string]config.Pool
		want  time.Duration
	}{
		{nil, 0},
		{map[string]config.Pool{"a": contract("marker")}, 0},
		{map[string]config.Pool{"a": contract("notify")}, 150 * time.Millisecond},
		{map[string]config.Pool{"a": contract("notify"), "b": {Cap: 10, DepletionRate: 1, ReplenishRate: 100, Beat: notify}}, 150 * time.Millisecond},
		{map[string]config.Pool{"b": {Cap: 10, DepletionRate: 1, ReplenishRate: 100, Beat: notify}}, 10 * time.Second},
		{map[string]config.Pool{"a": {Cap: 10, ReplenishRate: 100, Beat: notify}}, 0},
		{map[string]config.Pool{"a": {Cap: 10, DepletionRate: 1, Beat: notify}}, 0},
		{map[string]config.Pool{"a": {Cap: 10, DepletionRate: 1, Beat: notify}, "b": contract("notify")}, 150 * time.Millisecond},
	} {
		if got := Watchdog(test.pools); got != test.want {
			t.Errorf("%v: %v, want %v", test.pools, got, test.want)
		}
	}
}

// TestSaidBeforeStart has an app that is faster than wrapp: markers that come before Start
// count.
func TestSaidBeforeStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{
			Service: "s", Interval: time.Second, Pools: map[string]config.Pool{"api": contract("marker")},
			Dial: func(context.Context) (*redisconn.Client, error) { return nil, errors.New("away") },
		})
		k.HeardMarker([]byte("api"), time.Now())
		if err := k.Set([]byte("other"), []byte("cap"), []byte("2000"), time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // before Start silence does not count
		k.Start(App{Drain: func(time.Duration) bool { return true }, Depleted: func(string) {}})
		t.Cleanup(func() {
			k.End(0)
			k.Close(time.Second)
		})
		synctest.Wait()
		if beats := value(t, k, "api", "beats"); beats != 1 {
			t.Errorf("%d beats", beats)
		}
		wantHealth(t, k, "api", 1500)
		wantHealth(t, k, "other", 2000)
	})
}

// TestStuckProbe has a command that cannot be ended, because it hangs in the kernel: the run ends
// all the same.
func TestStuckProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		k := startKeeper(t, map[string]config.Pool{"a": contract("exec:it")}, App{Exec: func(context.Context, []string) error {
			<-stuck
			return nil
		}})
		began := time.Now()
		if k.End(0); time.Since(began) > giveUp {
			t.Errorf("the end took %v", time.Since(began))
		}
		close(stuck)
	})
}
