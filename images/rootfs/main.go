// Rootfs writes the files that an image without a distribution needs beside its binaries: a user,
// certificates of the public authorities, time zones and /tmp. It runs in the builders of the
// images without a distribution.
package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rootfs DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "rootfs: error: %v\n", err)
		os.Exit(1)
	}
}

const (
	passwd = "root:x:0:0:root:/root:/usr/local/bin/wrapp\narcher:x:1000:1000:archer:/home/archer:/usr/local/bin/wrapp\nnobody:x:65534:65534:nobody:/:/usr/local/bin/wrapp\n"
	group  = "root:x:0:\nvideo:x:44:archer\narcher:x:1000:\nnogroup:x:65534:\n"
	// nsswitch has names looked up in /etc/hosts before DNS.
	nsswitch = "hosts: files dns\n"
)

func write(dir string) error {
	for name, text := range map[string]string{"etc/passwd": passwd, "etc/group": group, "etc/nsswitch.conf": nsswitch} {
		if err := writeFile(filepath.Join(dir, name), strings.NewReader(text)); err != nil {
			return err
		}
	}
	for name, mode := range map[string]os.FileMode{
		"tmp": 0o777 | os.ModeSticky, "var/tmp": 0o777 | os.ModeSticky, "run": 0o755, "root": 0o700, "home/archer": 0o755, "var/lib/wrapp": 0o775,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode)); err != nil {
			return err
		}
	}
	// Any UID with the group root can write the spool: engines that choose a UID run containers so.
	if err := errors.Join(
		os.Chown(filepath.Join(dir, "home/archer"), 1000, 1000),
		os.Chown(filepath.Join(dir, "var/lib/wrapp"), 1000, 0),
	); err != nil {
		return err
	}
	// The bundle is under Mozilla's licence, which is in Debian's package.
	for _, name := range []string{"etc/ssl/certs/ca-certificates.crt", "usr/share/doc/ca-certificates/copyright"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join("/", name)); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
	}
	return zones(filepath.Join(dir, "usr/share/zoneinfo"))
}

// zones unpacks Go's time zones, so that they do not depend on the builder's packages.
func zones(dir string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("time zones: go env GOROOT: %w", err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib/time/zoneinfo.zip"))
	if err != nil {
		return fmt.Errorf("time zones: %w", err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		text, err := f.Open()
		if err != nil {
			return fmt.Errorf("time zones: %w", err)
		}
		err = writeFile(filepath.Join(dir, filepath.FromSlash(f.Name)), text)
		text.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(name, f)
}

func writeFile(name string, text io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, text)
	return errors.Join(err, f.Close())
}
