//go:build images

package images

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A registry is one on loopback, with the script that publishes.
type registry struct {
	crane      string
	repository string
}

// newRegistry starts a registry, which ends with the test.
func newRegistry(t *testing.T, variant string) registry {
	t.Helper()
	r := registry{crane: "./crane.sh"}
	serve := exec.Command(r.crane, "registry", "serve", "--address", "127.0.0.1:0")
	log, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Kill()
		serve.Wait()
	})
	lines := bufio.NewScanner(log)
	port := regexp.MustCompile(`serving on port (\d+)`)
	for lines.Scan() {
		if m := port.FindStringSubmatch(lines.Text()); m != nil {
			r.repository = "127.0.0.1:" + m[1] + "/jettison-base-" + variant
			go func() {
				for lines.Scan() { // what it logs is of no use, and is not to block it
				}
			}()
			return r
		}
	}
	t.Fatalf("the registry did not start: %v", lines.Err())
	return r
}

// publish runs the script that the workflow runs.
func (r registry) publish(t *testing.T, env []string, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("./publish.sh", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("publish.sh %s: %w\n%s", strings.Join(args, " "), err, errors.String())
	}
	return string(out), err
}

func (r registry) must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := r.publish(t, nil, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tags are all the repository's tags and their digests.
func (r registry) tags(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	for _, name := range strings.Fields(command(t, r.crane, "ls", r.repository)) {
		tags[name] = strings.TrimSpace(command(t, r.crane, "digest", r.repository+":"+name))
	}
	return tags
}

// rehearse publishes an image for both architectures as the workflow does, and again
// as the weekly rebuild does.
func rehearse(t *testing.T, variant string) {
	r := newRegistry(t, variant)
	if _, err := r.publish(t, nil, "", "push", r.repository, variant, t.TempDir()); err == nil {
		t.Error("published what is not there")
	}
	digests := r.must(t, "", "push", r.repository, variant, layoutsDir(0))
	if tags := r.tags(t); len(tags) != 0 {
		t.Errorf("to push has set tags: %v", tags)
	}
	one, _, _ := strings.Cut(digests, "\n")
	if _, err := r.publish(t, nil, one+"\n", "tag", r.repository, stamp.revision); err == nil || len(r.tags(t)) != 0 {
		t.Errorf("tags with one architecture missing: %v, %v", err, r.tags(t))
	}

	first := fields(r.must(t, digests, "tag", r.repository, stamp.revision))
	main := "main-" + stamp.revision
	want := map[string]string{
		"latest": first["index"], "latest-amd64": first["amd64"], "latest-arm64": first["arm64"],
		main: first["index"], main + "-amd64": first["amd64"], main + "-arm64": first["arm64"],
	}
	r.wantTags(t, want)
	r.wantIndex(t, first)
	for _, arch := range []string{"amd64", "arm64"} {
		if img := open(t, filepath.Join(layoutsDir(0), variant+"-"+arch)); img.digest != first[arch] {
			t.Errorf("%s: published %s, tested %s", arch, first[arch], img.digest)
		}
	}

	// The weekly rebuild moves latest only.
	weekly := fields(r.must(t, r.must(t, "", "push", r.repository, variant, layoutsDir(1)), "tag", r.repository))
	if weekly["amd64"] == first["amd64"] {
		t.Fatal("the second build is the first: this would prove nothing")
	}
	want["latest"], want["latest-amd64"], want["latest-arm64"] = weekly["index"], weekly["amd64"], weekly["arm64"]
	r.wantTags(t, want)
	// A late run of another commit leaves latest alone, and where its own name is taken
	// does nothing.
	old := strings.Repeat("f", 40)
	for range 2 {
		if _, err := r.publish(t, []string{"LATEST=no"}, digests, "tag", r.repository, old); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-amd64", "-arm64"} {
			want["main-"+old+suffix] = want[main+suffix]
		}
		r.wantTags(t, want)
	}
	// Nor does a second run for the same commit move what has its name.
	r.must(t, r.must(t, "", "push", r.repository, variant, layoutsDir(1)), "tag", r.repository, stamp.revision)
	r.wantTags(t, want)

	// What a try has tagged and not signed is named to the next one, though nothing is
	// left to tag; what other images have the name of is not.
	if again, err := r.publish(t, []string{"LATEST=no"}, digests, "tag", r.repository, stamp.revision); err != nil || !maps.Equal(fields(again), first) {
		t.Errorf("another try prints %q, %v; want %v", again, err, first)
	}
	others := fmt.Sprintf("amd64 %s\narm64 %s\n", weekly["amd64"], weekly["arm64"])
	if out, err := r.publish(t, []string{"LATEST=no"}, others, "tag", r.repository, stamp.revision); err != nil || out != "" {
		t.Errorf("other images under the same name: %q, %v", out, err)
	}
	// A registry that fails does not say that there is no such tag.
	fails := r.failing(t)
	if out, err := fails.publish(t, nil, others, "tag", fails.repository, stamp.revision); err == nil {
		t.Errorf("published to a registry that fails: %q", out)
	}
	r.wantTags(t, want)
}

// failing is the same registry, but it cannot say what has the names of main.
func (r registry) failing(t *testing.T) registry {
	t.Helper()
	host, name, _ := strings.Cut(r.repository, "/")
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPut && strings.Contains(q.URL.Path, "/manifests/main-") {
			http.Error(w, "too busy", http.StatusServiceUnavailable)
			return
		}
		behind.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	return registry{crane: r.crane, repository: strings.TrimPrefix(server.URL, "http://") + "/" + name}
}

func (r registry) wantTags(t *testing.T, want map[string]string) {
	t.Helper()
	got := r.tags(t)
	for name, digest := range want {
		if got[name] != digest || digest == "" {
			t.Errorf("tag %s is %s, want %s", name, got[name], digest)
		}
	}
	if len(got) != len(want) {
		t.Errorf("tags %v, want %v", got, want)
	}
}

// wantIndex looks at what somebody gets who pulls without naming an architecture.
func (r registry) wantIndex(t *testing.T, digests map[string]string) {
	t.Helper()
	var index struct {
		Manifests []struct {
			Digest   string
			Platform struct{ OS, Architecture string }
		}
	}
	if err := json.Unmarshal([]byte(command(t, r.crane, "manifest", r.repository+":latest")), &index); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range index.Manifests {
		got = append(got, m.Platform.OS+"/"+m.Platform.Architecture+" "+m.Digest)
	}
	want := []string{"linux/amd64 " + digests["amd64"], "linux/arm64 " + digests["arm64"]}
	if !slices.Equal(got, want) {
		t.Errorf("the index has %q, want %q", got, want)
	}
	command(t, r.crane, "validate", "--remote", r.repository+":latest")
}

// fields reads lines of a name and a value.
func fields(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			m[name] = value
		}
	}
	return m
}
