//go:build images || docker || cosign

package images

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
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

// publish runs publish.sh, as the workflow does.
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

func (r registry) must(t *testing.T, env []string, stdin string, args ...string) string {
	t.Helper()
	out, err := r.publish(t, env, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
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
