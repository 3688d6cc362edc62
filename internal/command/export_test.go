package command

import "github.com/spf13/cobra"

// Definitions returns the command lines of wrapp and jettison_health.
var Definitions = definitions

// Prepared returns a command after prepareTree.
func Prepared(c *cobra.Command) *cobra.Command {
	prepareTree(c)
	return c
}
