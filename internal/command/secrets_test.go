package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// secretWord is part of everything that looks like a password in these tests.
const secretWord = "s3cretPW"

// secretURLs are URLs with a password in them, and secretForms also other values that look like
// passwords.
var (
	secretURLs  = []string{"redis://:" + secretWord + "@127.0.0.1:1/0", "rediss://" + secretWord + "@[::1"}
	secretForms = append(secretURLs, "user:"+secretWord, "("+secretWord+"=1")
)

// TestFlagsKeepSecrets gives every flag of every command values that look like passwords, in
// every way that a flag can be written: no tool shows them.
func TestFlagsKeepSecrets(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	tried := 0
	for _, root := range definitions() {
		for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
			command := strings.Fields(c.CommandPath())[1:]
			var flags []*pflag.Flag
			c.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f) })
			for _, f := range flags {
				// The values of these are names, which are shown, or are for the app.
				if f.Name == "help" || f.Name == "version" || f.Name == "name" || f.Name == "user" || f.Name == "dir" || f.Name == "env" {
					continue
				}
				forms := secretForms
				if f.Name == "config" || f.Name == "cursor" { // names of files are shown, but no URL is one
					forms = secretURLs
				}
				t.Run(c.CommandPath()+" "+f.Name, func(t *testing.T) {
					t.Parallel()
					for _, value := range forms {
						writings := [][]string{{"--" + f.Name + "=" + value}, {"--" + f.Name[1:] + "x=" + value}, {"-" + f.Name[:1] + "=" + value}}
						if f.NoOptDefVal == "" {
							writings = append(writings, []string{"--" + f.Name, value})
						}
						for _, written := range writings {
							args := append(append([]string{}, command...), written...)
							if f.Name != "redis" {
								args = append(args, "--redis", server.URL())
							}
							if root.Name() == "jettison_health" {
								args = append(args, "a:b")
							} else if len(command) > 0 {
								args = append(args, "some-name")
							} else {
								args = append(args, "--", "true")
							}
							out, _ := tool(t, root.Name(), args...).CombinedOutput()
							if strings.Contains(string(out), secretWord) {
								t.Errorf("%q: %s", args, out)
							}
						}
					}
				})
				tried++
			}
		}
	}
	if tried < 25 {
		t.Errorf("only %d flags are tried", tried)
	}
	// Values without a flag.
	for _, args := range [][]string{
		{"wrapp", "redis://:" + secretWord + "@h"},
		{"wrapp", "x.toml", "redis://:" + secretWord + "@h"},
		{"wrapp", "check", "redis://:" + secretWord + "@h"},
		{"wrapp", "logs", "--config", "redis://:" + secretWord + "@h", "x"},
		{"wrapp", "logs", "-p" + secretWord, "x"},
		{"wrapp", "acl", "x", secretWord},
		{"wrapp", "help", secretWord},
		{"wrapp", "completion", secretWord},
		{"wrapp", "schema", secretWord},
		{"wrapp", "--=" + secretWord},
		{"jettison_health", "--redis", server.URL(), "redis://:" + secretWord + "@h"},
		{"jettison_health", "redis://:" + secretWord + "@h"},
		{"wrapp", "logs", "--redis", server.URL(), "redis://:" + secretWord + "@h"},
		{"wrapp", "crashes", "--redis", server.URL(), "redis://:" + secretWord + "@h"},
		{"wrapp", "ls", "--redis", server.URL(), "redis://:" + secretWord + "@h"},
		{"wrapp", "acl", "redis://:" + secretWord + "@h"},
		{"wrapp", "acl", "--config", "redis://:" + secretWord + "@h"},
	} {
		out, err := tool(t, args[0], args[1:]...).CombinedOutput()
		if err == nil || strings.Contains(string(out), secretWord) {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
}

// TestKeysKeepSecrets gives every key of the configuration values that look like passwords,
// as text, in a list and in a table: no error of wrapp or jettison_health shows them.
func TestKeysKeepSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// The values of these are names, which a valid configuration shows.
	names := map[string]bool{
		"app.executable": true, "app.dir": true, "app.user": true, "app.stream_name": true, "redis.username": true, "redis.host": true, "redis.socket": true,
		"redis.secrets_dir": true, "redis.password_file": true, "redis.sentinel.password_file": true, "redis.sentinel.username": true, "redis.sentinel.master": true,
		"redis.sentinel.addrs": true, "redis.cluster.addrs": true, "redis.tls.ca_file": true, "redis.tls.cert_file": true, "redis.tls.key_file": true,
		"redis.tls.server_name": true, "spool.dir": true, "debug.host": true, "health.pools.*.ca_file": true,
		"app.args": true, "app.env": true, // check shows these unmasked: docs/configuration.md
	}
	tried := 0
	for i, key := range config.Keys() {
		tried++
		for j, form := range append(secretForms, secretWord+"\\n") {
			for k, value := range []string{`"` + form + `"`, `["` + form + `"]`, `{ x = "` + form + `" }`, form} {
				file := filepath.Join(dir, fmt.Sprintf("%d-%d-%d.toml", i, j, k))
				text := strings.ReplaceAll(key, "*", "api") + " = " + value + "\n"
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				cfg, err := config.Load(file)
				shown := fmt.Sprint(err)
				if err == nil {
					var written strings.Builder
					if err := cfg.Write(&written); err != nil {
						t.Fatal(err)
					}
					shown = written.String()
					if names[key] || strings.HasSuffix(key, ".beat") { // shown unmasked
						continue
					}
				}
				if strings.Contains(shown, secretWord) {
					t.Errorf("%s = %s: %s", key, value, shown)
				}
			}
		}
	}
	if tried < 35 {
		t.Errorf("only %d keys are tried", tried)
	}
}
