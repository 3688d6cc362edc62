package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Exit codes of a wrapper whose app could not be started, as in shells.
const (
	ExitFailed        = 125 // the wrapper itself failed
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// A StartError says why the app could not be started.
type StartError struct {
	ExitCode int // ExitFailed, ExitNotExecutable or ExitNotFound
	Msg      string
	Hint     string // what to do about it; may be empty
}

func (e *StartError) Error() string { return e.Msg }

// Resolve finds the file to execute. It looks up a name without a slash in path, a list as in
// $PATH; a name with a slash is relative to dir, the working directory of the app. Its errors
// are *StartErrors.
func Resolve(executable, dir, path string) (string, error) {
	if strings.Contains(executable, "/") {
		if !filepath.IsAbs(executable) {
			executable = filepath.Join(dir, executable)
		}
		file, err := filepath.Abs(executable)
		if err != nil {
			return "", &StartError{ExitFailed, fmt.Sprintf("find %s: %v", executable, err), ""}
		}
		if err := executableFile(file); err != nil {
			return "", describe(file, err)
		}
		return file, nil
	}
	found := error(fs.ErrNotExist)
	for _, d := range filepath.SplitList(path) {
		if d == "" {
			d = "."
		}
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		file, err := filepath.Abs(filepath.Join(d, executable))
		if err == nil {
			err = executableFile(file)
		}
		if err == nil {
			return file, nil
		}
		// From executableFile: the file exists. A directory that may not be searched counts as
		// empty, as in shells: its error is another one.
		if err == fs.ErrPermission {
			found = err
		}
	}
	if errors.Is(found, fs.ErrNotExist) {
		name, hint := executable, "give its whole path in app.executable"
		if first, _, more := strings.Cut(executable, " "); more {
			name, hint = first+" …", argsHint
		}
		return "", &StartError{ExitNotFound, fmt.Sprintf("no executable called %q on PATH (%s)", name, path), hint}
	}
	return "", describe(executable, found)
}

// executableFile returns an error if no user could execute the file. Whether the app's user may
// execute it, execve decides.
func executableFile(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return syscall.EISDIR
	}
	if info.Mode()&0o111 == 0 {
		return fs.ErrPermission
	}
	return nil
}

// argsHint is the hint for an executable with blanks in it. The error shows only the text before
// the first blank: the rest may have a password in it.
const argsHint = `arguments stand in a list of their own: app.executable = "PROGRAM", app.args = ["ARG", …]`

// interpreterMissing describes a file whose interpreter or loader does not exist.
func interpreterMissing(file string) *StartError {
	head := make([]byte, 256)
	if f, err := os.Open(file); err == nil {
		n, _ := f.Read(head)
		head = head[:n]
		f.Close()
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.HasPrefix(line, []byte("#!")) && bytes.HasSuffix(line, []byte("\r")) {
		return &StartError{ExitNotExecutable, file + " cannot be executed: its first line ends in CR LF, so that the CR belongs to the interpreter's name", "write it with the line ends of Unix: sed -i 's/\\r$//' " + file}
	}
	return &StartError{ExitNotExecutable, file + " cannot be executed: the interpreter or loader it names does not exist", "look at its first line, or at `file " + file + "`; a dynamic program needs its libc in the image"}
}

// describe explains an error of execve or of executableFile.
func describe(file string, err error) *StartError {
	switch {
	case errors.Is(err, syscall.EISDIR):
		return &StartError{ExitNotExecutable, file + " is a directory", "name the executable in it"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if _, err := os.Stat(file); err == nil {
			return interpreterMissing(file)
		}
		if first, rest, more := strings.Cut(file, " "); more && (executableFile(first) == nil || strings.HasPrefix(rest, "-")) {
			return &StartError{ExitNotFound, first + " … does not exist", argsHint}
		}
		return &StartError{ExitNotFound, file + " does not exist", ""}
	case errors.Is(err, syscall.E2BIG):
		return &StartError{ExitNotExecutable, file + " cannot be executed: its arguments and environment are larger than the kernel allows", "2 MiB together as a rule (a quarter of `ulimit -s`), 128 KiB each: hand large texts over in files"}
	case errors.Is(err, syscall.ENOEXEC):
		return &StartError{ExitNotExecutable, file + " is no program for this machine", "a script needs a first line like #!/bin/sh; a binary must be of this CPU's kind"}
	case errors.Is(err, fs.ErrPermission):
		return &StartError{ExitNotExecutable, file + " may not be executed", "chmod +x it, and the directories above it, for the app's user too, and see that its file system is not mounted noexec"}
	}
	return &StartError{ExitFailed, fmt.Sprintf("start %s: %v", file, err), ""}
}
