//go:build images || docker

package images

import (
	"bufio"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
)

// A registry is a repository in a registry on loopback.
type registry struct {
	crane      string
	repository string
}

// newRegistry starts a registry, which ends with the test.
func newRegistry(t *testing.T, variant string) registry {
	t.Helper()
	r := registry{crane: "./crane.sh"}
	serve := exec.Command(r.crane, "registry", "serve", "--address", "127.0.0.1:0")
	serve.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test leaves none
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
			r.repository = "127.0.0.1:" + m[1] + "/somebody/jettison-base-" + variant
			go func() {
				for lines.Scan() { // so that its log does not block it
				}
			}()
			return r
		}
	}
	t.Fatalf("the registry did not start: %v", lines.Err())
	return r
}
