// Jettison_panel shows the apps of one board or of many in a browser.
package main

import (
	"github.com/lpportorino/jettison-base-images/internal/command"
	"github.com/lpportorino/jettison-base-images/internal/panel"
)

func main() { command.Main(panel.Main) }
