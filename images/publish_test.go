//go:build images

package images

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// tags returns the repository's tags with their digests.
func (r registry) tags(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	for _, name := range strings.Fields(command(t, r.crane, "ls", r.repository)) {
		tags[name] = strings.TrimSpace(command(t, r.crane, "digest", r.repository+":"+name))
	}
	return tags
}

// rehearse publishes an image for both architectures like the workflow, then like the weekly
// rebuild and a release.
func rehearse(t *testing.T, variant string) {
	r := newRegistry(t, variant)
	if _, err := r.publish(t, nil, "", "push", r.repository, variant, t.TempDir()); err == nil {
		t.Error("published without layouts")
	}
	digests := r.must(t, nil, "", "push", r.repository, variant, layoutsDir(0))
	first := fields(digests)
	r.wantTags(t, nil) // push sets no tag
	r.rehearseSigning(t, digests)
	r.wantTags(t, nil) // nor does sign, whether it succeeds or fails

	revision := "REVISION=" + stamp.revision
	for what := range first {
		line := what + " " + first[what] + "\n"
		if _, err := r.publish(t, []string{revision}, strings.Replace(digests, line, "", 1), "tag", r.repository); err == nil {
			t.Errorf("tagged without %s", what)
		}
	}
	r.wantTags(t, nil)

	want := map[string]string{}
	add := func(name string, digests map[string]string) {
		want[name], want[name+"-amd64"], want[name+"-arm64"] = digests["index"], digests["amd64"], digests["arm64"]
	}
	main := []string{"main-" + stamp.revision, "main-" + stamp.revision[:7]}
	for _, name := range append(main, "latest") {
		add(name, first)
	}
	for range 2 { // the second time changes nothing
		if again := r.must(t, nil, "", "push", r.repository, variant, layoutsDir(0)); again != digests {
			t.Errorf("pushed again it is %q, was %q", again, digests)
		}
		r.must(t, []string{revision, "LATEST=yes"}, digests, "tag", r.repository)
		r.wantTags(t, want)
	}
	r.wantIndex(t, first)
	for _, arch := range []string{"amd64", "arm64"} {
		if img := open(t, filepath.Join(layoutsDir(0), variant+"-"+arch)); img.digest != first[arch] {
			t.Errorf("%s: published %s, tested %s", arch, first[arch], img.digest)
		}
	}
	// A release adds its own tags to the same digests.
	r.must(t, []string{"RELEASE=v1.2.3", "MOVE=yes"}, digests, "tag", r.repository)
	for _, name := range []string{"v1.2.3", "v1.2", "v1"} {
		add(name, first)
	}
	r.wantTags(t, want)

	// The weekly rebuild moves latest, vX.Y and vX.
	rebuilt := r.must(t, nil, "", "push", r.repository, variant, layoutsDir(1))
	weekly := fields(rebuilt)
	if weekly[runtime.GOARCH] == first[runtime.GOARCH] {
		t.Fatal("the second build is the first: this would prove nothing")
	}
	r.must(t, []string{"LATEST=yes"}, rebuilt, "tag", r.repository)
	add("latest", weekly)
	r.wantTags(t, want)
	r.must(t, []string{"RELEASE=v1.2.3", "MOVE=yes"}, rebuilt, "tag", r.repository)
	add("v1.2", weekly)
	add("v1", weekly)
	r.wantTags(t, want)
	// A late run of another commit sets its own tags and leaves latest alone.
	old := strings.Repeat("f", 40)
	r.must(t, []string{"REVISION=" + old}, digests, "tag", r.repository)
	add("main-"+old, first)
	add("main-"+old[:7], first)
	r.wantTags(t, want)
	// Another build of a commit does not move the commit's tags.
	r.must(t, []string{revision}, rebuilt, "tag", r.repository)
	r.wantTags(t, want)

	// The image with zstd has its own tags.
	if variant == "ubuntu22" {
		lines := r.must(t, nil, "", "push", r.repository, variant, layoutsDir(0), "-zstd")
		r.must(t, []string{revision, "LATEST=yes"}, lines, "tag", r.repository, "-zstd")
		for _, name := range append(main, "latest") {
			add(name+"-zstd", fields(lines))
		}
		r.wantTags(t, want)
	}

	// An error of the registry does not mean that a tag is missing.
	fails := r.failing(t)
	if out, err := fails.publish(t, []string{revision, "LATEST=yes", "RETRIES=1"}, digests, "tag", fails.repository); err == nil {
		t.Errorf("tagged at a registry that fails: %q", out)
	}
	r.wantTags(t, want)
}

// rehearseSigning replaces cosign by a script that logs its arguments, or fails. TestCosign has
// the real one, which takes minutes to build.
func (r registry) rehearseSigning(t *testing.T, digests string) {
	t.Helper()
	dir := t.TempDir()
	sbom, log, cosign := filepath.Join(dir, "sbom"), filepath.Join(dir, "log"), filepath.Join(dir, "cosign")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"COSIGN=" + cosign, "RETRIES=2", "WAIT=0"}
	write(cosign, "#!/bin/sh\necho \"$@\" >>"+log+"\n[ $(wc -l <"+log+") -ne 1 ]\n")
	if _, err := r.publish(t, env, digests, "sign", r.repository, sbom); err == nil {
		t.Error("signed without an SBOM")
	}
	var want []string
	for _, what := range []string{"amd64", "amd64", "arm64", "index"} { // the first try fails
		want = append(want, "sign --yes "+r.repository+"@"+fields(digests)[what])
	}
	for _, arch := range []string{"amd64", "arm64"} {
		name := sbom + "-" + arch + ".spdx.json"
		write(name, "{}")
		want = append(want, "attest --yes --type spdxjson --predicate "+name+" "+r.repository+"@"+fields(digests)[arch])
	}
	r.must(t, env, digests, "sign", r.repository, sbom)
	if got := strings.Split(strings.TrimSpace(read(t, log)), "\n"); !slices.Equal(got, want) {
		t.Errorf("cosign was asked %q, want %q", got, want)
	}
	write(cosign, "#!/bin/sh\nexit 1\n")
	if _, err := r.publish(t, env, digests, "sign", r.repository, sbom); err == nil {
		t.Error("the script ignores a failed signature")
	}
}

// failing returns the same registry behind a proxy that fails for tags main-….
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

// wantIndex checks the index that a pull without an architecture gets.
func (r registry) wantIndex(t *testing.T, digests map[string]string) {
	t.Helper()
	var index struct {
		Annotations map[string]string
		Manifests   []struct {
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
	for name, want := range map[string]string{"source": stamp.source, "revision": stamp.revision, "description": "wrapp"} {
		if got := index.Annotations["org.opencontainers.image."+name]; !strings.Contains(got, want) {
			t.Errorf("the index says that its %s is %q, want %q", name, got, want)
		}
	}
	command(t, r.crane, "validate", "--remote", r.repository+":latest")
}
