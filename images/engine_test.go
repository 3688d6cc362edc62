//go:build docker

package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// An engine is a Docker engine with our images. All objects of the tests have this run's label,
// by which they are removed at the end.
type engine struct {
	docker []string          // the client's command, with its global options
	label  string            // of containers, networks, volumes and images
	images map[string]string // by variant
	redis  string            // an image with redis-server
	app    string            // a static program on the host: testdata/engine/app.c
}

const labelKey = "jettison-base.test"

// TestEngine runs the images in this machine's engine. BuildKit builds each variant there from
// the unchanged Dockerfile.
func TestEngine(t *testing.T) {
	e := newEngine(t)
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			for _, test := range engineTests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					if test.only != "" && test.only != variant {
						t.Skip("only for " + test.only)
					}
					test.run(box{t, e, variant})
				})
			}
		})
	}
	t.Run("another engine", func(t *testing.T) { testDaemon(t, e) })
	t.Run("systemd", func(t *testing.T) { testSystemd(t, e) })
}

// A box is one test of one variant.
type box struct {
	*testing.T
	*engine
	variant string
}

// newEngine builds the images. Without an engine, the test is skipped; in CI it fails.
func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{label: fmt.Sprintf("%s=%d", labelKey, os.Getpid()), images: map[string]string{}}
	var err error
	if e.docker, err = client(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("these tests need a Docker engine, and CI must have one: %v", err)
		}
		t.Skipf("no Docker engine answers: %v", err)
	}
	removeDead(e)
	t.Cleanup(func() { e.remove(t, e.label) })
	t.Logf("engine %s", e.run(t, "version", "--format", "{{.Server.Version}}, {{.Server.Arch}}"))

	dir := t.TempDir()
	e.app = filepath.Join(dir, "app")
	command(t, "gcc", "-Wall", "-Werror", "-O1", "-g", "-static", "-o", e.app, "testdata/engine/app.c")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(newRegistry(t, "").repository, "/")
	golang, ubuntu := host+"/golang:latest", host+"/ubuntu:22.04"
	e.redis = host + "/redis:7"
	base := bootstrap(t, runtime.GOARCH)
	standIn(t, ubuntu, []string{base}, "--cmd", "/bin/bash")
	standIn(t, golang, []string{base, toolchain(t), authorities(t)},
		"--env", "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"--env", "GOPATH=/go", "--env", "GOTOOLCHAIN=local", "--workdir", "/go")
	standIn(t, e.redis, []string{bootstrap(t, runtime.GOARCH, "redis-server")}, "--entrypoint", "/usr/bin/redis-server", "--cmd", "--protected-mode,no", "--label", e.label)
	for _, variant := range variants {
		began := time.Now()
		e.images[variant] = "jettison-base-" + variant + ":test-" + runtime.GOARCH
		e.build(t, e.images[variant], "..", "--platform", "linux/"+runtime.GOARCH, "--build-arg", "TARGETARCH="+runtime.GOARCH,
			"-f", "../Dockerfile."+variant, "--network", "host", "--build-arg", "GO_IMAGE="+golang, "--build-arg", "BASE_IMAGE="+ubuntu,
			"--build-arg", "GOPROXY="+strings.TrimSpace(command(t, "go", "env", "GOPROXY")))
		t.Logf("%s built in %.0f s", variant, time.Since(began).Seconds())
	}
	e.run(t, "pull", "--quiet", e.redis)
	t.Cleanup(func() { // these images have no label
		e.try("rmi", "--force", e.redis, golang, ubuntu)
	})
	return e
}

// client returns the command of a Docker client that reaches an engine and builds with BuildKit.
// From version 23 on, a client needs buildx for that.
func client() ([]string, error) {
	var problem error
	for _, name := range []string{"docker", "/usr/bin/docker"} {
		text, err := exec.Command(name, "version", "--format", "{{.Client.Version}}").CombinedOutput()
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("%s version: %w: %s", name, err, text))
			continue
		}
		var major int
		fmt.Sscanf(string(text), "%d.", &major)
		if major < 23 || exec.Command(name, "buildx", "version").Run() == nil {
			return []string{name}, nil
		}
		problem = errors.Join(problem, fmt.Errorf("%s %s has no buildx", name, strings.TrimSpace(string(text))))
	}
	return nil, problem
}

