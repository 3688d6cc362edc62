//go:build docker

package images

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// remappedUID is the UID on the host of a container's root in the engine of newDaemon.
const remappedUID = 200_000

// testDaemon runs the images in the test's own engine, which maps containers' users to others on
// the host, and whose disk can be filled.
func testDaemon(t *testing.T, e *engine) {
	own, disk := newDaemon(t, e)
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			t.Run("other users", func(t *testing.T) { box{t, own, variant}.remapped() })
			t.Run("full disk", func(t *testing.T) { box{t, own, variant}.fullLogDisk(disk) })
		})
	}
}

// newDaemon starts a second engine with user namespaces, a small disk for its data, the images
// of e, and only the network "none".
func newDaemon(t *testing.T, e *engine) (own *engine, disk string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a second engine needs root")
	}
	disk = publicDir(t)
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=1g,mode=711"); err != nil {
		t.Skipf("mount a disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := publicDir(t)
	ids, settings := filepath.Join(dir, "ids"), filepath.Join(dir, "daemon.json")
	for name, text := range map[string]string{ids: fmt.Sprintf("daemon:%d:65536\n", remappedUID), settings: "{}"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	// Other files replace /etc/subuid and /etc/subgid for this engine only. It has its own
	// network namespace: an engine without a bridge removes the first engine's.
	const start = `touch /etc/subuid /etc/subgid && mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec dockerd "$@"`
	cmd := exec.Command("unshare", "--mount", "--net", "sh", "-c", start, ids,
		"--config-file", settings, "--userns-remap", "daemon", "--data-root", filepath.Join(disk, "data"), "--exec-root", filepath.Join(dir, "run"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", socket, "--bridge", "none", "--iptables=false", "--ip-forward=false",
		"--containerd-namespace", fmt.Sprintf("jettison-%d", os.Getpid()))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("dockerd: %s", text)
		}
	})
	archive := filepath.Join(dir, "images.tar")
	e.run(t, append([]string{"save", "--output", archive}, e.images["scratch"], e.images["ubuntu22"])...)
	second := *e
	own = &second
	own.docker = append(e.docker[:1:1], "--host", socket)
	until(t, "the second engine answers", func() bool {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log.Name())
			ended <- err
			t.Fatalf("dockerd ended: %v\n%s", err, text)
		default:
		}
		_, err := own.try("version")
		return err == nil
	})
	own.run(t, "load", "--input", archive)
	if err := os.Remove(archive); err != nil {
		t.Fatal(err)
	}
	return own, disk
}

// bySocket starts a Redis for containers without a network, and returns its URL in them.
func (b box) bySocket() (server *redistest.Server, url string, opts []string) {
	b.Helper()
	dir := publicDir(b.T)
	server = redistest.Start(b.T, "--unixsocket", filepath.Join(dir, "redis.sock"), "--unixsocketperm", "777")
	return server, "unix:///redis/redis.sock", []string{"--network", "none", "-v", dir + ":/redis:ro"}
}

// remapped: in a user namespace the app still runs as archer, its status and crash report are
// right, and a new volume can hold the spool.
func (b box) remapped() {
	server, url, opts := b.bySocket()
	c := b.app(opts, []string{"--redis", url, "--name", "deaf", "--stop-timeout", "1s"}, "deaf")
	until(b.T, "ready", func() bool { return has(server.Messages("logs:app:deaf:info"), "ready") })
	var stat unix.Stat_t
	if err := unix.Stat("/proc/"+c.inspect("{{.State.Pid}}"), &stat); err != nil || stat.Uid != remappedUID+1000 {
		b.Errorf("on the host wrapp is user %d: %v", stat.Uid, err)
	}
	b.engine.run(b.T, "stop", c.id)
	c.wantStatus(137)
	b.app(opts, []string{"--redis", url, "--name", "who"}, "who").wantStatus(0)
	if got := server.Messages("logs:app:who:info"); !has(got, "uid 1000 gid 1000 groups", " 44") {
		b.Errorf("the app says %q", got)
	}
	b.app(append(opts, "--ulimit", "core=-1"), []string{"--redis", url, "--name", "crash"}, "crash").wantStatus(139)
	wantReport(b.T, server, "crash", "SIGSEGV", "about to crash")

	// Nothing listens at first: the lines go to the spool.
	volume := "spool-" + b.variant
	b.engine.run(b.T, "volume", "create", "--label", b.label, volume)
	spool := append(opts, "-v", volume+":/var/lib/wrapp", "--read-only")
	b.app(spool, []string{"--redis", "unix:///redis/none.sock", "--name", "later"}, "lines", "2000", "50", "0").wantStatus(0)
	b.app(spool, []string{"--redis", url, "--name", "later", "--max-entries", "100000"}, "exit", "0").wantStatus(0)
	wantLines(b.T, server, "logs:app:later:info", 2000)
}

// fullLogDisk: when the engine's disk is full, only the engine's copy of the output is lost.
func (b box) fullLogDisk(disk string) {
	server, url, opts := b.bySocket()
	const lines = 20_000
	c := b.app(opts, []string{"--redis", url, "--name", "copied", "--passthrough", "always", "--max-entries", "100000"}, "lines", fmt.Sprint(lines), "200", "200")
	until(b.T, "lines", func() bool { return strings.Contains(c.logs(), "line 100 ") })
	filler := filepath.Join(disk, "filler")
	file, err := os.Create(filler)
	if err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = file.Write(block)
	}
	file.Close()
	if !errors.Is(err, unix.ENOSPC) {
		b.Fatal(err)
	}
	defer os.Remove(filler)
	wantLines(b.T, server, "logs:app:copied:info", lines)
	os.Remove(filler) // the engine needs room to record the end
	c.wantStatus(0)
	if copied, _ := b.try("logs", c.id); strings.Contains(copied, fmt.Sprintf("line %d ", lines-1)) {
		b.Error("docker logs has the last line: the disk was not full")
	}
}
