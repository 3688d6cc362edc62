package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/hook"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// newHooks returns the hooks of the configuration, nil if there are none.
func newHooks(s *session) *hook.Hooks {
	c := &s.cfg.Hooks
	host, err := os.Hostname()
	if err != nil {
		s.log.Warn("hooks get no host name", "error", err)
	}
	return hook.New(hook.Options{
		App: s.cfg.Name(), Host: host,
		Targets: map[hook.Kind]string{
			hook.Crash:    c.Crash.Reveal(),
			hook.Depleted: c.Depleted.Reveal(),
			hook.GaveUp:   c.GaveUp.Reveal(),
			hook.Dropped:  c.Dropped.Reveal(),
		},
		Timeout: time.Duration(c.Timeout),
		Exec: func(ctx context.Context, words []string, stdin []byte) error {
			select {
			case <-s.prepared: // what an earlier run dropped is told before the first start
			case <-ctx.Done():
				return ctx.Err()
			}
			app := s.latest.Load()
			if app == nil {
				return errors.New("the app, whose user runs the command, could not be started")
			}
			f, err := fileOf(stdin)
			if err != nil {
				return err
			}
			defer f.Close()
			return runBeside(ctx, s.supervisor, app, words, f)
		},
		Say: func(text string) {
			<-s.connected
			s.to.out.Say(logstream.Error, text)
		},
		Log: s.log,
	})
}

// dropped fires the hook for dropped lines. The caller holds the outbox's lock.
func (s *session) dropped(entries int, text string) {
	s.hooks.Fire(hook.Event{Kind: hook.Dropped, Text: text, Dropped: entries})
}

// fileOf returns a file in memory that contains text, positioned at its beginning.
func fileOf(text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stdin")
	if _, err = f.Write(text); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("fill a file in memory: %w", err)
	}
	return f, nil
}

// runBeside runs a command as the app's user, in the app's directory and environment. It
// discards the command's output.
func runBeside(ctx context.Context, supervisor *process.Supervisor, app *process.Command, words []string, stdin *os.File) error {
	path, err := process.Resolve(words[0], app.Dir, lookup(app.Env, "PATH"))
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if stdin == nil {
		stdin = null
	}
	p, err := supervisor.Start(process.Command{
		Path: path, Argv0: words[0], Args: words[1:],
		Dir: app.Dir, Env: app.Env, User: app.User,
		Stdin: stdin, Stdout: null, Stderr: null,
		Tool: true,
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Gone():
	case <-ctx.Done():
		p.Kill()
		<-p.Gone()
		return ctx.Err()
	}
	if status := p.Status(); status.ExitCode() != 0 {
		return errors.New(status.String())
	}
	return nil
}