// standIn pushes archives as the layers of an image.
func standIn(t *testing.T, name string, archives []string, config ...string) {
	t.Helper()
	args := []string{"append", "--insecure", "--oci-empty-base=false", "-t", name}
	for _, archive := range archives {
		args = append(args, "-f", archive)
	}
	command(t, "./crane.sh", args...)
	command(t, "./crane.sh", append([]string{"mutate", "--insecure", "--set-platform", "linux/" + runtime.GOARCH, "-t", name, name}, config...)...)
}

// authorities returns an archive with this machine's certificates, at their paths in golang's
// image.
func authorities(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.tar")
	command(t, "tar", append([]string{"-C", "/", "--dereference", "-cf", name}, certificates...)...)
	return name
}

// build builds an image with BuildKit.
func (e *engine) build(t *testing.T, tag, context string, args ...string) {
	t.Helper()
	cmd := exec.Command(e.docker[0], append(append([]string{"build", "--label", e.label, "-t", tag}, args...), context)...)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1", "BUILDKIT_PROGRESS=plain")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build %s: %v\n%s", tag, err, text)
	}
}

// run runs a command of the client that must succeed, and returns its output.
func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	text, err := e.try(args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return strings.TrimSpace(text)
}

// try runs a command of the client and returns its output, both streams together.
func (e *engine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, e.docker[0], append(e.docker[1:len(e.docker):len(e.docker)], args...)...).CombinedOutput()
	return string(text), err
}

// removeDead removes the objects that killed runs have left.
func removeDead(e *engine) {
	text, _ := e.try("ps", "--all", "--filter", "label="+labelKey, "--format", `{{.Label "`+labelKey+`"}}`)
	images, _ := e.try("images", "--filter", "label="+labelKey, "--quiet")
	for id := range strings.FieldsSeq(images) {
		label, _ := e.try("inspect", "--format", `{{index .Config.Labels "`+labelKey+`"}}`, id)
		text += " " + label
	}
	for value := range strings.FieldsSeq(text) {
		var pid int
		if _, err := fmt.Sscanf(value, "%d", &pid); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			e.remove(nil, labelKey+"="+value)
		}
	}
	const project = "com.docker.compose.project"
	for _, kind := range []string{"ps --all", "network ls", "volume ls"} {
		names, _ := e.try(append(strings.Fields(kind), "--filter", "label="+project, "--format", `{{.Label "`+project+`"}}`)...)
		for name := range strings.FieldsSeq(names) {
			var pid int
			if _, err := fmt.Sscanf(name, "jettison%d", &pid); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
				e.remove(nil, project+"="+name)
			}
		}
	}
}

// remove removes all objects with a label. With t, it is an error if some are left.
func (e *engine) remove(t *testing.T, label string) {
	for _, kind := range [][2]string{{"ps --all", "rm --force --volumes"}, {"network ls", "network rm"}, {"volume ls", "volume rm"}, {"images", "rmi --force"}} {
		list := append(strings.Fields(kind[0]), "--quiet", "--filter", "label="+label)
		if ids, _ := e.try(list...); ids != "" {
			e.try(append(strings.Fields(kind[1]), strings.Fields(ids)...)...)
		}
		if left, _ := e.try(list...); t != nil && left != "" {
			t.Errorf("left behind: docker %s: %s", kind[0], left)
		}
	}
}

// until waits until done is true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 3 minutes still not: %s", what)
		}
	}
}

// wrapp returns wrapp's command line in the variant's image.
func (b box) wrapp(args ...string) []string {
	if b.variant == "scratch" {
		return args
	}
	return append([]string{"wrapp"}, args...)
}

// config writes a configuration that any user can read, and returns its path.
func (b box) config(text string) string {
	b.Helper()
	name := filepath.Join(publicDir(b.T), "config.toml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return name
}

// publicDir returns a directory that any user can read.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} { // t.TempDir makes both
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// server starts a Redis on the host's loopback, which containers reach with --network host.
func (b box) server() *redistest.Server { return redistest.Start(b.T) }
