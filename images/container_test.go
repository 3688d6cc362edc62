//go:build docker

package images

import (
	"slices"
	"strconv"
	"strings"
)

// A container is a container of the engine. The end of its test removes it.
type container struct {
	box
	id string
}

// start starts a container with options of docker run and a command in the image.
func (b box) start(options []string, args ...string) *container {
	b.Helper()
	return b.startImage(b.images[b.variant], options, args...)
}

func (b box) startImage(image string, options []string, args ...string) *container {
	b.Helper()
	line := append([]string{"create", "--label", b.label}, options...)
	id := b.engine.run(b.T, append(append(line, image), args...)...)
	c := &container{b, id[strings.LastIndex(id, "\n")+1:]}
	b.Cleanup(func() {
		if b.Failed() {
			text, _ := b.try("logs", c.id)
			state, _ := b.try("inspect", "--format", "{{json .State}}", c.id)
			b.Logf("docker run %s %s:\n%s%s", strings.Join(options, " "), strings.Join(args, " "), text, state)
		}
		b.try("rm", "--force", "--volumes", c.id)
	})
	b.engine.run(b.T, "start", c.id)
	return c
}

// app starts our app under wrapp, with the host's network if the options name none.
func (b box) app(options, flags []string, args ...string) *container {
	b.Helper()
	if !slices.Contains(options, "--network") {
		options = append([]string{"--network", "host"}, options...)
	}
	options = append([]string{"-v", b.engine.app + ":/app:ro"}, options...)
	return b.start(options, b.wrapp(append(append(flags, "--", "/app"), args...)...)...)
}

// inspect returns docker inspect's output for a format.
func (c *container) inspect(format string) string {
	c.Helper()
	return c.engine.run(c.T, "inspect", "--format", format, c.id)
}

// wait waits for the end and returns the exit status that the engine recorded.
func (c *container) wait() int {
	c.Helper()
	c.engine.run(c.T, "wait", c.id)
	status, err := strconv.Atoi(c.inspect("{{.State.ExitCode}}"))
	if err != nil {
		c.Fatal(err)
	}
	return status
}

// wantStatus waits for the end and wants an exit status.
func (c *container) wantStatus(want int) {
	c.Helper()
	if got := c.wait(); got != want {
		c.Errorf("status %d, want %d", got, want)
	}
}

// logs returns docker logs' output, both streams together.
func (c *container) logs() string {
	c.Helper()
	return c.engine.run(c.T, "logs", c.id)
}

// kill sends a signal.
func (c *container) kill(signal string) {
	c.Helper()
	c.engine.run(c.T, "kill", "-s", signal, c.id)
}

// output runs a container that must end with 0, and returns its output.
func (b box) output(options []string, args ...string) string {
	b.Helper()
	c := b.start(options, args...)
	c.wantStatus(0)
	return c.logs()
}

// has says whether one of the texts contains all of the words.
func has(texts []string, words ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
}
