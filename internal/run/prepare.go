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

// prepare turns the [app] section into a command. Errors are *process.StartErrors. note
// is what the user is to be told, if anything.
func prepare(cfg *config.Config) (cmd *process.Command, note string, err error) {
	app := &cfg.App
	user, note, err := identity(app.User, os.Geteuid())
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
	}, note, nil
}

// CheckUser says what is to be said of app.user on this machine, nothing if it is as it
// should be.
func CheckUser(cfg *config.Config) string {
	_, note, err := identity(cfg.App.User, os.Geteuid())
	if err != nil {
		return err.Error()
	}
	return note
}

// identity is the user to become, nil to stay who we are. Only root can become another
// user. Anybody else runs the app as it is, as the older wrapp did, and note says so.
func identity(spec string, euid int) (user *process.User, note string, err error) {
	failure := func(err error, hint string) error {
		return &process.StartError{ExitCode: process.ExitFailed, Msg: fmt.Sprintf("app.user: %v", err), Hint: hint}
	}
	if euid != 0 {
		if spec == "" {
			return nil, "", nil
		}
		if user, err := process.LookupUser(spec); err != nil || int(user.UID) != euid {
			note = fmt.Sprintf("app.user: only root can run the app as %s; it runs as uid %d, as wrapp does", spec, euid)
		}
		return nil, note, nil
	}
	if spec == "" {
		user, err := process.LookupUser(defaultUser)
		if errors.Is(err, process.ErrNoUser) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", failure(err, "")
		}
		return keepGroups(user), "", nil
	}
	user, err = process.LookupUser(spec)
	if err != nil {
		return nil, "", failure(err, "name a user of this image, or a number")
	}
	return keepGroups(user), "", nil
}

// keepGroups adds the groups that root was given for this run, as by docker's --group-add: who
// opens a device by its group wants the app to have it. Root's own group is left out.
func keepGroups(user *process.User) *process.User {
	given, _ := os.Getgroups()
	for _, gid := range given {
		if gid != 0 && !slices.Contains(user.Groups, uint32(gid)) {
			user.Groups = append(user.Groups, uint32(gid))
		}
	}
	return user
}

// whoWeAre returns env with HOME, USER and LOGNAME added where they are not set: Docker sets
// HOME only. The name of a uid without an entry in /etc/passwd is its number.
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

// plainTerminal is for an app on a pseudo-terminal of ours: it tells the app to leave out
// colours and cursor movements. The TERM that wrapp has itself is about another terminal.
var plainTerminal = map[string]string{"NO_COLOR": "1", "TERM": "dumb"}

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
