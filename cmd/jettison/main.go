// Jettison is wrapp and jettison_health in one binary, told apart by the name it
// is called by: what the images ship.
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
