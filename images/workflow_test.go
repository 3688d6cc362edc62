//go:build images

package images

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rehearseWorkflow has act run the workflow's publishing jobs, as after a push to a fork's main.
// A registry on loopback replaces GHCR, stand-ins replace the actions that need GitHub
// (testdata/actions), and scripts the commands that need the internet. TestImages stands for the
// jobs before them.
func rehearseWorkflow(t *testing.T) {
	w := newWorkflow(t)
	// A failed signature stops the job before any tag.
	w.command(t, "cosign", "exit 1")
	for _, variant := range published {
		if text, err := w.run("publish", "variant:"+variant); err == nil || !strings.Contains(text, "Failure - Main Sign") {
			t.Errorf("%s is published without a signature: %v\n%s", variant, err, text)
		}
	}
	for range 2 { // the second time changes nothing
		w.command(t, "cosign", `echo "$*" >>`+w.signed)
		w.wantTags(t)
		for _, variant := range published {
			if text, err := w.run("publish", "variant:"+variant); err != nil {
				t.Fatalf("publish %s: %v\n%s", variant, err, text)
			}
		}
		if text, err := w.run("tag"); err != nil {
			t.Fatalf("tag: %v\n%s", err, text)
		}
		w.tagged = true
	}
	w.wantTags(t)
	signatures := strings.Count(read(t, w.signed), "sign --yes ")
	if want := 2 * 3 * (len(published) + 1); signatures != want { // three digests of each image and of ubuntu22 with zstd, twice
		t.Errorf("%d signatures, want %d", signatures, want)
	}
}

// A workflow is build.yml in a clone, with its surroundings.
type workflow struct {
	dir, clone, signed string
	revision           string
	registry           registry // its repository is only the host and owner
	tagged             bool     // the tags are expected
}

func newWorkflow(t *testing.T) *workflow {
	t.Helper()
	w := &workflow{dir: t.TempDir(), registry: newRegistry(t, "")}
	host, _, _ := strings.Cut(w.registry.repository, "/")
	w.registry.repository = host + "/somebody/"
	w.clone, w.signed = filepath.Join(w.dir, "clone"), filepath.Join(w.dir, "signed")
	command(t, "git", "clone", "--quiet", "..", w.clone)
	w.revision = strings.TrimSpace(command(t, "git", "-C", w.clone, "rev-parse", "HEAD"))
	name := filepath.Join(w.clone, ".github/workflows/build.yml")
	text := strings.ReplaceAll(read(t, name), "ghcr.io", host)
	text = regexp.MustCompile(`(?m)^    needs: .*\n`).ReplaceAllString(text, "")
	w.write(t, name, text)
	w.write(t, filepath.Join(w.dir, "event.json"), `{"ref": "refs/heads/main", "repository": {"name": "fork", "default_branch": "main", "owner": {"login": "Somebody"}}}`)
	command(t, "git", "-C", w.clone, "remote", "set-url", "origin", "https://github.com/Somebody/fork.git")
	// The artifacts of the build job.
	for _, variant := range published {
		for _, arch := range []string{"amd64", "arm64"} {
			to := filepath.Join(w.dir, "artifacts", variant+"-"+arch)
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatal(err)
			}
			layouts, err := filepath.Glob(filepath.Join(layoutsDir(0), variant+"-"+arch+"*"))
			if err != nil || len(layouts) == 0 {
				t.Fatalf("no layout of %s for %s: %v", variant, arch, err)
			}
			command(t, "cp", append([]string{"-r", "-t", to}, layouts...)...)
			w.write(t, filepath.Join(to, variant+"-"+arch+".spdx.json"), "{}")
		}
	}
	command(t, "go", "build", "-modfile=../tools/go.mod", "-o", filepath.Join(w.dir, "act"), "github.com/nektos/act")
	w.command(t, "docker", `[ "$1" = login ] && cat >/dev/null`)
	w.command(t, "gh", "git rev-parse HEAD") // the commit of main
	return w
}

func (w *workflow) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// command replaces a command by a script.
func (w *workflow) command(t *testing.T, name, script string) {
	t.Helper()
	bin := filepath.Join(w.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	w.write(t, filepath.Join(bin, name), "#!/bin/sh\n"+script+"\n")
}

// run runs one job, for one value of its matrix.
func (w *workflow) run(job string, matrix ...string) (string, error) {
	path := filepath.Join(w.dir, "bin") + ":" + os.Getenv("PATH")
	args := []string{
		"push", "--directory", w.clone, "--workflows", ".github/workflows/build.yml", "--job", job,
		"--platform", "ubuntu-24.04=-self-hosted", "--eventpath", filepath.Join(w.dir, "event.json"), "--actor", "somebody",
		"--container-daemon-socket", "-", "--secret", "GITHUB_TOKEN=token", "--env", "PATH=" + path, "--env", "CHECKOUT=" + w.clone,
		"--env", "ARTIFACTS=" + filepath.Join(w.dir, "artifacts"), "--env", "RETRIES=2", "--env", "WAIT=0",
	}
	for _, m := range matrix {
		args = append(args, "--matrix", m)
	}
	actions, err := filepath.Abs("testdata/actions")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(w.clone, ".github/workflows/build.yml"))
	if err != nil {
		return "", err
	}
	for _, m := range regexp.MustCompile(`uses: ([\w-]+/([\w-]+)@[0-9a-f]+)`).FindAllSubmatch(text, -1) {
		args = append(args, "--local-repository", fmt.Sprintf("%s=%s/%s", m[1], actions, m[2]))
	}
	cmd := exec.Command(filepath.Join(w.dir, "act"), args...)
	cmd.Env = append(os.Environ(), "PATH="+path, "XDG_CACHE_HOME="+filepath.Join(w.dir, "cache"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// wantTags wants the tags of a push to main in the fork's repositories if tagged, and else none.
func (w *workflow) wantTags(t *testing.T) {
	t.Helper()
	for _, variant := range published {
		r := w.registry
		r.repository += strings.TrimSpace(command(t, "./name.sh", variant))
		suffixes := []string{""}
		if variant == "ubuntu22" {
			suffixes = append(suffixes, "-zstd")
		}
		want := map[string]bool{}
		for _, suffix := range suffixes {
			for _, name := range []string{"latest", "main-" + w.revision, "main-" + w.revision[:7]} {
				for _, arch := range []string{"", "-amd64", "-arm64"} {
					want[name+suffix+arch] = w.tagged
				}
			}
		}
		got := map[string]string{}
		if text, err := exec.Command(r.crane, "ls", r.repository).Output(); err == nil { // nothing was pushed yet
			for name := range strings.FieldsSeq(string(text)) {
				got[name] = name
			}
		}
		for name, there := range want {
			if (got[name] != "") != there {
				t.Errorf("%s has the tag %s: %v, want %v", r.repository, name, !there, there)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("%s has other tags: %v", r.repository, got)
		}
	}
}
