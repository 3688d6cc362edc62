package command

import "github.com/spf13/cobra"

// Definitions are the definitions of wrapp and jettison_health.
var Definitions = definitions

// Prepared is a definition with what all commands have.
func Prepared(c *cobra.Command) *cobra.Command {
	prepareTree(c)
	return c
}
