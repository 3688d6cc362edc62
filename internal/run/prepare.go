package run

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// defaultUser runs the app when wrapp is root and the configuration names no user.
const defaultUser = "archer"

// prepare turns the [app] section into a command. Its errors are *process.StartErrors.
// warning is for the user; it may be empty.
func prepare(cfg *config.Config) (cmd *process.Command, warning string, err error) {
	app := &cfg.App
	user, warning, err := identity(app.User, os.Geteuid())
	if err != nil {
		return nil, "", err
	}
	env := os.Environ()
	if user != nil {
		env = user.Environ(env)
	} else {
		env = whoWeAre(env)
	}
	if app.TTY != "no" {
		env = overlay(env, plainTerminal)
	}
	env = overlay(env, app.Env)
	path, err := process.Resolve(app.Executable, app.Dir, lookup(env, "PATH"))
	if err != nil {
		return nil, "", err
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
	}, warning, nil
}

// CheckUser returns what is wrong with app.user on this machine, or "".
func CheckUser(cfg *config.Config) string {
	_, warning, err := identity(cfg.App.User, os.Geteuid())
	if err != nil {
		return err.Error()
	}
	return warning
}

// identity returns the user that the app runs as, or nil for our own user. Only root can
// choose another one. Without root the app runs as our user, as with the older wrapp; warning
// says so if spec names another user.
func identity(spec string, euid int) (user *process.User, warning string, err error) {
	failure := func(err error, hint string) error {
		return &process.StartError{ExitCode: process.ExitFailed, Msg: fmt.Sprintf("app.user: %v", err), Hint: hint}
	}
	if euid != 0 {
		if spec == "" {
			return nil, "", nil
		}
		if user, err := process.LookupUser(spec); err != nil || int(user.UID) != euid {
			warning = fmt.Sprintf("app.user: only root can run the app as %s; it runs as uid %d, as wrapp does", spec, euid)
		}
		return nil, warning, nil
	}
	if spec == "" {
		user, err := process.LookupUser(defaultUser)
		if errors.Is(err, process.ErrNoUser) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", failure(err, "")
		}
		return addOurGroups(user), "", nil
	}
	user, err = process.LookupUser(spec)
	if err != nil {
		return nil, "", failure(err, "name a user of this image, or a number")
	}
	return addOurGroups(user), "", nil
}

// addOurGroups adds our supplementary groups, as from docker's --group-add, which give the app
// access to devices. It leaves out root's own group.
func addOurGroups(user *process.User) *process.User {
	given, _ := os.Getgroups()
	for _, gid := range given {
		if gid != 0 && !slices.Contains(user.Groups, uint32(gid)) {
			user.Groups = append(user.Groups, uint32(gid))
		}
	}
	return user
}

// whoWeAre returns env with HOME, USER and LOGNAME of our user added if they are not set:
// Docker sets only HOME. The name of a uid without an entry in /etc/passwd is its number.
func whoWeAre(env []string) []string {
	user, err := process.LookupUser(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return env
	}
	for _, v := range [][2]string{{"HOME", user.Home}, {"USER", user.Name}, {"LOGNAME", user.Name}} {
		if lookup(env, v[0]) == "" {
			env = append(env, v[0]+"="+v[1])
		}
	}
	return env
}

// plainTerminal is the environment of an app on a pseudo-terminal of ours: it asks the app for
// output without colours and cursor movements. wrapp's own TERM is for another terminal.
var plainTerminal = map[string]string{"NO_COLOR": "1", "TERM": "dumb"}

// overlay returns env with the variables of over set or replaced.
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

// lookup returns the value of a variable in env, or "".
func lookup(env []string, name string) string {
	for _, e := range env {
		if n, value, _ := strings.Cut(e, "="); n == name {
			return value
		}
	}
	return ""
}
