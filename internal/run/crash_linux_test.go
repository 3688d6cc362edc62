package run

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

// TestSecrets checks that secrets lists the passwords from every place of a configuration, and
// the new one when a file is renewed while the app runs.
func TestSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write("password", "from-a-file\n")
	const sentinel = "[redis.sentinel]\nmaster = 'm'\naddrs = ['127.0.0.1:26379']\n"
	for _, tt := range []struct {
		name, config string
		want         []string
		renewable    bool
	}{
		{"nothing", "", nil, false},
		{"url", "[redis]\nurl = 'redis://me:in%5Burl@127.0.0.1:6379'\n", []string{"in[url", "in%5Burl"}, false},
		{"password", "[redis]\npassword = 'in-the-config'\n", []string{"in-the-config"}, false},
		{"password_file", fmt.Sprintf("[redis]\npassword_file = %q\n", file), []string{"from-a-file"}, true},
		{"secrets_dir", fmt.Sprintf("[redis]\nsecrets_dir = %q\n", dir), []string{"from-a-file"}, true},
		{"sentinel.password", "[redis]\npassword = 'redis-has-one'\n" + sentinel + "password = 'sentinels-too'\n", []string{"redis-has-one", "sentinels-too"}, false},
		{"sentinel.password_file", sentinel + fmt.Sprintf("password_file = %q\n", file), []string{"from-a-file"}, true},
		{"env", "[app.env]\nAPI_TOKEN = 'tok-123456'\nBROKER = 'amqp://u:in-a-broker@h/'\n", []string{"tok-123456", "in-a-broker"}, false},
	} {
		cfg, err := config.Load(write("wrapp.toml", "app.executable = '/bin/true'\n"+tt.config))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var env []string
		for name, value := range cfg.App.Env {
			env = append(env, name+"="+value)
		}
		now := secrets(cfg, env)
		for range 2 {
			got := now()
			for _, want := range tt.want {
				if !slices.Contains(got, want) {
					t.Errorf("%s: %q is not among %q", tt.name, want, got)
				}
			}
			if len(tt.want) == 0 && len(got) > 0 || slices.Contains(got, "") {
				t.Errorf("%s: %q", tt.name, got)
			}
			if tt.renewable {
				write("password", "from-a-new-file\n")
				tt.want = append(tt.want, "from-a-new-file")
			}
		}
		write("password", "from-a-file\n")
	}
}
