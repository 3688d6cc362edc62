//go:build images

package images

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Stand-ins for the images in the Dockerfiles' FROM lines: Debian's smallest set of packages
// replaces Ubuntu, and the same with this machine's Go and certificates replaces golang. They
// have the real names, so that the Dockerfiles work unchanged.
const (
	ubuntuImage = "docker.io/library/ubuntu:22.04"
	golangImage = "docker.io/library/golang:latest"
)

// A store is a separate storage of buildah, with the stand-ins for one architecture.
type store struct{ buildah []string }

// newStore makes the stand-ins for an architecture.
func newStore(t *testing.T, arch string) store {
	t.Helper()
	dir := filepath.Join(os.Getenv(inside), arch)
	s := store{[]string{"buildah", "--storage-driver", driver(t), "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}}
	base := os.Getenv("UBUNTU") // an archive of the real Ubuntu, to measure sizes
	if base == "" || arch != runtime.GOARCH {
		base = bootstrap(t, arch)
	}
	s.commit(t, ubuntuImage, arch, func(container string) {
		s.run(t, "add", "--quiet", container, base, "/")
	}, "--cmd", "/bin/bash")
	builder, goroot := bootstrap(t, runtime.GOARCH), toolchain(t)
	s.commit(t, golangImage, runtime.GOARCH, func(container string) {
		s.run(t, "add", "--quiet", container, builder, "/")
		s.run(t, "add", "--quiet", container, goroot, "/")
		for _, name := range certificates {
			s.run(t, "copy", "--quiet", container, "/"+name, "/"+name)
		}
	}, "--env", "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"--env", "GOPATH=/go", "--env", "GOTOOLCHAIN=local", "--workingdir", "/go")
	return s
}

// driver returns buildah's storage driver: overlay if the kernel permits it, or else vfs, which
// copies each layer and takes some minutes more.
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

// build builds an image with images/build.sh, like the workflow, and returns the layout. A number
// other than 0 builds the image again without the cache.
func (s store) build(t *testing.T, variant, arch string, number int) string {
	t.Helper()
	out := filepath.Join(layoutsDir(number), variant+"-"+arch)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./build.sh", variant, arch, out)
	cmd.Env = append(os.Environ(),
		"BUILDER=buildah", "BUILDAH="+strings.Join(s.buildah, " "), fmt.Sprintf("BUILD=-%d", number),
		"VERSION="+stamp.version, "REVISION="+stamp.revision, "CREATED="+stamp.created, "SOURCE="+stamp.source,
		"BASE_DIGEST="+s.digest(t, ubuntuImage), "GO_DIGEST="+s.digest(t, golangImage),
		"ZSTD_LEVEL=3",        // 19 takes minutes
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

// buildTwice builds an image twice, some seconds apart, so that everything that depends on the
// time differs. An emulated build takes minutes, so one has to do there: the other architecture's
// machine builds it twice.
func (s store) buildTwice(t *testing.T, variant, arch string) (layouts [2]string) {
	t.Helper()
	built := t.Run("build", func(t *testing.T) {
		for i := range layouts {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				if i == 0 || arch == runtime.GOARCH {
					time.Sleep(time.Duration(i) * 5 * time.Second)
					layouts[i] = s.build(t, variant, arch, i)
				}
			})
		}
	})
	if !built {
		t.FailNow()
	}
	if layouts[1] == "" {
		layouts[1] = filepath.Join(layoutsDir(1), filepath.Base(layouts[0]))
		if err := errors.Join(os.MkdirAll(layoutsDir(1), 0o755), os.Symlink(layouts[0], layouts[1])); err != nil {
			t.Fatal(err)
		}
	}
	return layouts
}

// layoutsDir returns the directory of the layouts that build makes with that number.
func layoutsDir(number int) string {
	return filepath.Join(os.Getenv(inside), fmt.Sprintf("layouts-%d", number))
}

// digest returns the digest of a stand-in.
func (s store) digest(t *testing.T, image string) string {
	t.Helper()
	return strings.TrimSpace(s.run(t, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", image))
}
