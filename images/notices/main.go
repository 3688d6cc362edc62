// Notices writes our licence and those of the modules in a program, from the Go distribution and
// the module cache. It runs in the builders of the images.
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: notices BINARY DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "notices: error: %v\n", err)
		os.Exit(1)
	}
}

// write fills dir with LICENSE.txt, which is ours, and THIRD-PARTY.txt.
func write(binary, dir string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	ours, err := os.ReadFile("LICENSE.txt")
	if err != nil {
		return err
	}
	var all bytes.Buffer
	root, err := run("env", "GOROOT")
	if err != nil {
		return err
	}
	if err := add(&all, "Go "+info.GoVersion, root); err != nil {
		return err
	}
	for _, dep := range info.Deps {
		module := dep
		if dep.Replace != nil {
			module = dep.Replace
		}
		source, err := run("list", "-m", "-f", "{{.Dir}}", dep.Path)
		if err != nil {
			return err
		}
		if err := add(&all, module.Path+" "+module.Version, source); err != nil {
			return err
		}
	}
	return errors.Join(
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "LICENSE.txt"), ours, 0o644),
		os.WriteFile(filepath.Join(dir, "THIRD-PARTY.txt"), all.Bytes(), 0o644),
	)
}

// add appends the licences and notices in the top directory of a source.
func add(all *bytes.Buffer, title, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	found := false
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		stem, _, _ := strings.Cut(name, ".")
		stem, _, _ = strings.Cut(stem, "-")
		switch stem {
		case "LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "PATENTS":
		default:
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		found = found || stem != "NOTICE" && stem != "PATENTS"
		fmt.Fprintf(all, "==== %s: %s ====\n\n%s\n\n", title, entry.Name(), bytes.TrimSpace(text))
	}
	if !found {
		return fmt.Errorf("%s: no licence in %s", title, dir)
	}
	return nil
}

// run returns what the go command prints.
func run(args ...string) (string, error) {
	text, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(text)), nil
}
