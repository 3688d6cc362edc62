package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed app/steady.c
var steadySource []byte

// buildSteady builds the app that writes lines at a steady rate.
func buildSteady(dir string) (string, error) {
	source, file := filepath.Join(dir, "steady.c"), filepath.Join(dir, "steady")
	if err := os.WriteFile(source, steadySource, 0o600); err != nil {
		return "", err
	}
	if text, err := exec.Command("gcc", "-O2", "-o", file, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %w\n%s", err, text)
	}
	return file, nil
}
