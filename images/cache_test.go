//go:build images || docker

package images

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// suite is the Debian release of the stand-ins.
const suite = "bookworm"

// certificates are the files of the package ca-certificates in golang's image, below /.
var certificates = []string{"etc/ssl/certs/ca-certificates.crt", "usr/share/doc/ca-certificates/copyright"}

// variants are the base images, published all images.
var (
	variants  = []string{"scratch", "ubuntu22"}
	published = append(slices.Clone(variants), "panel")
)

// bootstrap returns an archive of Debian's smallest set of packages and the named ones, from the
// user's cache if possible.
func bootstrap(t *testing.T, arch string, packages ...string) string {
	t.Helper()
	args := []string{"--variant=minbase", "--mode=root", "--architecture=" + arch, "--format=tar"}
	// As in Docker's images of Ubuntu and Debian.
	for _, option := range []string{"force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*"} {
		args = append(args, "--dpkgopt="+option)
	}
	if arch != runtime.GOARCH {
		args = append(args, "--skip=check/qemu")
	}
	if len(packages) > 0 {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	args = append(args, suite)
	return cached(t, strings.Join(append([]string{suite, arch}, packages...), "-"), command(t, "mmdebstrap", "--version")+strings.Join(args, " "), func(name string) {
		command(t, "mmdebstrap", append(args, name)...)
	})
}

// toolchain returns an archive of this machine's Go in usr/local/go, without the parts that no
// build needs.
func toolchain(t *testing.T) string {
	t.Helper()
	return cached(t, "go", command(t, "go", "version")+"usr/local/go", func(name string) {
		command(t, "tar", "-C", strings.TrimSpace(command(t, "go", "env", "GOROOT")), "--exclude=./api", "--exclude=./doc", "--exclude=./test",
			"--exclude=./src/cmd", "--exclude=testdata", "--exclude=*_test.go", `--transform=flags=r;s,^\.,usr/local/go,`, "-cf", name, ".")
	})
}

// making has a lock for each file of the cache, so that none is made twice.
var making sync.Map

// cached returns a file of the user's cache, and creates it if it is missing. Its name contains
// title and a hash of from, which must identify the contents.
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
