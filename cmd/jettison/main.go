// Jettison is wrapp and jettison_health in one binary, chosen by the name it is called by.
// The images ship it.
package main

import (
	"os"
	"path/filepath"

	"github.com/lpportorino/jettison-base-images/internal/command"
)

func main() {
	tool := command.Wrapp
	if filepath.Base(os.Args[0]) == "jettison_health" {
		tool = command.JettisonHealth
	}
	command.Main(tool)
}
