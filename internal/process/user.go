package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A User is the user that the app runs as, with the groups from /etc/group: on a Jetson, the
// GPU needs `video` and `render`.
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32
	Home   string
	Shell  string
}

// ErrNoUser says that there is no such user or group.
var ErrNoUser = errors.New("no such user")

// LookupUser finds "name", "uid", "name:group" or "uid:gid" in /etc/passwd and
// /etc/group. A number needs no entry there. The error wraps ErrNoUser if there is no such user
// or group.
func LookupUser(spec string) (*User, error) {
	return lookupUser(spec, "/etc/passwd", "/etc/group")
}

func lookupUser(spec, passwdFile, groupFile string) (*User, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	u := &User{Home: "/", Shell: "/bin/sh"}
	found := false
	err := eachEntry(passwdFile, 7, func(f []string) bool {
		if f[0] != name && f[2] != name {
			return true
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil {
			return true
		}
		found = true
		u.Name, u.UID, u.GID = f[0], uint32(uid), uint32(gid)
		if f[5] != "" {
			u.Home = f[5]
		}
		if f[6] != "" {
			u.Shell = f[6]
		}
		return f[0] != name // a name wins over a number
	})
	if err != nil {
		return nil, err
	}
	if !found {
		uid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not in %s", ErrNoUser, name, passwdFile)
		}
		u.Name, u.UID, u.GID = name, uint32(uid), uint32(uid)
	}

	groupFound := false
	err = eachEntry(groupFile, 4, func(f []string) bool {
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			return true
		}
		if hasGroup && !groupFound && (f[0] == group || f[2] == group) {
			u.GID, groupFound = uint32(gid), true
		}
		if slices.Contains(strings.Split(f[3], ","), u.Name) {
			u.Groups = append(u.Groups, uint32(gid))
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if hasGroup && !groupFound {
		gid, err := strconv.ParseUint(group, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: the group %q is not in %s", ErrNoUser, group, groupFile)
		}
		u.GID = uint32(gid)
	}
	if !slices.Contains(u.Groups, u.GID) {
		u.Groups = append(u.Groups, u.GID)
	}
	return u, nil
}

// eachEntry calls f with the fields of each well-formed line of a file like
// /etc/passwd, until f returns false. A missing file counts as empty: scratch images have none.
func eachEntry(file string, fields int, f func([]string) bool) error {
	all, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(all)) {
		entry := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(entry) == fields && entry[0] != "" && !f(entry) {
			break
		}
	}
	return nil
}

// Environ returns base with the user's HOME, USER, LOGNAME and SHELL.
func (u *User) Environ(base []string) []string {
	env := slices.DeleteFunc(slices.Clone(base), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return name == "HOME" || name == "USER" || name == "LOGNAME" || name == "SHELL"
	})
	return append(env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name, "SHELL="+u.Shell)
}
