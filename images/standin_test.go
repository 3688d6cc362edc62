//go:build images

package images

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Stand-ins for the images of the Dockerfiles' FROM lines: Debian's smallest set of
// packages in place of Ubuntu, and the same with this machine's Go and certificates
// in place of golang. They have the real names, so that the Dockerfiles resolve as
// they are.
const (
	suite       = "bookworm"
	ubuntuImage = "docker.io/library/ubuntu:22.04"
	golangImage = "docker.io/library/golang:latest"
)

// A store is a place of its own for buildah's images, with the stand-ins for one
// architecture in it.
type store struct{ buildah []string }

// newStore makes the stand-ins for an architecture.
func newStore(t *testing.T, arch string) store {
	t.Helper()
	dir := filepath.Join(os.Getenv(inside), arch)
	s := store{[]string{"buildah", "--storage-driver", driver(t), "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}}
	base := os.Getenv("UBUNTU") // an archive of the real one, to measure with
	if base == "" || arch != runtime.GOARCH {
		base = bootstrap(t, arch)
	}
	s.commit(t, ubuntuImage, arch, func(container string) {
		s.run(t, "add", "--quiet", container, base, "/")
	}, "--cmd", "/bin/bash")
	builder, goroot := bootstrap(t, runtime.GOARCH), toolchain(t)
	s.commit(t, golangImage, runtime.GOARCH, func(container string) {
		s.run(t, "add", "--quiet", container, builder, "/")
		s.run(t, "add", "--quiet", container, goroot, "/usr/local/go")
		s.run(t, "copy", "--quiet", container, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
	}, "--env", "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"--env", "GOPATH=/go", "--env", "GOTOOLCHAIN=local", "--workingdir", "/go")
	return s
}

// driver is how buildah keeps layers: on top of each other where the kernel lets it,
// else each as a copy of the one below, which takes some minutes more.
func driver(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(inside), "overlay-")
	if err != nil {
		t.Fatal(err)
	}
	var options []string
	for _, name := range []string{"lowerdir", "upperdir", "workdir", "merged"} {
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		options = append(options, name+"="+sub)
	}
	merged := filepath.Join(dir, "merged")
	if syscall.Mount("overlay", merged, "overlay", 0, strings.Join(options[:3], ",")) != nil {
		return "vfs"
	}
	if err := syscall.Unmount(merged, 0); err != nil {
		t.Fatal(err)
	}
	return "overlay"
}

// commit makes an image of what fill puts into an empty one.
func (s store) commit(t *testing.T, name, arch string, fill func(container string), config ...string) {
	t.Helper()
	container := strings.TrimSpace(s.run(t, "from", "scratch"))
	fill(container)
	s.run(t, append(append([]string{"config", "--os", "linux", "--arch", arch}, config...), container)...)
	s.run(t, "commit", "--quiet", "--rm", "--format", "docker", container, name)
}

func (s store) run(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, s.buildah[0], append(s.buildah[1:len(s.buildah):len(s.buildah)], args...)...)
}

// build builds an image with images/build.sh, as the workflow does, and returns the
// layout. Another number makes another image of the same, with nothing taken from
// the first.
func (s store) build(t *testing.T, variant, arch string, number int) string {
	t.Helper()
	out := filepath.Join(layoutsDir(number), variant+"-"+arch)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./build.sh", variant, arch, out)
	cmd.Env = append(os.Environ(),
		"BUILDER=buildah", "BUILDAH="+strings.Join(s.buildah, " "), fmt.Sprintf("BUILD=-%d", number),
		"VERSION="+stamp.version, "REVISION="+stamp.revision, "CREATED="+stamp.created,
		"BASE_DIGEST="+baseDigest(variant, s, t),
		"TMPDIR="+cacheDir(t), // for the cache mounts of the RUN lines
	)
	if number > 0 {
		cmd.Env = append(cmd.Env, "NO_CACHE=1")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for %s: %v\n%s", variant, arch, err, text)
	}
	return out
}

// buildTwice builds an image and another of the same, some seconds later, so that what
// depends on the time differs.
func (s store) buildTwice(t *testing.T, variant, arch string) (layouts [2]string) {
	t.Helper()
	built := t.Run("build", func(t *testing.T) {
		for i := range layouts {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				time.Sleep(time.Duration(i) * 5 * time.Second)
				layouts[i] = s.build(t, variant, arch, i)
			})
		}
	})
	if !built {
		t.FailNow()
	}
	return layouts
}

// layoutsDir is where build leaves the layouts of that number.
func layoutsDir(number int) string {
	return filepath.Join(os.Getenv(inside), fmt.Sprintf("layouts-%d", number))
}

func baseDigest(variant string, s store, t *testing.T) string {
	if variant == "scratch" {
		return ""
	}
	return strings.TrimSpace(s.run(t, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", ubuntuImage))
}

// bootstrap returns an archive of Debian's smallest set of packages. It is kept in
// the user's cache, under a name that says what it was made of.
func bootstrap(t *testing.T, arch string) string {
	t.Helper()
	args := []string{"--variant=minbase", "--mode=root", "--architecture=" + arch, "--format=tar"}
	// As in Docker's images of Ubuntu and Debian.
	for _, option := range []string{"force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*"} {
		args = append(args, "--dpkgopt="+option)
	}
	if arch != runtime.GOARCH {
		args = append(args, "--skip=check/qemu")
	}
	args = append(args, suite)
	return cached(t, suite+"-"+arch, command(t, "mmdebstrap", "--version")+strings.Join(args, " "), func(name string) {
		command(t, "mmdebstrap", append(args, name)...)
	})
}

// toolchain returns an archive of this machine's Go, without what no build needs.
func toolchain(t *testing.T) string {
	t.Helper()
	return cached(t, "go", command(t, "go", "version"), func(name string) {
		command(t, "tar", "-C", strings.TrimSpace(command(t, "go", "env", "GOROOT")), "--exclude=./api", "--exclude=./doc", "--exclude=./test",
			"--exclude=./src/cmd", "--exclude=testdata", "--exclude=*_test.go", "-cf", name, ".")
	})
}

// making has a lock for each file of the cache, so that none is made twice.
var making sync.Map

// cached returns a file of the user's cache. Its name says what it was made of, and
// it is made where it is not there.
func cached(t *testing.T, title, from string, create func(name string)) string {
	t.Helper()
	key := sha256.Sum256([]byte(from))
	name := filepath.Join(cacheDir(t), fmt.Sprintf("%s-%x.tar", title, key[:6]))
	lock, _ := making.LoadOrStore(name, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	if _, err := os.Stat(name); err == nil {
		return name
	}
	part, err := os.MkdirTemp(cacheDir(t), "part-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(part)
	create(filepath.Join(part, "x.tar"))
	if err := os.Rename(filepath.Join(part, "x.tar"), name); err != nil {
		t.Fatal(err)
	}
	return name
}

func cacheDir(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "jettison-base-images")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command runs a program and returns its stdout.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errors strings.Builder
	cmd.Stderr = &errors
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, text, errors.String())
	}
	return string(text)
}
