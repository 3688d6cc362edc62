package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

func TestMain(m *testing.M) {
	if os.Getenv(beApp) != "" {
		os.Exit(app(os.Stdout, os.Stderr))
	}
	if os.Getenv("DEMO_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestDemo runs the whole demo with each kind of Redis.
func TestDemo(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, tt := range map[string]struct{ env, says string }{
		"redis-server": {"X=", "Redis: redis-server, started for the demo"},
		"embedded":     {embedded + "=1", "Redis: embedded"},
		"REDIS_URL":    {"REDIS_URL=" + server.URL(), "Redis: the one of REDIS_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "DEMO_TEST_MAIN=1", "REDIS_URL=", tt.env)
			text, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, want := range []string{
				tt.says,
				"exit status 3: the app's own",
				`(?m)^\S+ \S+ out    INFO  hello from the app$`,
				`(?m)^\S+ \S+ err    WARNING the sensor is warm$`,
				`(?m)^\S+ \S+ err    ERROR giving up, without an end of line$`,
				`(?m)^\S+ \S+ status {{__END_RUN_.*_exit_3}}$`,
			} {
				if !regexp.MustCompile(want).Match(text) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
		})
	}
	t.Cleanup(func() {
		keys, err := server.Dial(1).Do("KEYS", "*")
		if list, _ := keys.([]any); err != nil || len(list) > 0 {
			t.Errorf("left in Redis: %s, %v", strings.TrimSpace(string(fmtKeys(list))), err)
		}
	})
}

func fmtKeys(list []any) (b []byte) {
	for _, k := range list {
		if key, ok := k.([]byte); ok {
			b = append(append(b, key...), ' ')
		}
	}
	return b
}
