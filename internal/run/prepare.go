package run

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// defaultUser is who an app runs as when wrapp is root and was told nobody.
const defaultUser = "archer"

// prepare turns the [app] section into a command. Errors are *process.StartErrors.
func prepare(cfg *config.Config) (*process.Command, error) {
	app := &cfg.App
	user, err := identity(app.User, os.Geteuid())
	if err != nil {
		return nil, err
	}
	env := os.Environ()
	if user != nil {
		env = user.Environ(env)
	}
	env = overlay(env, app.Env)
	path, err := process.Resolve(app.Executable, app.Dir, lookup(env, "PATH"))
	if err != nil {
		return nil, err
	}
	return &process.Command{
		Path:        path,
		Argv0:       app.Executable,
		Args:        app.Args,
		Dir:         app.Dir,
		Env:         env,
		User:        user,
		StopSignal:  syscall.Signal(app.StopSignal),
		StopTimeout: time.Duration(app.StopTimeout),
	}, nil
}

// identity is the user to become, nil to stay who we are.
func identity(spec string, euid int) (*process.User, error) {
	failure := func(err error, hint string) error {
		return &process.StartError{ExitCode: process.ExitFailed, Msg: fmt.Sprintf("app.user: %v", err), Hint: hint}
	}
	if spec == "" {
		if euid != 0 {
			return nil, nil
		}
		user, err := process.LookupUser(defaultUser)
		if errors.Is(err, process.ErrNoUser) {
			return nil, nil
		}
		if err != nil {
			return nil, failure(err, "")
		}
		return user, nil
	}
	user, err := process.LookupUser(spec)
	if err != nil {
		return nil, failure(err, "name a user of this image, or a number")
	}
	if euid != 0 {
		if int(user.UID) == euid {
			return nil, nil
		}
		return nil, failure(fmt.Errorf("only root can run the app as %s, and wrapp runs as uid %d", spec, euid), "leave app.user out, or start the container as root")
	}
	return user, nil
}

// overlay is env with the variables of over in place of its own.
func overlay(env []string, over map[string]string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		_, replaced := over[name]
		return replaced
	})
	for name, value := range over {
		env = append(env, name+"="+value)
	}
	return env
}

// lookup is the value of a variable in env.
func lookup(env []string, name string) string {
	for _, e := range env {
		if n, value, _ := strings.Cut(e, "="); n == name {
			return value
		}
	}
	return ""
}
