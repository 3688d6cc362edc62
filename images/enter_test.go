//go:build images

package images

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An entry describes a run in a container: like an engine's with --read-only, --tmpfs /tmp, the
// host's network, and these mounts.
type entry struct {
	env    []string
	mounts map[string]string // file in the container: file outside
	args   []string
}

type result struct {
	stdout, stderr string
	status         int
}

// script runs in the new namespaces and makes the command process 1.
const script = `set -eu
root=$1 mounts=$2 path=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
	: > "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
printf %s "$mounts" | while read -r from to; do mount --bind "$from" "$root/$to"; done
mount -o remount,bind,ro "$root"
unshare=$(command -v unshare)
PATH=$path exec "$unshare" --root "$root" --wd / --setgid 1000 --setuid 1000 "$@"`

// enter runs a command in the image as the image's user, in new namespaces.
func (img *image) enter(t *testing.T, e entry) result {
	t.Helper()
	var mounts strings.Builder
	for inner, outer := range e.mounts {
		touch(t, filepath.Join(img.root, inner))
		mounts.WriteString(outer + " " + inner + "\n")
	}
	for _, dir := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(img.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	env := append([]string{"HOME=/home/archer"}, img.config.Config.Env...)
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	cmd := exec.Command("unshare", append([]string{
		"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", img.root, mounts.String(), path,
	}, e.args...)...)
	cmd.Env = append(append(env, "QEMU_CPU=cortex-a76"), e.env...)
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")) // for unshare and mount
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// output runs a command that must succeed, and returns its output.
func (img *image) output(t *testing.T, args ...string) string {
	t.Helper()
	r := img.enter(t, entry{args: args})
	if r.status != 0 {
		t.Errorf("%s: status %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
	}
	return r.stdout
}

// touch creates the mount point of a file, as an engine does.
func touch(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
